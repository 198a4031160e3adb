"""What the engine costs: tests that do nothing, through the command and through plain unittest.

Ours runs with 16 threads, and once more with one (*serial*). Each runs in a process of its
own that begins in the same way (Python, Django, the settings, the apps), one beside the
other in every round, so that a busy machine slows all. Printed are medians over the rounds,
and medians of the ratios of each round:

- *process*: the whole process, as a deploy script waits for it, in seconds
- *inside*: finding and running the tests, as the process itself measures it, in
  microseconds a test

At the end stands what the results of the larger run take of the memory.

``python benchmarks/empty_tests.py [ROUNDS]``
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.projects import write_bare_project

SIZES = (1_000, 10_000)
TESTS_IN_A_CLASS = 10
ROUNDS = 7
PROGRAMS = {
    "plain": ["plain"],
    "smoketest": ["smoketest", "--format", "text"],
    "serial": ["smoketest", "--format", "text", "--parallel", "1"],
}
"""The arguments for ``manage.py``; ``plain`` is a command of the project below."""

PROJECT = {
    "manage.py": """
        import os, sys
        from django.core.management import execute_from_command_line
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        execute_from_command_line(sys.argv)
        """,
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/plain.py": """
        import os, time, unittest
        from django.core.management import BaseCommand

        class Command(BaseCommand):
            def handle(self, **options):
                start = time.perf_counter()
                tests = unittest.defaultTestLoader.loadTestsFromName("shop.plain")
                with open(os.devnull, "w") as nowhere:
                    result = unittest.TextTestRunner(nowhere, verbosity=0).run(tests)
                print(f"tests run: {result.testsRun}")
                print(f"time: {1000 * (time.perf_counter() - start)}ms")
        """,
}


@dataclass(frozen=True)
class Sample:
    """One process."""

    process: float
    """Seconds for all of it."""
    inside: float
    """Microseconds a test."""


def main() -> None:
    """Measure, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="smoketest-benchmark-") as folder:
        samples = measured(Path(folder), rounds)
        memory = memory_of_results(Path(folder) / str(SIZES[-1]))
    print(f"{rounds} rounds, medians; {sys.version.split()[0]} on {os.cpu_count()} processors\n")
    print(f"{'':24}{'process':>12}{'inside':>16}")
    for (name, size), taken in samples.items():
        process = median(sample.process for sample in taken)
        inside = median(sample.inside for sample in taken)
        print(f"{name:12}{size:>8,}    {process:>10.3f} s{inside:>10.1f} µs/test")
    print()
    for size in SIZES:
        for name in ("smoketest", "serial"):
            compare(f"{name} / plain, {size:,}", samples[name, size], samples["plain", size])
    few, many = SIZES
    print(f"memory of {many:,} results: {memory:,} bytes")
    compare(f"smoketest, {many:,} / {few:,}", samples["smoketest", many], samples["smoketest", few])


def measured(folder: Path, rounds: int) -> dict[tuple[str, int], list[Sample]]:
    """Return the samples of every program and size, in the order in which they are printed."""
    for size in SIZES:
        make_project(folder / str(size), size)
    samples: dict[tuple[str, int], list[Sample]] = {
        (name, size): [] for size in SIZES for name in PROGRAMS
    }
    for number in range(rounds + 1):
        for (name, size), taken in samples.items():
            sample = run(folder / str(size), name, size)
            if number:  # the first round compiles the modules
                taken.append(sample)
    return samples


def make_project(folder: Path, size: int) -> None:
    """Write a project with ``size`` tests of either kind."""
    files = PROJECT | {
        "shop/plain.py": "from unittest import TestCase\n" + test_classes("TestCase", size),
        "shop/smoke.py": "from smoketest import SmokeTest\n" + test_classes("SmokeTest", size),
    }
    write_bare_project(folder, files)


def test_classes(base: str, size: int) -> str:
    """Return the source of ``size`` tests that do nothing."""
    methods = "\n".join(f"    def test_{n}(self): pass" for n in range(TESTS_IN_A_CLASS))
    classes = range(size // TESTS_IN_A_CLASS)
    return "\n".join(f"class Test{n}({base}):\n{methods}" for n in classes)


def run(folder: Path, name: str, size: int) -> Sample:
    """Run ``manage.py name`` and return how long it took; stop where it ran other tests."""
    start = perf_counter()
    ended = subprocess.run(
        [sys.executable, "manage.py", *PROGRAMS[name]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},  # nobody's compiling is measured
    )
    process = perf_counter() - start
    counted = re.search(r"^tests run: (\d+)$", ended.stdout, re.MULTILINE)
    inside = re.search(r"^time: ([\d.]+)ms$", ended.stdout, re.MULTILINE)
    if not counted or not inside or int(counted[1]) != size:
        sys.exit(f"benchmark: manage.py {name} did not run {size} tests:\n{ended.stdout}")
    return Sample(process, 1000 * float(inside[1]) / size)


MEASURE_MEMORY = """
import gc, os, tracemalloc
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from smoketest import runner
tracemalloc.start()
report = runner.run(options=runner.Options(deadline=600))
gc.collect()
before = tracemalloc.get_traced_memory()[0]
del report
gc.collect()
print(before - tracemalloc.get_traced_memory()[0])
"""


def memory_of_results(folder: Path) -> int:
    """Return the bytes that are free once the report of a run in ``folder`` is let go of."""
    command = [sys.executable, "-c", MEASURE_MEMORY]
    ended = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return int(ended.stdout)


def compare(what: str, these: list[Sample], those: list[Sample]) -> None:
    """Print the ratio of ``these`` to ``those``, round by round."""
    process = median(a.process / b.process for a, b in zip(these, those, strict=True))
    inside = median(a.inside / b.inside for a, b in zip(these, those, strict=True))
    print(f"{what:28}{process:>8.2f} ×{inside:>12.2f} × a test")


if __name__ == "__main__":
    main()
