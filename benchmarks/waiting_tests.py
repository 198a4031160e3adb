"""How long a run takes beside its slowest test: 50 and 500 tests that wait 100 ms each.

Every second test is a coroutine. All run in one project: by this package with 50 threads
and with the 16 that are the default, by a bare ``ThreadPoolExecutor`` of 50 threads that
calls the same bodies, by plain ``unittest``, and by django-smoketest 1.2.2, which is
installed for that in an environment of its own. Both run one test after another, and
1.2.2 awaits no coroutine, so that half of its tests end at once. One after the other in
every round, so that a busy machine slows all.

``python benchmarks/waiting_tests.py [ROUNDS]``
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.projects import write_bare_project

SIZES = (50, 500)
SECONDS = 0.1
ROUNDS = 3

PROGRAMS = {
    "smoketest, 50 threads": "smoketest 50",
    "smoketest, 16 threads": "smoketest 16",
    "bare pool, 50 threads": "pool 50",
    "unittest": "unittest",
    "smoketest 1.2.2": "upstream",
}

PROJECT = {
    "measure.py": """
        import asyncio, json, os, sys, time, unittest
        from concurrent.futures import ThreadPoolExecutor

        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        import django

        django.setup()


        def smoketest(threads):
            from shop import smoke
            from smoketest import runner

            def run():
                report = runner.run(options=runner.Options(parallel=int(threads), deadline=600))
                return report.counts.passed, max(result.duration for result in report.results)

            return run


        def pool(threads):
            from shop import plain

            def body(test):
                value = getattr(test, test._testMethodName)()
                if value is not None:
                    asyncio.run(value)

            def run():
                tests = unittest.defaultTestLoader.loadTestsFromModule(plain)
                tests = [test for suite in tests for test in suite]
                with ThreadPoolExecutor(int(threads)) as executor:
                    return len(list(executor.map(body, tests))), 0

            return run


        def plain_unittest():
            from shop import plain

            def run():
                result = unittest.TestResult()
                unittest.defaultTestLoader.loadTestsFromModule(plain).run(result)
                return result.testsRun, 0

            return run


        def upstream():
            from django.test import RequestFactory
            from shop import smoke
            from smoketest.views import IndexView

            request = RequestFactory().get("/", headers={"accept": "application/json"})
            return lambda: (json.loads(IndexView.as_view()(request).content)["tests_run"], 0)


        programs = {"smoketest": smoketest, "pool": pool, "unittest": plain_unittest,
                    "upstream": upstream}
        name, *arguments = sys.argv[1:]
        run = programs[name](*arguments)  # what it imports is not measured
        begin = time.perf_counter()
        ran, slowest = run()
        print(json.dumps([time.perf_counter() - begin, ran, slowest]))
        """,
}


def main() -> None:
    """Measure, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="smoketest-benchmark-") as name:
        folder = Path(name)
        pythons = dict.fromkeys(PROGRAMS, sys.executable)
        pythons["smoketest 1.2.2"] = upstream_python(folder / "upstream")
        print(f"{rounds} rounds, medians; the slowest test is the one of the run itself\n")
        print(f"{'':26}{'tests':>6}{'run':>11}{'beside the slowest test':>26}")
        for size in SIZES:
            make_project(folder / str(size), size)
            for program, taken in measured(folder / str(size), pythons, size, rounds).items():
                seconds = median(run for run, _ in taken)
                ratio = median(run / slowest for run, slowest in taken)
                print(f"{program:26}{size:>6}{seconds:>9.3f} s{ratio:>24.2f} ×")
            print()


def upstream_python(folder: Path) -> str:
    """Return an interpreter that has 1.2.2, and the Django that this one has."""
    import django

    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    packages = ["django-smoketest==1.2.2", f"django=={django.__version__}"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def make_project(folder: Path, size: int) -> None:
    """Write a project with ``size`` tests, once for us and 1.2.2 and once for unittest."""
    files = PROJECT | {
        "shop/smoke.py": "from smoketest import SmokeTest\n" + test_class("SmokeTest", size),
        "shop/plain.py": "import unittest\n" + test_class("unittest.IsolatedAsyncioTestCase", size),
    }
    write_bare_project(folder, files)


def test_class(base: str, size: int) -> str:
    """Return the source of ``size`` tests that wait, every second one a coroutine."""
    lines = ["import asyncio, time", f"class Waiting({base}):"]
    for number in range(size):
        wait = "await asyncio.sleep" if number % 2 else "time.sleep"
        kind = "async def" if number % 2 else "def"
        lines.append(f"    {kind} test_{number}(self): {wait}({SECONDS})")
    return "\n".join(lines)


def measured(
    folder: Path, pythons: dict[str, str], size: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return seconds of the run and of its slowest test, round by round."""
    taken: dict[str, list[tuple[float, float]]] = {program: [] for program in pythons}
    for number in range(rounds + 1):
        for program, python in pythons.items():
            serial = "thread" not in program
            if number and serial and size > SIZES[0]:
                continue  # nothing new, and a minute of waiting
            ended = subprocess.run(
                [python, "-W", "ignore", "measure.py", *PROGRAMS[program].split()],
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            seconds, ran, slowest = json.loads(ended.stdout)
            if ran != size:
                sys.exit(f"benchmark: {program} ran {ran} tests of {size}")
            if number or (serial and size > SIZES[0]):  # the first round compiles the modules
                taken[program].append((seconds, slowest or SECONDS))
    return taken


if __name__ == "__main__":
    main()
