"""Turns at the interpreter are short while a limit is near, and as they were afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic

import pytest

from smoketest import SmokeTest, scheduling, timeout
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from smoketest.scheduling import turns
from smoketest.scheduling.turns import SHORT, Turns

pytestmark = pytest.mark.usefixtures("sqlite")

USUAL = 0.004
"""Not Python's own, so that it must have been kept."""


@pytest.fixture(autouse=True)
def _usual_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def are_short() -> bool:
    return sys.getswitchinterval() == pytest.approx(SHORT)


def are_usual() -> bool:
    return sys.getswitchinterval() == pytest.approx(USUAL)


def run(*names: str, limit: float, seconds: float = 60.0) -> list[TestResult]:
    """Run tests of ``Looping`` one after another."""
    options = Options(parallel=1, timeout=limit, deadline=seconds)
    tests = [Looping(name) for name in names]
    results, _ = scheduling.execute(scheduling.Run(tests, options, monotonic() + seconds))
    return results


class Looping(SmokeTest):
    __test__ = False

    def test_until_turns_are_short(self) -> None:
        while not are_short():
            pass

    def test_endless(self) -> None:
        while True:
            pass

    @timeout(60)
    def test_until_turns_are_usual(self) -> None:
        while not are_usual():
            pass


@pytest.fixture
def _early(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second may be over before anybody has had a turn."""
    monkeypatch.setattr(turns, "LEAD", 30)


@pytest.mark.usefixtures("_early")
@pytest.mark.parametrize(("limit", "seconds"), [(30.1, 60), (60, 30.1)], ids=["limit", "deadline"])
def test_turns_are_short_as_time_is_nearly_up_and_usual_after_the_run(
    limit: float, seconds: float
) -> None:
    [result] = run("test_until_turns_are_short", limit=limit, seconds=seconds)
    assert result.outcome is Outcome.PASSED, result.message
    assert are_usual()


@pytest.mark.usefixtures("_early")
def test_turns_are_usual_again_where_no_limit_is_near() -> None:
    both = run("test_until_turns_are_short", "test_until_turns_are_usual", limit=30)
    assert [result.message for result in both] == ["", ""]


def test_turns_are_usual_after_a_run_that_cut_a_loop_off() -> None:
    [result] = run("test_endless", limit=0.1)
    assert result.timed_out
    assert are_usual()


@pytest.mark.usefixtures("_early")
def test_turns_are_usual_after_a_run_that_broke_off() -> None:
    def broken(result: TestResult) -> None:
        assert are_short()
        raise ZeroDivisionError

    options = Options(timeout=30)
    test = Looping("test_until_turns_are_short")
    with pytest.raises(ZeroDivisionError):
        scheduling.execute(scheduling.Run([test], options, monotonic() + 60, broken))
    assert are_usual()


def test_turns_stay_short_until_the_last_run_wants_them_no_more() -> None:
    one, other = Turns(), Turns()
    one.shorten()
    one.shorten()
    other.shorten()
    one.restore()
    one.restore()
    assert are_short()
    other.restore()
    assert are_usual()


def test_turns_that_the_site_sets_meanwhile_are_left_as_it_wants_them() -> None:
    wish = Turns()
    wish.shorten()
    sys.setswitchinterval(0.002)
    wish.restore()
    assert sys.getswitchinterval() == pytest.approx(0.002)


@pytest.mark.parametrize("usual", [0.000099, 0.004999])
def test_no_microsecond_is_lost(usual: float) -> None:
    sys.setswitchinterval(usual + 5e-7)
    before = sys.getswitchinterval()
    wish = Turns()
    wish.shorten()
    assert sys.getswitchinterval() <= before
    wish.restore()
    assert sys.getswitchinterval() == before
