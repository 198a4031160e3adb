"""The one door: what a caller is told while a run is under way, and how it ends early."""

from __future__ import annotations

import importlib
import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

from smoketest import runner
from smoketest.exceptions import InvalidSelection
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


# -- what the report says of the run


def test_report_says_where_when_and_how_long(four: None) -> None:
    before = datetime.now(UTC)
    report = runner.run(options=Options(release="2026.3", deadline=7))
    assert (report.node, report.pid) == (socket.gethostname(), os.getpid())
    assert (report.release, report.deadline) == ("2026.3", 7)
    assert before <= report.started_at <= datetime.now(UTC)
    assert report.started_at.utcoffset() == timedelta(0)
    assert 0 < report.duration < 7
    assert (report.selected, report.counts.run, report.counts.classes) == (4, 4, 1)
    assert not report.cached
    assert not report.interrupted
    assert [result.id for result in report.results] == IDS
    assert all(report.started_at <= result.started_at for result in report.results)


CLOCKS = """
    import datetime, time
    from smoketest import SmokeTest

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(1970, 1, 2, tzinfo=tz)

    class FreezingTest(SmokeTest):
        def test_1(self):
            originals = time.time, time.monotonic, datetime.datetime
            self.addCleanup(self.put_back, *originals)
            time.time = time.monotonic = lambda: 0.0
            datetime.datetime = Frozen
            originals_wait(0.01)

        def put_back(self, *originals):
            time.time, time.monotonic, datetime.datetime = originals

    import threading
    originals_wait = threading.Event().wait
"""


def test_clock_that_a_test_freezes_falsifies_no_time(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": CLOCKS})
    before = datetime.now(UTC)
    report = runner.run()
    [result] = report.results
    assert result.label == "passed", result.traceback
    assert 0.01 <= result.duration <= report.duration < 20
    assert before <= report.started_at <= result.started_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(labels=("shop.smoek",)),
        Selection(tags=("nothing-has-this",)),
        Selection(exclude_tags=("nothing-has-this",)),
    ],
    ids=["label", "tag", "exclude-tag"],
)
def test_unknown_word_is_refused_before_any_test_runs(four: None, selection: Selection) -> None:
    told: list[object] = []
    with pytest.raises(InvalidSelection):
        runner.run(selection, on_start=told.append, on_begin=told.append, on_result=told.append)
    assert told == []


def test_selection_of_nothing_is_a_report_that_does_not_pass(four: None) -> None:
    started: list[list[str]] = []
    report = runner.run(Selection(patterns=("nothing has this",)), on_start=started.append)
    assert (report.passed, report.exit_status, report.selected) == (False, 3, 0)
    assert started == [[]]


def test_select_names_what_run_would_run(four: None) -> None:
    selection = Selection(patterns=("test_[23]*", "*test_2"))
    chosen = [candidate.id for candidate in runner.select(selection)]
    assert chosen == [result.id for result in runner.run(selection).results] == [IDS[1]]


@pytest.mark.parametrize(("ceiling", "timed_out"), [(None, False), (0.05, True)])
def test_no_test_may_exceed_the_ceiling_whatever_it_names(
    make_app: MakeApp, ceiling: float | None, timed_out: bool
) -> None:
    smoke = """
        import threading
        from smoketest import SmokeTest, timeout

        class SlowTest(SmokeTest):
            @timeout(60)
            def test_it(self):
                threading.Event().wait(0.3)
    """
    make_app("shop", {"smoke.py": smoke})
    [result] = runner.run(options=Options(timeout_ceiling=ceiling)).results
    assert result.timed_out is timed_out


def test_host_of_the_options_is_that_of_the_client(make_app: MakeApp) -> None:
    smoke = """
        from smoketest import SmokeTest

        class HostTest(SmokeTest):
            def test_it(self):
                response = self.client.get("/no-such-page")
                self.assertEqual(response.wsgi_request.get_host(), "smoke.example")
    """
    make_app("shop", {"smoke.py": smoke})
    report = runner.run(options=Options(host="smoke.example"))
    assert report.passed, report.results[0].traceback
