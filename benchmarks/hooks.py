"""What the hooks cost the site: a look-up of a connection, the start of a thread.

The first smoke test of a process puts hooks around Django's ``connections``, threads
and thread pools, and they stay. Measured is the same call in one process before and
after that, outside of any test, in turn with an empty call; the least of many repeats.

``python benchmarks/hooks.py``
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from timeit import repeat

LOOK_UPS = 100_000
STARTS = 300
PROCESSES = 5


def main() -> None:
    """Measure in several processes, and print the least of each figure."""
    figures = [
        [
            float(word)
            for word in subprocess.check_output([sys.executable, __file__, "--one"]).split()
        ]
        for _ in range(PROCESSES)
    ]
    names = (
        "connections['default']",
        "settings.DEBUG",
        "Thread start and join",
        "pool.submit, result",
    )
    least = [min(column) for column in zip(*figures, strict=True)]
    print(f"{'microseconds':28}{'before':>10}{'after':>10}{'more':>10}")
    for number, name in enumerate(names):
        before, after = least[2 * number : 2 * number + 2]
        print(f"{name:28}{before:>10.3f}{after:>10.3f}{after - before:>10.3f}")


def one_process() -> list[float]:
    """Return the figures before and after the first smoke test."""
    import django
    from django.conf import settings
    from django.db import connections

    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(DATABASES={"default": sqlite})
    django.setup()
    pool = ThreadPoolExecutor(max_workers=1)
    calls: list[tuple[Callable[[], object], int]] = [
        (lambda: connections["default"], LOOK_UPS),
        (lambda: settings.DEBUG, LOOK_UPS),
        (start_thread, STARTS),
        (lambda: pool.submit(int).result(), STARTS),
    ]
    before = [microseconds(*call) for call in calls]
    run_a_smoke_test()
    after = [microseconds(*call) for call in calls]
    return [figure for pair in zip(before, after, strict=True) for figure in pair]


def start_thread() -> None:
    """Start a thread that does nothing, and wait for it."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def microseconds(call: Callable[[], object], number: int) -> float:
    """Return how long ``call`` takes."""
    return 1_000_000 * min(repeat(call, number=number, repeat=7)) / number


def run_a_smoke_test() -> None:
    """Have the hooks put in place."""
    from smoketest import SmokeTest

    case = type("Case", (SmokeTest,), {"test": lambda self: None})
    case("test").debug()


if __name__ == "__main__":
    if sys.argv[1:] == ["--one"]:
        print(*one_process())
    else:
        main()
