"""Which tests run beside which, and what becomes of those that do not end.

The calling thread starts workers, watches the clock and collects results; it
runs no test itself, so a test that hangs cannot keep it from answering. Only
where tests can see their data on no other thread (``isolation.must_run_inline``)
they run on the calling thread, one by one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple

from . import client, isolation, timeouts
from .options import Options
from .recorder import Problem, Recorder
from .results import Outcome, TestResult
from .testcases import SmokeTest
from .units import Place, Unit, UnitRun, divide

OnResult = Callable[[TestResult], None]


class Stopped(Exception):
    """The run ends before its tests do; ``str(stopped)`` says why."""

    def __init__(self, why: str, *, account_for_rest: bool = False) -> None:
        super().__init__(why)
        self.account_for_rest = account_for_rest
        """Whether the tests that have not started get a result that says so."""


def execute(
    tests: Sequence[SmokeTest], options: Options, deadline: float, on_result: OnResult
) -> tuple[list[TestResult], bool]:
    """Run ``tests``; return the results in the order of ``tests``, and whether interrupted.

    ``deadline`` is on the monotonic clock; at it, what runs is cut off and what
    has not started is not. ``on_result`` is called on this thread as tests end.
    """
    inline = isolation.must_run_inline()
    schedule = (InlineSchedule if inline else ThreadedSchedule)(tests, options, deadline, on_result)
    interrupted = False
    try:
        schedule.run()
    except Stopped as stopped:
        schedule.stop(stopped)
    except KeyboardInterrupt:
        interrupted = True
        schedule.stop(Stopped("The run was interrupted"))
    return schedule.in_order(), interrupted


class Schedule:
    """The results of one run, and the ways in which it can end early."""

    def __init__(
        self, tests: Sequence[SmokeTest], options: Options, deadline: float, on_result: OnResult
    ) -> None:
        self.options = options
        self.deadline = deadline
        self._tests = tests
        self._on_result = on_result
        self._results: dict[Place, TestResult] = {}

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        raise NotImplementedError

    def stop(self, stopped: Stopped) -> None:
        """Account for the tests that have not started, where ``stopped`` asks for that."""
        if not stopped.account_for_rest:
            return
        message = (
            f"Not started before the deadline. {stopped} before this test's turn came. "
            "Look at the slowest tests of the run, or allow it more time."
        )
        problem = Problem(Outcome.ERRORED, message, "", "", 0)
        for index, test in enumerate(self._tests):
            if Place(index) not in self._results:
                result = Recorder.make(test, problem, datetime.now(UTC), 0.0, cut_off=True)
                self.keep(Place(index), result)

    def in_order(self) -> list[TestResult]:
        """The results in discovery order."""
        return [self._results[place] for place in sorted(self._results)]

    def keep(self, place: Place, result: TestResult) -> None:
        """Keep a result that is final, and pass it on."""
        self._results[place] = result
        self._on_result(result)

    def check_for_failfast(self, result: TestResult) -> None:
        """Raise ``Stopped`` if the run is to end at this result."""
        bad = result.outcome in (Outcome.FAILED, Outcome.ERRORED)
        if self.options.failfast and bad and not result.optional:
            raise Stopped("The run stopped at its first failure")

    def deadline_reached(self) -> Stopped:
        """Return the exception for a run that is out of time."""
        why = f"The run's deadline of {self.options.deadline:g} s was reached"
        return Stopped(why, account_for_rest=True)

    def limits(self) -> isolation.Limits:
        """What a test may cost a database."""
        return isolation.Limits(self.options.lock_timeout, self.options.timeout)


class InlineSchedule(Schedule):
    """Runs on the calling thread: nothing can be cut off, but what is late does not start."""

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        with isolation.guarded_thread(self.limits(), self.deadline) as session:
            for unit in divide(self._tests):
                UnitRun(unit, self, session, self.options).run()
                if monotonic() >= self.deadline:
                    raise self.deadline_reached()

    def begin(self, stretch: timeouts.Stretch) -> None:
        """Nobody watches."""

    def deliver(self, place: Place, result: TestResult, *, lost_a_lock: bool = False) -> None:
        """Keep the result; nothing ran beside it that could have held a lock."""
        self.keep(place, result)
        self.check_for_failfast(result)


class Delivered(NamedTuple):
    """A result on its way from a worker."""

    place: Place
    result: TestResult
    lost_a_lock: bool


class ThreadedSchedule(Schedule):
    """Runs on workers: beside one another what may, then alone what must."""

    def __init__(
        self, tests: Sequence[SmokeTest], options: Options, deadline: float, on_result: OnResult
    ) -> None:
        super().__init__(tests, options, deadline, on_result)
        self.waiting: deque[Unit] = deque()
        self.events: SimpleQueue[Delivered | Worker | None] = SimpleQueue()
        """Results, workers that have ended, and ``None`` to look at the clock."""
        self.wakes_at = 0.0
        """When the clock is looked at next; a worker with an earlier limit says so."""
        self._workers: set[Worker] = set()
        self._second_tries: dict[int, TestResult] = {}
        """Tests that lost a lock beside others, with the result of that time."""
        self._alone = False

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        units = divide(self._tests)
        self._run_units([unit for unit in units if not unit.serial], self.options.parallel)
        self._run_units([unit for unit in units if unit.serial], 1)
        again = [Unit([(index, _again(self._tests[index]))]) for index in self._second_tries]
        self._run_units(again, 1)

    def _run_units(self, units: list[Unit], most: int) -> None:
        self._alone = most == 1 or len(units) == 1
        self.waiting.extend(units)
        for _ in range(min(most, len(units))):
            self._start_worker()
        while self._workers:
            self._watch()

    def _start_worker(self) -> None:
        worker = Worker(self)
        self._workers.add(worker)
        worker.start()

    # -- watching

    def _watch(self) -> None:
        """Wait for an event, until the next limit at the latest."""
        self.wakes_at = min([*(s.expires for _, s in self._under_way()), self.deadline])
        try:
            event = self.events.get(timeout=max(0.0, self.wakes_at - monotonic()))
        except Empty:
            self._look_at_the_clock()
        else:
            self._take(event)

    def _under_way(self) -> list[tuple[Worker, timeouts.Stretch]]:
        pairs = [(worker, worker.stretch) for worker in self._workers]
        return [(worker, stretch) for worker, stretch in pairs if stretch is not None]

    def _take(self, event: Delivered | Worker | None) -> None:
        if isinstance(event, Worker):
            self._workers.discard(event)
            if event.error is not None:
                raise event.error
        elif event is not None:
            self._take_result(*event)

    def _take_result(self, place: Place, result: TestResult, lost_a_lock: bool) -> None:
        """Keep a result, or see to it that a test that lost a lock to another runs once more."""
        if place.number in self._second_tries:
            result = replace(result, retried=True)
        elif lost_a_lock and not self._alone:
            self._second_tries[place.number] = result
            return
        self.keep(place, result)
        self.check_for_failfast(result)

    def _look_at_the_clock(self) -> None:
        now = monotonic()
        if now >= self.deadline:
            raise self.deadline_reached()
        for worker, stretch in self._under_way():
            if now >= stretch.expires and stretch.take():
                self._cut_off(worker, stretch, _over_its_limit(stretch))
                if self.waiting:
                    self._start_worker()

    # -- ending what does not end

    def _cut_off(
        self, worker: Worker, stretch: timeouts.Stretch, message: str, by_run: bool = False
    ) -> None:
        """Give the verdict on what ``worker`` does, and let it go; its other tests wait again."""
        self._workers.discard(worker)
        run = worker.let_go(stretch)
        rest = run.rest()
        stopped = [item for item in rest if item[1] is stretch.subject] or rest
        problem = Problem(Outcome.ERRORED, message, stretch.stack(), "", 0)
        for index, test in stopped:
            self.keep(Place(index), stretch.result(test, problem, cut_off=by_run))
        if not stopped:
            place, test = run.last_test_of("")
            result = stretch.result(test, problem, cut_off=by_run)
            self.keep(place, replace(result, id=f"{result.class_id}.tearDownClass"))
        if left := [item for item in rest if item not in stopped]:
            self.waiting.appendleft(Unit(left, fixtures=run.unit.fixtures))

    def stop(self, stopped: Stopped) -> None:
        """Cut off what runs, and account for what has not started."""
        self.waiting.clear()
        for worker, stretch in self._under_way():
            if stretch.take():
                told = f"{stopped} while it was running, {stretch.elapsed():.3g} s after it began."
                self._cut_off(worker, stretch, told, by_run=True)
        self._take_what_has_ended()
        for index, result in self._second_tries.items():
            if Place(index) not in self._results:
                self.keep(Place(index), result)
        super().stop(stopped)

    def _take_what_has_ended(self) -> None:
        with suppress(Empty):
            while True:
                event = self.events.get_nowait()
                if isinstance(event, Delivered):
                    self.keep(event.place, event.result)


def _again(test: SmokeTest) -> SmokeTest:
    return type(test)(test._testMethodName)


def _over_its_limit(stretch: timeouts.Stretch) -> str:
    return (
        f"Timed out: still running at its limit of {stretch.limit:g} s. "
        "The stack shows where it stood. Look at what it was waiting for; "
        "if it may take so long, give it more time with @timeout(seconds)."
    )


class Worker(threading.Thread):
    """A thread that runs units until none is waiting, or until it is let go.

    A daemon: a test that never ends must not keep the process from ending.
    """

    def __init__(self, schedule: ThreadedSchedule) -> None:
        super().__init__(name="smoketest", daemon=True)
        self.error: BaseException | None = None
        """What went wrong beside the tests: an error of ours."""
        self._schedule = schedule
        self._session: isolation.Session
        self._unit_run: UnitRun
        self._let_go = False

    @property
    def stretch(self) -> timeouts.Stretch | None:
        """What it does now, if that has a limit."""
        run = getattr(self, "_unit_run", None)
        return None if run is None else run.stretch

    def run(self) -> None:
        """Run units; the connections are closed at the end."""
        schedule = self._schedule
        client.default_host.set(schedule.options.host)
        try:
            with isolation.guarded_thread(schedule.limits(), schedule.deadline) as self._session:
                while not self._let_go and (unit := self._next_unit()) is not None:
                    self._unit_run = UnitRun(unit, self, self._session, schedule.options)
                    self._unit_run.run()
        except BaseException as error:  # noqa: BLE001 - raised where the results are collected
            if not self._let_go:
                self.error = error
        finally:
            schedule.events.put(self)

    def _next_unit(self) -> Unit | None:
        try:
            return self._schedule.waiting.popleft()
        except IndexError:
            return None

    def let_go(self, stretch: timeouts.Stretch) -> UnitRun:
        """Forget it: it runs no further test, and its databases refuse it."""
        self._let_go = True
        run = self._unit_run
        run.abandon()
        timeouts.let_go(stretch, self._session.abandon)
        return run

    def begin(self, stretch: timeouts.Stretch) -> None:
        """See to it that the clock is looked at when ``stretch`` expires."""
        if stretch.expires < self._schedule.wakes_at:
            self._schedule.events.put(None)

    def deliver(self, place: Place, result: TestResult, *, lost_a_lock: bool = False) -> None:
        """Hand a result to the thread that collects them."""
        self._schedule.events.put(Delivered(place, result, lost_a_lock))
