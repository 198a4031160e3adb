"""A test's time: how it is counted, what becomes of a test that is over it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic

import pytest

from smoketest import SmokeTest, timeouts
from smoketest.recorder import Problem
from smoketest.results import Outcome
from smoketest.timeouts import Stretch

AT_ONCE = 10.0
"""Seconds after which something that should happen at once is taken to hang."""


class SomeTest(SmokeTest):
    __test__ = False

    def test_it(self) -> None:
        """It is there."""


def stretch_of(test: SmokeTest, limit: float = 5.0) -> Stretch:
    return Stretch(test, limit, monotonic(), datetime.now(UTC), threading.get_ident())


@pytest.fixture
def stretch() -> Stretch:
    return stretch_of(SomeTest("test_it"))


# -- counting


def test_time_is_up_after_the_limit(stretch: Stretch) -> None:
    assert stretch.expires == stretch.may_expire() == stretch.start + 5.0
    assert 0 <= stretch.elapsed() < 5


@pytest.fixture
def now(stretch: Stretch, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The only item is the time, which stands still: a second after the stretch began."""
    now = [stretch.start + 1.0]
    monkeypatch.setattr("smoketest.timeouts.monotonic", lambda: now[0])
    return now


def test_paused_time_does_not_count(stretch: Stretch, now: list[float]) -> None:
    stretch.pause()
    assert stretch.expires == math.inf
    now[0] += 2.0
    stretch.resume()
    assert stretch.expires == pytest.approx(stretch.start + 2.0 + 5.0)


def test_paused_time_is_no_part_of_what_it_took(stretch: Stretch, now: list[float]) -> None:
    stretch.pause()
    now[0] += 2.0
    assert (stretch.elapsed(), stretch.waited(), stretch.taken()) == pytest.approx((3.0, 2.0, 1.0))
    stretch.resume()
    now[0] += 0.5
    assert (stretch.elapsed(), stretch.waited(), stretch.taken()) == pytest.approx((3.5, 2.0, 1.5))


def test_paused_time_may_be_up_when_what_was_left_has_passed(
    stretch: Stretch, now: list[float]
) -> None:
    stretch.pause()
    now[0] += 2.0
    assert stretch.may_expire() == pytest.approx(now[0] + 4.0)


def test_paused_with_no_time_left_is_looked_at_again_but_not_without_pause(
    stretch: Stretch, now: list[float]
) -> None:
    now[0] += 60.0
    stretch.pause()
    assert now[0] < stretch.may_expire() <= now[0] + 0.05


# -- one verdict


def test_verdict_can_be_claimed_once(stretch: Stretch) -> None:
    assert [stretch.take(), stretch.take()] == [True, False]


def test_verdict_goes_to_one_of_many_threads(stretch: Stretch) -> None:
    line = threading.Barrier(8)
    claims: list[bool] = []

    def claim() -> None:
        line.wait(AT_ONCE)
        claims.append(stretch.take())

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 7 + [True]


def test_result_has_the_time_from_the_beginning_until_now(stretch: Stretch) -> None:
    problem = Problem(Outcome.ERRORED, "too late", "", "", 0)
    result = stretch.result(SomeTest("test_it"), problem, timed_out=True)
    assert (result.message, result.timed_out, result.cut_off) == ("too late", True, False)
    assert result.started_at == stretch.started_at
    assert 0 <= result.duration <= stretch.elapsed()
    assert result.description == "It is there."
    timed = stretch.timed(result, cut_off=True)
    assert (timed.cut_off, timed.message) == (True, "too late")
    assert timed.duration >= result.duration


def test_stack_is_that_of_the_thread_at_this_moment(stretch: Stretch) -> None:
    assert "stretch.stack()  # here" in stretch.stack()  # here


def test_thread_that_has_ended_has_no_stack() -> None:
    found: list[Stretch] = []
    thread = threading.Thread(target=lambda: found.append(stretch_of(SomeTest("test_it"))))
    thread.start()
    thread.join()
    assert found[0].stack() == ""


# -- what was let go


@pytest.fixture
def open_gate() -> Iterator[threading.Event]:
    """Threads of a test wait here, and end with it."""
    gate = threading.Event()
    yield gate
    gate.set()
    for gone in timeouts.stuck():
        gone.thread.join(AT_ONCE)
    for thread in threading.enumerate():
        if thread.name == "smoketest-abandons":
            thread.join(AT_ONCE)
    assert timeouts.stuck() == []


def let_go(gate: threading.Event, name: str = "test_it") -> tuple[threading.Thread, list[str]]:
    """Let go of a thread that waits at ``gate``; return it and the reasons it was given."""
    reasons: list[str] = []
    given = threading.Event()

    def abandon(reason: str) -> None:
        reasons.append(reason)
        given.set()

    class NamedTest(SomeTest):
        def id(self) -> str:
            return name

    thread = threading.Thread(target=gate.wait, args=(AT_ONCE,))
    thread.start()
    subject = stretch_of(NamedTest("test_it"))
    timeouts.let_go([timeouts.LetGo(subject, thread, abandon)])
    assert given.wait(AT_ONCE)
    return thread, reasons


def test_databases_of_what_is_let_go_are_closed_to_it(open_gate: threading.Event) -> None:
    _, [reason] = let_go(open_gate, "shop.smoke.ATest.test_it")
    assert reason.startswith("shop.smoke.ATest.test_it is over its time")
    assert "closed" in reason
    assert "Look at the report" in reason


def test_what_is_stuck_is_not_to_be_started_until_its_thread_has_ended(
    open_gate: threading.Event,
) -> None:
    thread, _ = let_go(open_gate)
    [gone] = timeouts.stuck()
    assert (gone.name, gone.thread) == ("test_it", thread)
    reason = timeouts.reason_not_to_start("test_it", 0.0)
    assert reason is not None
    assert reason.startswith(f"Still running since {gone.stretch.started_at:%Y-%m-%dT%H:%M}")
    assert timeouts.reason_not_to_start("another", 0.0) is None
    open_gate.set()
    thread.join(AT_ONCE)
    assert timeouts.reason_not_to_start("test_it", 0.0) is None
    assert timeouts.stuck() == []


def test_what_was_cut_off_before_its_limit_is_waited_for(open_gate: threading.Event) -> None:
    let_go(open_gate)
    with ThreadPoolExecutor(1) as pool:
        reason = pool.submit(timeouts.reason_not_to_start, "test_it", AT_ONCE)
        assert not reason.done()
        open_gate.set()
        assert reason.result(AT_ONCE) is None


def test_process_that_carries_too_many_stuck_threads_starts_no_test_any_more(
    open_gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "MOST_STUCK", 2)
    let_go(open_gate, "first")
    assert timeouts.reason_not_to_start("another", 0.0) is None
    let_go(open_gate, "second")
    reason = timeouts.reason_not_to_start("another", 0.0)
    assert reason is not None
    assert reason.startswith("Not started: 2 tests of earlier runs are stuck")
    assert "restart the process" in reason


def test_what_has_ended_is_forgotten_without_another_run() -> None:
    gate = threading.Event()
    gate.set()
    let_go(gate)
    for thread in threading.enumerate():
        if thread.name == "smoketest-abandons":
            thread.join(AT_ONCE)
    assert timeouts._let_go == {}


def test_endless_loop_in_the_tests_own_code_is_ended() -> None:
    begun = threading.Event()
    ended: list[type[BaseException]] = []

    def loop() -> None:
        try:
            begun.set()
            while True:
                pass
        except BaseException as error:  # noqa: BLE001 - what ends it
            ended.append(type(error))

    thread = threading.Thread(target=loop)
    thread.start()
    assert begun.wait(AT_ONCE)
    stretch = Stretch(SomeTest("test_it"), 1.0, monotonic(), datetime.now(UTC), thread.ident or 0)
    timeouts.let_go([timeouts.LetGo(stretch, thread, lambda reason: None)])
    thread.join(AT_ONCE)
    assert [error.__name__ for error in ended] == ["TimedOut"]
    for other in threading.enumerate():
        if other.name == "smoketest-abandons":
            other.join(AT_ONCE)
