"""``--wait``: what failed is run again until it passes, and the report says so."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from smoketest import waiting
from smoketest.options import Options
from smoketest.results import Report
from smoketest.selection import Selection
from smoketest.waiting import Waiting
from tests.conftest import MakeApp, Outside

STARTING = """
    from smoketest import SmokeTest, optional

    up_after = 2
    calls = []

    class First(SmokeTest):
        def test_always(self):
            calls.append("always")

        def test_service(self):
            calls.append("service")
            self.assertGreater(calls.count("service"), up_after, "not up yet")

    class Second(SmokeTest):
        @optional
        def test_extra(self):
            calls.append("extra")
            self.fail("no extra")
"""
ALWAYS, SERVICE = "shop.smoke.First.test_always", "shop.smoke.First.test_service"
EXTRA = "shop.smoke.Second.test_extra"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.on_sleep: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.on_sleep()
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "monotonic", clock.monotonic)
    monkeypatch.setattr(waiting, "sleep", clock.sleep)
    return clock


def run(patience: float, selection: Selection | None = None, **values: Any) -> Report:
    options = Options(**{"parallel": 1, **values})
    return Waiting(selection or Selection(), options).run(patience)


def labels(report: Report) -> dict[str, str]:
    return {result.id: result.label for result in report.results}


def calls() -> list[str]:
    return list(importlib.import_module("shop.smoke").calls)


@pytest.fixture
def starting(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": STARTING})


@pytest.mark.usefixtures("starting")
def test_only_what_failed_runs_again_until_it_passes(clock: Clock) -> None:
    report = run(10)
    assert report.passed
    assert labels(report) == {ALWAYS: "passed", SERVICE: "passed", EXTRA: "warned"}
    assert [result.retried for result in report.results] == [False, True, False]
    assert calls() == ["always", "service", "extra", "service", "service"]
    assert (clock.now, report.duration, report.selected) == (2, 2, 3)


@pytest.mark.usefixtures("starting")
def test_no_attempt_begins_when_patience_is_over(clock: Clock) -> None:
    report = run(1.5)
    assert report.exit_status == 1
    assert labels(report)[SERVICE] == "failed"
    assert calls().count("service") == 2
    assert clock.now == 1


@pytest.mark.usefixtures("starting")
def test_a_run_that_passes_at_once_is_not_repeated(clock: Clock) -> None:
    report = run(10, Selection(labels=(ALWAYS,)))
    assert report.passed
    assert clock.now == 0


@pytest.mark.usefixtures("starting")
def test_nothing_selected_is_not_waited_for(clock: Clock) -> None:
    assert run(10, Selection(patterns=("nothing_like_it",))).exit_status == 3
    assert clock.now == 0


@pytest.mark.usefixtures("starting")
def test_what_failfast_left_out_runs_in_the_next_attempt() -> None:
    report = run(10, failfast=True)
    assert report.passed
    assert list(labels(report)) == [ALWAYS, SERVICE, EXTRA]
    assert [result.retried for result in report.results] == [False, True, False]


def test_a_module_that_can_be_imported_later_gives_its_tests(make_app: MakeApp) -> None:
    folder = make_app("shop", {"smoke.py": "1 / 0"})
    make_app("stock", {"smoke.py": STARTING.replace("up_after = 2", "up_after = 0")})
    (folder / "up").touch()
    smoke = """
from pathlib import Path
from smoketest import SmokeTest
path = Path(__file__).with_name("up")
if path.exists():
    path.unlink()
    raise OSError("not up yet")

class Late(SmokeTest):
    def test_1(self): pass
    def test_2(self): pass
"""
    (folder / "smoke.py").write_text(smoke)
    report = run(10)
    assert report.passed
    found = [(result.id, result.retried) for result in report.results]
    assert found[:2] == [("shop.smoke.Late.test_1", True), ("shop.smoke.Late.test_2", True)]
    assert [retried for _, retried in found[2:]] == [False, False, False]
    assert report.selected == 5


def test_a_module_that_only_imports_its_tests_can_be_imported_later(make_app: MakeApp) -> None:
    smoke = """
        from pathlib import Path
        path = Path(__file__).with_name("tried")
        if not path.exists():
            path.touch()
            raise OSError("not up yet")
        from shop.elsewhere import *
    """
    tests = STARTING.replace("up_after = 2", "up_after = 1")
    make_app("shop", {"smoke.py": smoke, "elsewhere.py": tests})
    report = run(10)
    assert report.passed
    assert sorted(labels(report)) == sorted(
        one.replace("smoke", "elsewhere") for one in (ALWAYS, SERVICE, EXTRA)
    )
    assert report.selected == 3


def test_a_module_that_has_no_test_when_it_loads_ends_the_wait(make_app: MakeApp) -> None:
    smoke = """
        from pathlib import Path
        path = Path(__file__).with_name("tried")
        if not path.exists():
            path.touch()
            raise OSError("not up yet")
    """
    make_app("shop", {"smoke.py": smoke})
    report = run(10)
    assert labels(report) == {"shop.smoke": "errored"}


def test_a_class_is_run_again_whose_fixture_failed(make_app: MakeApp) -> None:
    smoke = """
        from smoketest import SmokeTest
        calls = []

        class Shared(SmokeTest):
            @classmethod
            def tearDownClass(cls):
                calls.append("down")
                if len(calls) == 1:
                    raise OSError("not up yet")

            def test_it(self): pass
    """
    make_app("shop", {"smoke.py": smoke})
    report = run(10)
    assert report.passed
    assert [(one.id, one.retried) for one in report.results] == [
        ("shop.smoke.Shared.test_it", True)
    ]


def test_a_fixture_that_keeps_failing_stands_behind_its_tests(make_app: MakeApp) -> None:
    smoke = """
        from smoketest import SmokeTest
        calls = []

        class Shared(SmokeTest):
            @classmethod
            def tearDownClass(cls):
                raise OSError("not up yet")

            def test_it(self): pass

        class Last(SmokeTest):
            def test_it(self): pass
    """
    make_app("shop", {"smoke.py": smoke})
    assert list(labels(run(1))) == [
        "shop.smoke.Shared.test_it",
        "shop.smoke.Shared.tearDownClass",
        "shop.smoke.Last.test_it",
    ]


@pytest.mark.usefixtures("starting")
def test_ctrl_c_while_waiting_gives_the_report_so_far(clock: Clock) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.on_sleep = interrupt
    report = run(10)
    assert report.interrupted
    assert labels(report)[SERVICE] == "failed"


@pytest.mark.usefixtures("starting")
def test_callbacks_are_told_of_each_attempt_and_of_what_is_retried() -> None:
    started: list[int] = []
    ended: list[tuple[str, bool]] = []
    Waiting(
        Selection(labels=(SERVICE,)),
        Options(),
        on_start=lambda ids: started.append(len(ids)),
        on_result=lambda result: ended.append((result.label, result.retried)),
    ).run(10)
    assert started == [1, 1, 1]
    assert ended == [("failed", False), ("failed", True), ("passed", True)]


def test_each_attempt_has_a_connection_of_its_own(
    make_app: MakeApp, sqlite: object, outside: Outside
) -> None:
    smoke = """
        from django.db import connection
        from smoketest import SmokeTest
        from tests.testapp.models import Item
        seen = []

        class Connected(SmokeTest):
            def test_it(self):
                Item.objects.create(name="smoke")
                seen.append(connection.connection)
                self.assertGreater(len(seen), 1)
    """
    make_app("shop", {"smoke.py": smoke})
    assert run(10).passed
    first, second = importlib.import_module("shop.smoke").seen
    assert first is not second
    assert outside("SELECT name FROM testapp_item") == []
