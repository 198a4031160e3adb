"""What a run costs the site beside it: its memory, its other requests, its resources.

*Memory*: what 10,000 results take while somebody keeps their report.

*Load*: four clients ask an ordinary page of the example shop again and again, served by
two workers of gunicorn with threads. Half of the time one run after another goes on in
them, of 50 tests that wait a second each. Turn by turn, medians of the latencies, and of
their ratios.

That 200 polls leave threads, file descriptors and database sessions where they were is
held by ``tests/test_polls.py``.

``python benchmarks/load.py [ROUNDS]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from textwrap import dedent
from time import monotonic, perf_counter

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from tests.projects import Served, free_port  # noqa: E402

ROUNDS = 6
CLIENTS = 4
SECONDS = 3.0
"""Of each turn."""
RESULTS = 10_000

MEMORY = f"""
    import gc, resource, time, tracemalloc
    from django.conf import settings

    settings.configure(DATABASES={{}}, INSTALLED_APPS=["django.contrib.contenttypes"])
    import django

    django.setup()
    from smoketest import SmokeTest, scheduling
    from smoketest.options import Options
    from smoketest.results import Report

    methods = {{f"test_{{number}}": lambda self: None for number in range({RESULTS})}}
    case = type("Empty", (SmokeTest,), methods)

    def run():
        tests = [case(name) for name in methods]
        results, _ = scheduling.execute(scheduling.Run(tests, Options(), time.monotonic() + 600))
        return Report.from_results(results, selected=len(tests))

    run()  # what is kept for ever, a class's own facts, is there now
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    report = run()
    gc.collect()
    after, peak = tracemalloc.get_traced_memory()
    print((after - before) / {RESULTS}, (peak - before) / {RESULTS})
"""

SETTINGS = """
    from config.settings import *

    INSTALLED_APPS = [*INSTALLED_APPS, "waiting"]
    ALLOWED_HOSTS = ["*"]
    DEBUG = False
    SMOKETEST_PARALLEL = 50
"""
WAITING = """
    import time
    from smoketest import SmokeTest

    class Waiting(SmokeTest):
        pass

    for number in range(50):
        setattr(Waiting, f"test_{number}", lambda self: time.sleep(1))
"""


def main() -> None:
    """Measure, and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    kept, peak = memory()
    print(f"memory: {kept:.0f} bytes a result are kept, {peak:.0f} at the peak of the run")
    with tempfile.TemporaryDirectory() as name, served_example(Path(name)) as served:
        load(served, rounds)


def memory() -> tuple[float, float]:
    """Return the bytes that each of many results takes, and the peak of the run."""
    said = subprocess.run(
        [sys.executable, "-c", dedent(MEMORY)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    kept, peak = map(float, said.split())
    return kept, peak


@contextmanager
def served_example(folder: Path) -> Iterator[Served]:
    """Serve the example, with an app of waiting tests besides."""
    (folder / "waiting").mkdir()
    (folder / "waiting" / "__init__.py").touch()
    (folder / "waiting" / "smoke.py").write_text(dedent(WAITING))
    (folder / "load_settings.py").write_text(dedent(SETTINGS))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY / "example")]),
        "DJANGO_SETTINGS_MODULE": "load_settings",
        "DATABASE_URL": f"sqlite:///{folder}/shop.sqlite3",
        "ANALYTICS_DATABASE_URL": f"sqlite:///{folder}/visits.sqlite3",
    }
    port = free_port()
    for alias in ("default", "analytics"):
        migrate = ["migrate", "--verbosity", "0", "--database", alias]
        subprocess.run([sys.executable, "-m", "django", *migrate], env=environment, check=True)
    command = [
        sys.executable, "-m", "gunicorn", "--workers", "2", "--worker-class", "gthread",
        "--threads", "8", "--no-control-socket", "--log-level", "warning",
        "--bind", f"127.0.0.1:{port}", "config.wsgi",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    served = Served(process, port, folder / "log")
    try:
        served.wait_until_up()
        yield served
    finally:
        served.kill()


def load(served: Served, rounds: int) -> None:
    """Print the latency of ordinary requests without and with a run beside them."""
    latencies(served)  # warm up
    without, beside = [], []
    for _ in range(rounds):
        without.append(latencies(served))
        over = threading.Event()
        runs = threading.Thread(target=keep_running, args=(served, over))
        runs.start()
        beside.append(latencies(served))
        over.set()
        runs.join()
    medians = [median(one) for one in without], [median(one) for one in beside]
    ratio = median(b / a for a, b in zip(*medians, strict=True))
    print(
        f"load: an ordinary request takes {1000 * median(medians[0]):.2f} ms, and"
        f" {1000 * median(medians[1]):.2f} ms beside a run of 50 waiting tests:"
        f" {ratio:.3f} × ({sum(map(len, without)):,} and {sum(map(len, beside)):,} requests)"
    )


def keep_running(served: Served, over: threading.Event) -> None:
    """Ask for one run after another."""
    while not over.is_set():
        status, body = served.get("/smoketest/?test=waiting")
        if status != 200:
            sys.exit(f"benchmark: the run failed: {body}")


def latencies(served: Served) -> list[float]:
    """Return the seconds of each request of all clients in one turn."""
    taken: list[float] = []
    clients = [threading.Thread(target=ask, args=(served, taken)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return taken


def ask(served: Served, taken: list[float]) -> None:
    """Ask for the page until the turn is over, on one connection after another."""
    until = monotonic() + SECONDS
    while monotonic() < until:
        with closing(HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
            begin = perf_counter()
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            taken.append(perf_counter() - begin)
            if response.status != 200:
                sys.exit(f"benchmark: the page answered {response.status}")


if __name__ == "__main__":
    main()
