"""The one door: what a caller is told while a run is under way, and how it ends early."""

from __future__ import annotations

import importlib

import pytest

from smoketest import runner
from smoketest.options import Options
from smoketest.results import TestResult
from smoketest.runner import Stopped
from smoketest.selection import Selection
from tests.conftest import MakeApp

FOUR = """
    from smoketest import SmokeTest

    class Four(SmokeTest):
        def test_1(self): pass
        def test_2(self): pass
        def test_3(self): pass
        def test_4(self): pass
"""
IDS = [f"shop.smoke.Four.test_{number}" for number in range(1, 5)]
ONE_BY_ONE = Options(parallel=1)


@pytest.fixture
def four(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": FOUR})


@pytest.mark.usefixtures("four")
def test_a_caller_is_told_of_the_start_then_of_each_beginning_and_end() -> None:
    told: list[str] = []
    runner.run(
        Selection(patterns=("test_1", "test_2")),
        ONE_BY_ONE,
        on_start=lambda ids: told.append(f"start {len(ids)}"),
        on_begin=lambda id: told.append(f"begin {id[-1]}"),
        on_result=lambda result: told.append(f"end {result.id[-1]}"),
    )
    assert told[:2] == ["start 2", "begin 1"]
    assert sorted(told) == ["begin 1", "begin 2", "end 1", "end 2", "start 2"]
    assert told.index("begin 1") < told.index("end 1")
    assert told.index("begin 2") < told.index("end 2")


def test_a_fixture_is_no_test_that_begins(make_app: MakeApp) -> None:
    fixture = "class Four(SmokeTest):\n        setUpClass = classmethod(lambda cls: None)\n"
    make_app("shop", {"smoke.py": FOUR.replace("class Four(SmokeTest):\n", fixture)})
    begun: list[str] = []
    runner.run(on_begin=begun.append, options=ONE_BY_ONE)
    assert begun == IDS


def test_a_caller_who_has_seen_enough_ends_the_run_and_what_runs_beside(
    make_app: MakeApp,
) -> None:
    smoke = """
        import threading
        from smoketest import SmokeTest

        begun, never = threading.Event(), threading.Event()

        class Three(SmokeTest):
            def test_1(self): begun.wait()

            def test_2(self):
                begun.set()
                never.wait()

            def test_3(self): pass
    """
    make_app("shop", {"smoke.py": smoke})
    once = iter([True])

    def enough(result: TestResult) -> None:
        if next(once, False):
            raise Stopped("Nobody reads on")

    report = runner.run(options=Options(parallel=2), on_result=enough)
    importlib.import_module("shop.smoke").never.set()
    first, second = report.results[:2]
    assert (first.label, second.label, second.cut_off) == ("passed", "errored", True)
    assert second.message.startswith("Nobody reads on while it was running")
    assert not report.passed
