"""A smoke module whose import does not end is an error, and nobody waits for it twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from smoketest import importing, runner
from smoketest.importing import Importer
from smoketest.options import Options
from smoketest.results import Report
from tests.conftest import MakeApp
from tests.projects import Project

LONG = 60.0
"""Seconds; whoever waits for that long hangs."""

GATES = {"open": threading.Event()}
"""What modules wait for as they are imported."""

HANGS = """
    from smoketest import SmokeTest
    from tests.test_importing import GATES

    GATES["open"].wait()

    class AwaitedTest(SmokeTest):
        def test_it(self): pass
"""
PASSES = """
    from smoketest import SmokeTest

    class T(SmokeTest):
        def test_it(self): pass
"""


@pytest.fixture(autouse=True)
def gate() -> Iterator[threading.Event]:
    """What the module waits for; it is open at the end."""
    gate = GATES["open"] = threading.Event()
    yield gate
    gate.set()
    for running in list(importing._under_way.values()):
        running.join(LONG)
    importing._under_way.clear()


def run(timeout: float = 0.2) -> Report:
    return runner.run(options=Options(timeout=timeout, deadline=LONG))


def outcomes(report: Report) -> list[str]:
    return [f"{result.id} {result.label}" for result in report.results]


def test_module_whose_import_hangs_is_an_error_and_the_rest_runs(make_app: MakeApp) -> None:
    folder = make_app("shop", {"smoke.py": HANGS})
    make_app("stock", {"smoke.py": PASSES})
    report = run()
    assert outcomes(report) == ["shop.smoke errored", "stock.smoke.T.test_it passed"]
    result = report.results[0]
    assert "shop.smoke cannot be imported: TimeoutError: it is still being imported since" in (
        result.message
    )
    assert (Path(result.file).name, result.line) == ("smoke.py", 5)
    assert f'File "{folder / "smoke.py"}", line 5' in result.traceback
    assert 'GATES["open"].wait()' in result.traceback


def test_later_runs_say_so_at_once(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": HANGS})
    run()
    before = set(threading.enumerate())
    begin = monotonic()
    importing._under_way["shop.smoke"].begun -= LONG
    assert outcomes(run(timeout=LONG)) == ["shop.smoke errored"]
    assert monotonic() - begin < LONG / 4
    assert set(threading.enumerate()) <= before  # no second import


def test_later_run_that_gives_more_time_waits_for_the_rest_of_it(
    make_app: MakeApp, gate: threading.Event
) -> None:
    make_app("shop", {"smoke.py": HANGS})
    run()
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(run, timeout=LONG)
        with suppress(TimeoutError):
            report.result(0.5)  # where it does not wait it is over by now
        gate.set()
        assert outcomes(report.result(LONG)) == ["shop.smoke.AwaitedTest.test_it passed"]


def test_module_is_there_once_its_import_has_ended(
    make_app: MakeApp, gate: threading.Event
) -> None:
    make_app("shop", {"smoke.py": HANGS})
    run()
    gate.set()
    importing._under_way["shop.smoke"].join(LONG)
    assert outcomes(run()) == ["shop.smoke.AwaitedTest.test_it passed"]


def test_modules_that_hang_share_one_limit(make_app: MakeApp) -> None:
    for name in ("shop", "stock", "bank"):
        make_app(name, {"smoke.py": HANGS})
    importer = Importer(timeout=LONG, deadline=0.4)
    begin = monotonic()
    for name in ("shop", "stock", "bank"):
        with pytest.raises(TimeoutError):
            importer.load(f"{name}.smoke")
    assert 0.3 <= monotonic() - begin < importing.GRACE + LONG / 4


def test_what_an_import_raises_is_raised_and_it_is_tried_again(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "raise SystemExit(3)"})
    importer = Importer(timeout=LONG, deadline=LONG)
    for _ in range(2):
        with pytest.raises(SystemExit):
            importer.load("shop.smoke")
    assert not importing._under_way


def test_module_that_is_there_costs_no_thread(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_app("shop", {"smoke.py": PASSES})
    first = Importer(LONG, LONG).load("shop.smoke")
    monkeypatch.delattr(importing, "_Import")
    assert Importer(LONG, LONG).load("shop.smoke") is first


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_servers_answer_although_an_import_hangs(server: str, tmp_path: Path) -> None:
    project = Project(tmp_path, "SMOKETEST_TIMEOUT = 0.5")
    os.mkfifo(tmp_path / "nobody-writes")
    project.smoke(f"""
        open({str(tmp_path / "nobody-writes")!r}).read()
    """)
    with project.served_by(server) as served:
        for _ in range(2):
            status, body = served.get("/smoketest/?format=json")
            (result,) = json.loads(body)["results"]
            assert (status, result["id"], result["outcome"]) == (500, "shop.smoke", "errored")
            assert "still being imported since" in result["message"]
