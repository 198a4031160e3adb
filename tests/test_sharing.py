"""One run at a time; callers share it, wait for their turn, or are sent away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.db import transaction

from smoketest import refusals, sharing
from smoketest.results import Outcome, Report, TestResult
from smoketest.sharing import ANYBODY, Busy, Caller, Nested, Sharing

PATIENCE = 30.0


def report(outcome: Outcome = Outcome.PASSED, **values: Any) -> Report:
    return Report.from_results([TestResult(id="a.b", outcome=outcome, **values)], selected=1)


@dataclass
class Runs:
    """A run that counts its calls, and waits in each until it is let go."""

    answer: Callable[[], Report] = report
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go_on: threading.Event = field(default_factory=threading.Event)
    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> Report:
        self.seconds.append(seconds)
        self.started.release()
        assert self.go_on.wait(PATIENCE)
        return self.answer()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as executor:
        yield executor


@pytest.fixture
def turns() -> Sharing:
    return Sharing()


class Clock:
    """Time that only moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sharing, "monotonic", clock)
    return clock


def waiting(turns: Sharing) -> int:
    return len(turns._turn._waiters)  # type: ignore[attr-defined]


def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds; each look gives the other threads their chance."""
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never happened")


def test_a_caller_alone_gets_a_run_of_its_own(turns: Sharing) -> None:
    one, two = report(), report(Outcome.FAILED)
    assert turns.shared_run("k", lambda _: one, deadline=25) is one
    assert turns.shared_run("k", lambda _: two, deadline=25) is two


def test_a_run_gets_all_of_the_deadline_when_nobody_is_before_it(turns: Sharing) -> None:
    runs = Runs()
    runs.go_on.set()
    turns.shared_run("k", runs, deadline=25)
    assert runs.seconds == [25]


def test_a_hundred_callers_of_the_same_cause_one_run(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    runs = Runs()
    answers = [pool.submit(turns.shared_run, "k", runs, deadline=PATIENCE) for _ in range(100)]
    until(lambda: waiting(turns) == 99)
    runs.go_on.set()
    reports = [answer.result(PATIENCE) for answer in answers]
    assert len({id(report.results) for report in reports}) == 1
    assert len(runs.seconds) == 1
    assert not any(report.cached for report in reports)


def test_all_but_the_caller_who_began_it_are_told_that_the_run_is_shared(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    runs = Runs()
    begun = start(turns, pool, "k", runs)
    others = [pool.submit(turns.shared_run, "k", runs, deadline=PATIENCE) for _ in range(3)]
    until(lambda: waiting(turns) == 3)
    runs.go_on.set()
    assert not begun.result(PATIENCE).shared
    assert [other.result(PATIENCE).shared for other in others] == [True] * 3
    again = turns.shared_run("k", runs, deadline=PATIENCE, cache_seconds=60)
    assert not again.shared
    assert not turns.shared_run("k", runs, deadline=PATIENCE, cache_seconds=60).shared


def start(turns: Sharing, pool: ThreadPoolExecutor, key: str, runs: Runs) -> Future[Report]:
    """Begin a run, and return when it is under way."""
    answer = pool.submit(turns.shared_run, key, runs, deadline=PATIENCE)
    assert runs.started.acquire(timeout=PATIENCE)
    return answer


def test_another_selection_waits_for_its_turn(turns: Sharing, pool: ThreadPoolExecutor) -> None:
    first, second = Runs(), Runs(lambda: report(Outcome.FAILED))
    one = start(turns, pool, "one", first)
    two = pool.submit(turns.shared_run, "two", second, deadline=PATIENCE)
    until(lambda: waiting(turns) == 1)
    assert not second.seconds
    first.go_on.set()
    second.go_on.set()
    assert one.result(PATIENCE).passed
    assert not two.result(PATIENCE).passed
    assert 0 < second.seconds[0] < PATIENCE


def test_who_is_preferred_gets_the_next_turn_before_all_who_wait_longer(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    first, others, second = Runs(), Runs(), Runs()
    one = start(turns, pool, "one", first)
    crowd = [pool.submit(turns.shared_run, key, others, deadline=PATIENCE) for key in range(20)]
    until(lambda: waiting(turns) == 20)
    two = pool.submit(
        turns.shared_run, "two", second, deadline=PATIENCE, caller=Caller(preferred=True)
    )
    until(lambda: waiting(turns) == 21)
    first.go_on.set()
    assert second.started.acquire(timeout=PATIENCE)
    assert others.seconds == []
    for runs in (second, others):
        runs.go_on.set()
    assert all(answer.result(PATIENCE).passed for answer in (one, two, *crowd))


def test_who_waits_behind_the_preferred_is_busy_in_time_and_goes_on_after_them(
    turns: Sharing, pool: ThreadPoolExecutor, clock: Clock
) -> None:
    with turns._turn, turns._preferring(Caller(preferred=True)):
        two = pool.submit(turns.shared_run, "two", lambda _: report(), deadline=PATIENCE)
        with pytest.raises(Busy):
            turns._answer_or_turn("one", clock.now, 0.0, ANYBODY)
    assert two.result(PATIENCE).passed


def test_a_turn_that_does_not_come_in_time_is_busy(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    runs = Runs()
    one = start(turns, pool, "one", runs)
    with pytest.raises(Busy, match="another run was under way") as caught:
        turns.shared_run("two", runs, deadline=0.01)
    assert 1 <= caught.value.retry_after <= PATIENCE
    runs.go_on.set()
    assert one.result(PATIENCE).passed
    assert len(runs.seconds) == 1


def test_a_caller_of_the_same_who_has_less_time_is_busy_too(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    runs = Runs()
    start(turns, pool, "one", runs)
    with pytest.raises(Busy):
        turns.shared_run("one", runs, deadline=0.01)
    runs.go_on.set()


def test_a_run_that_was_cut_off_because_it_had_to_wait_is_no_verdict(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    first, second = Runs(), Runs(lambda: report(Outcome.ERRORED, cut_off=True))
    start(turns, pool, "one", first)
    finished: list[Report] = []

    def finish(raw: Report) -> Report:
        finished.append(raw)
        return raw

    two = pool.submit(turns.shared_run, "two", second, deadline=PATIENCE, finish=finish)
    until(lambda: waiting(turns) == 1)
    second.go_on.set()
    first.go_on.set()
    with pytest.raises(Busy):
        two.result(PATIENCE)
    assert finished == []


def test_a_report_that_counts_is_finished_once_and_kept_as_that_leaves_it(turns: Sharing) -> None:
    finished = report()

    def ask() -> Report:
        return turns.shared_run(
            "k", lambda _: report(), deadline=25, finish=lambda raw: finished, cache_seconds=5
        )

    assert ask() is finished
    assert replace(ask(), cached=False, age=0.0) == finished


def test_a_run_that_was_cut_off_without_any_wait_is_its_own_fault(turns: Sharing) -> None:
    cut_off = report(Outcome.ERRORED, cut_off=True)
    assert turns.shared_run("one", lambda _: cut_off, deadline=25) is cut_off


def test_a_failure_found_before_a_late_run_was_cut_off_is_reported(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    first, second = Runs(), Runs(lambda: report(Outcome.FAILED))
    start(turns, pool, "one", first)
    two = pool.submit(turns.shared_run, "two", second, deadline=PATIENCE)
    until(lambda: waiting(turns) == 1)
    second.go_on.set()
    first.go_on.set()
    assert not two.result(PATIENCE).passed


def test_a_late_run_that_a_stop_of_the_process_cut_off_says_that(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    """Another run took part of its time, but that is not why it has no verdict."""
    stopped = replace(report(Outcome.ERRORED, cut_off=True), interrupted=True)
    first, second = Runs(), Runs(lambda: stopped)
    start(turns, pool, "one", first)
    two = pool.submit(turns.shared_run, "two", second, deadline=PATIENCE)
    until(lambda: waiting(turns) == 1)
    second.go_on.set()
    first.go_on.set()
    assert two.result(PATIENCE) is stopped


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_who_shared_a_run_that_raised_gets_a_run_of_its_own(
    turns: Sharing, pool: ThreadPoolExecutor, error: type[BaseException]
) -> None:
    def explode() -> Report:
        raise error

    bad, good = Runs(explode), Runs()
    one = start(turns, pool, "k", bad)
    two = pool.submit(turns.shared_run, "k", good, deadline=PATIENCE)
    until(lambda: waiting(turns) == 1)
    good.go_on.set()
    bad.go_on.set()
    with pytest.raises(error):
        one.result(PATIENCE)
    assert two.result(PATIENCE).passed


def test_a_run_inside_a_smoke_test_is_refused_by_the_name_of_the_test(turns: Sharing) -> None:
    with (
        refusals.refused_inside("shop.smoke.T.test_self"),
        pytest.raises(Nested, match=r"shop\.smoke\.T\.test_self asked for"),
    ):
        turns.shared_run("k", lambda _: report(), deadline=25)


def test_without_cache_seconds_nothing_is_kept(turns: Sharing, clock: Clock) -> None:
    turns.shared_run("k", lambda _: report(), deadline=25)
    assert not turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5).cached


def test_a_recent_report_answers_again_and_says_how_old_it_is(turns: Sharing, clock: Clock) -> None:
    turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5)
    clock.now += 4.5
    again = turns.shared_run("k", Runs(), deadline=25, cache_seconds=5)
    assert (again.cached, again.age) == (True, 4.5)


def test_a_report_that_is_too_old_answers_nobody(turns: Sharing, clock: Clock) -> None:
    turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5)
    clock.now += 5
    assert not turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5).cached


@pytest.mark.parametrize(("age", "cached"), [(0.9, True), (1.0, False)])
def test_a_failing_report_answers_for_a_second_at_most(
    turns: Sharing, clock: Clock, age: float, cached: bool
) -> None:
    failing = report(Outcome.FAILED)
    turns.shared_run("k", lambda _: failing, deadline=25, cache_seconds=5)
    clock.now += age
    again = turns.shared_run("k", lambda _: failing, deadline=25, cache_seconds=5)
    assert again.cached is cached


def test_a_report_answers_its_own_selection_only(turns: Sharing, clock: Clock) -> None:
    turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5)
    assert not turns.shared_run("x", lambda _: report(), deadline=25, cache_seconds=5).cached


def test_a_caller_who_wants_a_fresh_report_passes_the_kept_one_by(
    turns: Sharing, clock: Clock
) -> None:
    turns.shared_run("k", lambda _: report(Outcome.FAILED), deadline=25, cache_seconds=5)
    fresh = turns.shared_run(
        "k", lambda _: report(), deadline=25, cache_seconds=5, caller=Caller(fresh=True)
    )
    assert (fresh.passed, fresh.cached) == (True, False)
    assert turns.shared_run("k", Runs(), deadline=25, cache_seconds=5).passed


def test_the_reports_that_are_kept_do_not_fill_the_memory(turns: Sharing, clock: Clock) -> None:
    for number in range(sharing.MOST_KEPT + 1):
        turns.shared_run(number, lambda _: report(), deadline=25, cache_seconds=5)
    assert turns.shared_run(1, Runs(), deadline=25, cache_seconds=5).cached
    assert not turns.shared_run(0, lambda _: report(), deadline=25, cache_seconds=5).cached


@pytest.mark.django_db
def test_inside_the_callers_transaction_nothing_is_shared(
    turns: Sharing, pool: ThreadPoolExecutor
) -> None:
    runs = Runs()
    other = start(turns, pool, "k", runs)
    with transaction.atomic():
        mine = report()
        assert turns.shared_run("k", lambda _: mine, deadline=25, cache_seconds=5) is mine
        again = turns.shared_run("k", lambda _: report(), deadline=25, cache_seconds=5)
        assert not again.cached
    runs.go_on.set()
    assert other.result(PATIENCE) is not mine


def test_the_process_has_one_line_of_callers(pool: ThreadPoolExecutor) -> None:
    runs = Runs()
    answer = pool.submit(sharing.shared_run, "k", runs, deadline=PATIENCE)
    assert runs.started.acquire(timeout=PATIENCE)
    with pytest.raises(Busy):
        sharing.shared_run("other", runs, deadline=0.01)
    runs.go_on.set()
    assert answer.result(PATIENCE).passed


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_the_run_of_its_parent(
    pool: ThreadPoolExecutor,
) -> None:
    runs = Runs()
    answer = pool.submit(sharing.shared_run, "k", runs, deadline=PATIENCE)
    assert runs.started.acquire(timeout=PATIENCE)
    child = os.fork()
    if not child:  # pragma: no cover - another process
        status = 1
        try:
            sharing.shared_run("other", lambda _: report(), deadline=0.01)
            status = 0
        finally:
            os._exit(status)
    runs.go_on.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answer.result(PATIENCE).passed
