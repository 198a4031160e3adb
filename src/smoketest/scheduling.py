"""Which tests run beside which, and what becomes of those that do not end.

The calling thread starts workers, watches the clock and collects results; it
runs no test itself, so a test that hangs cannot keep it from answering. Only
where tests can see their data on no other thread (``isolation.must_run_inline``)
they run on the calling thread, one by one.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from time import monotonic

from . import client, isolation, stopping, timeouts
from .options import Options
from .recorder import Problem, Recorder
from .results import Outcome, TestResult
from .testcases import SmokeTest
from .units import Delivery, Place, Unit, UnitRunner, divide

OnResult = Callable[[TestResult], None]
OnBegin = Callable[[str], None]


BRIEF = 0.0005
"""Seconds. While each test ends sooner than that, one thread does more than several, which
would only take the interpreter from one another."""
_CONTESTED = 0.01
"""The same where the interpreter is in use. A test that was begun a moment ago may have
waited for nothing else since: threads pass it on every 5 ms (sys.getswitchinterval)."""


class Stopped(Exception):
    """The run ends before its tests do; ``str(stopped)`` says why.

    ``on_result`` may raise it, once: what runs beside is cut off, and reported too.
    """

    def __init__(
        self, why: str, *, account_for_rest: bool = False, interrupts: bool = False
    ) -> None:
        super().__init__(why)
        self.account_for_rest = account_for_rest
        """Whether the tests that have not started get a result that says so."""
        self.interrupts = interrupts
        """Whether it is none of the run's own reasons."""


def execute(
    tests: Sequence[SmokeTest],
    options: Options,
    deadline: float,
    on_result: OnResult,
    on_begin: OnBegin = lambda id: None,
    proofs: isolation.Proofs | None = None,
) -> tuple[list[TestResult], bool]:
    """Run ``tests``; return the results in the order of ``tests``, and whether interrupted.

    ``deadline`` is on the monotonic clock; at it, what runs is cut off and what
    has not started is not. ``on_result`` is called on this thread as tests end,
    ``on_begin`` with the id of each test on the thread that begins it. ``proofs``
    learns of each transaction, where they are to be verified.
    """
    isolation.refuse_nested_run()
    inline = isolation.must_run_inline()
    kind = InlineSchedule if inline else ThreadedSchedule
    schedule = kind(tests, options, deadline, on_result, on_begin)
    schedule.proofs = proofs
    return carry_out(schedule)


def carry_out(schedule: Schedule) -> tuple[list[TestResult], bool]:
    """Run ``schedule`` to its end, whichever that is; return what :func:`execute` returns."""
    interrupted = False
    try:
        schedule.run()
    except Stopped as stopped:
        interrupted = stopped.interrupts
        schedule.stop(stopped)
    except KeyboardInterrupt:
        interrupted = True
        schedule.stop(Stopped("The run was interrupted"))
    except BaseException:
        # Nothing goes on behind the caller's back; what broke may be on_result itself.
        schedule.tell_nobody()
        schedule.stop(Stopped("The run broke off"))
        raise
    return schedule.in_order(), interrupted


class Schedule:
    """The results of one run, and the ways in which it can end early."""

    def __init__(
        self,
        tests: Sequence[SmokeTest],
        options: Options,
        deadline: float,
        on_result: OnResult,
        on_begin: OnBegin,
    ) -> None:
        self.options = options
        self.deadline = deadline
        self._tests = tests
        self._on_result = on_result
        self._on_begin = on_begin
        self._results: dict[Place, TestResult] = {}
        self._second_tries: dict[int, TestResult] = {}
        """Tests that lost a lock beside others, with the result of that time."""
        self._alone = False
        self._looks_again_at = monotonic() + stopping.INTERVAL
        self._stops_at = math.inf
        self.proofs: isolation.Proofs | None = None

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        raise NotImplementedError

    def stop(self, stopped: Stopped) -> None:
        """Account for the tests that have not started, where ``stopped`` asks for that."""
        for number, result in self._second_tries.items():
            if (number, 0) not in self._results:
                self.keep((number, 0), result)
        if not stopped.account_for_rest:
            return
        message = (
            f"Not started before the deadline. {stopped} before this test's turn came. "
            "Look at the slowest tests of the run, or allow it more time."
        )
        problem = Problem(Outcome.ERRORED, message, "", "", 0)
        for number, test in enumerate(self._tests):
            if (number, 0) not in self._results:
                result = Recorder.make(test, problem, datetime.now(UTC), 0.0, cut_off=True)
                self.keep((number, 0), result)

    def in_order(self) -> list[TestResult]:
        """The results in discovery order."""
        return [self._results[place] for place in sorted(self._results)]

    def keep(self, place: Place, result: TestResult) -> None:
        """Keep a result that is final, and pass it on."""
        self._results[place] = result
        self._on_result(result)

    def tell_nobody(self) -> None:
        """Pass on no further result."""
        self._on_result = lambda result: None

    def begin(self, stretch: timeouts.Stretch) -> None:
        """Pass on that a test begins."""
        if isinstance(stretch.subject, SmokeTest):
            self._on_begin(stretch.subject.id())

    def keep_if_final(self, delivery: Delivery) -> bool:
        """Keep a result, or see to it that a test that lost a lock to another runs once more."""
        (number, _), result = delivery.place, delivery.result
        if number in self._second_tries:
            result = replace(result, retried=True)
        elif delivery.lost_a_lock and not self._alone:
            self._second_tries[number] = result
            return False
        self.keep(delivery.place, result)
        return True

    def check_for_failfast(self, result: TestResult) -> None:
        """Raise ``Stopped`` if the run is to end at this result."""
        if self._ends_the_run(result):
            raise Stopped("The run stopped at its first failure")

    def _ends_the_run(self, result: TestResult) -> bool:
        bad = result.outcome in (Outcome.FAILED, Outcome.ERRORED)
        return self.options.failfast and bad and not result.optional

    def deadline_reached(self) -> Stopped:
        """Return the exception for a run that is out of time."""
        why = f"The run's deadline of {self.options.deadline:g} s was reached"
        return Stopped(why, account_for_rest=True)

    def look_at_the_process(self, now: float) -> None:
        """Raise ``Stopped`` where the process is about to end; it is looked at now and then."""
        if now < self._looks_again_at:
            return
        self._looks_again_at = now + stopping.INTERVAL
        self._stops_at = min(self._stops_at, now + stopping.seconds_left())
        if now >= self._stops_at:
            raise Stopped("The process was told to stop", interrupts=True)

    def limits(self) -> isolation.Limits:
        """What a test may cost a database."""
        return isolation.Limits(self.options.lock_timeout, self.options.timeout)


class InlineSchedule(Schedule):
    """Runs on the calling thread: nothing can be cut off, but what is late does not start."""

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        with isolation.guarded_thread(self.limits(), self.deadline, proofs=self.proofs) as session:
            runner = UnitRunner(self, session, self.options)
            for unit in divide(enumerate(self._tests)):
                runner.run(unit)

    def deliver(self, stretch: timeouts.Stretch | None, *deliveries: Delivery) -> bool:
        """Keep the results; nothing ran beside them that could have held a lock."""
        for delivery in deliveries:
            self.keep(delivery.place, delivery.result)
            self.check_for_failfast(delivery.result)
        now = monotonic()
        if now >= self.deadline:
            raise self.deadline_reached()
        self.look_at_the_process(now)
        return True


class ThreadedSchedule(Schedule):
    """Runs on workers: beside one another what may, then alone what must."""

    def __init__(
        self,
        tests: Sequence[SmokeTest],
        options: Options,
        deadline: float,
        on_result: OnResult,
        on_begin: OnBegin,
    ) -> None:
        super().__init__(tests, options, deadline, on_result, on_begin)
        self.waiting: deque[Unit] = deque()
        self.lender = isolation.new_lender(options.max_connections)
        self._workers: set[Worker] = set()
        self._most = 0
        """Workers at one time."""
        self._settling = threading.Lock()
        """Held while a result is delivered, or taken from a test that is cut off."""
        self._delivered: deque[Delivery] = deque()
        self._events: SimpleQueue[Worker | None] = SimpleQueue()
        """Workers that have ended, and ``None`` for anything else to look at."""
        self._wakes_at = 0.0
        self._is_awake = True

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        units = divide(enumerate(self._tests))
        try:
            self._run_units([unit for unit in units if not unit.serial], self.options.parallel)
            self._run_units([unit for unit in units if unit.serial], 1)
            self._run_units(self._once_more(), 1)
        finally:
            self.waiting.clear()
            self.lender.close()

    def _once_more(self) -> list[Unit]:
        """The tests that lost a lock to another; what they did was rolled back."""
        return divide(
            (number, type(test)(test._testMethodName))
            for number, test in enumerate(self._tests)
            if number in self._second_tries
        )

    def _run_units(self, units: list[Unit], most: int) -> None:
        self._alone = most == 1 or len(units) == 1
        self._most = most
        self.waiting.extend(units)
        if units:
            self._start_worker()
        while self._workers:
            self._watch()

    def _may_grow(self) -> bool:
        return bool(self.waiting) and len(self._workers) < self._most

    def _grow(self, *, contested: bool) -> None:
        if self._may_grow():
            most = min(self._most, len(self._workers) + len(self.waiting))
            wanted = min(most, workers_for([s.elapsed() for _, s in self._under_way()], contested))
            for _ in range(wanted - len(self._workers)):
                self._start_worker()

    def _start_worker(self) -> None:
        worker = Worker(self)
        self._workers.add(worker)
        worker.start()

    # -- what workers call

    def begin(self, stretch: timeouts.Stretch) -> None:
        """See to it that the clock is looked at when ``stretch`` expires."""
        super().begin(stretch)
        if stretch.expires < self._wakes_at:
            self._wake()

    def deliver(self, stretch: timeouts.Stretch | None, *deliveries: Delivery) -> bool:
        """Take results, unless ``stretch`` was cut off and its verdict stands."""
        with self._settling:
            if stretch is not None and not stretch.take():
                return False
            self.accept(deliveries)
        if self.options.failfast and any(self._ends_the_run(one.result) for one in deliveries):
            self.waiting.clear()  # now, before this worker takes the next
        self._wake()
        return True

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Let the calling thread of the run have ``deliveries``, whose verdict stands."""
        self._delivered.extend(deliveries)

    def end(self, worker: Worker) -> None:
        """Take note that ``worker`` does no more."""
        self._events.put(worker)

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._events.put(None)

    # -- watching

    def _watch(self) -> None:
        """Wait for an event, until the next limit at the latest."""
        # What begins while the next limit is looked for must not be missed: it wakes us.
        self._wakes_at = math.inf
        self._is_awake = False
        self._wakes_at = min([*(s.may_expire() for _, s in self._under_way()), self.deadline])
        if self._delivered:  # since it was looked at last
            self._is_awake = True
        until = monotonic() + (seconds := self._time_to_wait())
        worker, contested = None, True
        try:
            worker = self._events.get(timeout=seconds)
        except Empty:
            contested = monotonic() - until > BRIEF  # somebody else had the interpreter
        self._is_awake = True
        self._grow(contested=contested)
        self._keep_delivered()
        if worker is not None:
            self._dismiss(worker)
        self._look_at_the_clock()

    def _time_to_wait(self) -> float:
        if self._delivered:
            return 0.0
        longest = BRIEF if self._may_grow() else stopping.INTERVAL
        return min(max(0.0, self._wakes_at - monotonic()), longest)

    def _under_way(self) -> list[tuple[Worker, timeouts.Stretch]]:
        pairs = [(worker, worker.stretch) for worker in self._workers]
        return [(worker, stretch) for worker, stretch in pairs if stretch is not None]

    def _dismiss(self, worker: Worker) -> None:
        worker.join()  # it was about to end: no thread outlives a run
        self._workers.discard(worker)
        if worker.error is not None:
            raise worker.error

    def _keep_delivered(self) -> None:
        # The clock is looked at as well, for on_result may be slow and results many.
        while self._delivered and monotonic() < self.deadline:
            delivery = self._delivered.popleft()
            if self.keep_if_final(delivery):
                self.check_for_failfast(self._results[delivery.place])

    def _look_at_the_clock(self) -> None:
        now = monotonic()
        if now >= self.deadline:
            raise self.deadline_reached()
        self.look_at_the_process(now)
        for worker, stretch in self._under_way():
            if now >= stretch.expires and self._take(stretch):
                for result in self._cut_off(worker, stretch, over_its_limit(stretch)):
                    self.check_for_failfast(result)
                if self.waiting:
                    self._start_worker()

    # -- ending what does not end

    def _take(self, stretch: timeouts.Stretch) -> bool:
        """Claim the verdict; where that fails, the result is among the delivered."""
        with self._settling:
            return stretch.take()

    def _cut_off(
        self, worker: Worker, stretch: timeouts.Stretch, message: str, by_run: bool = False
    ) -> list[TestResult]:
        """Give the verdict on what ``worker`` does, and let it go; its other tests wait again."""
        self._workers.discard(worker)
        problem = Problem(Outcome.ERRORED, message, stretch.stack(), "", 0)
        runner = worker.let_go(stretch)
        rest = runner.rest()
        stopped = [item for item in rest if item[1] is stretch.subject] or rest
        verdicts = [((number, 0), stretch.result(test, problem)) for number, test in stopped]
        if not stopped:
            place, result, _ = runner.late_delivery(problem)
            verdicts = [(place, result)]
        results = []
        for place, verdict in verdicts:
            results.append(stretch.timed(verdict, timed_out=not by_run, cut_off=by_run))
            self.keep(place, results[-1])
        if left := [item for item in rest if item not in stopped]:
            self.waiting.appendleft(Unit(left, fixtures=runner.unit.fixtures))
        return results

    def stop(self, stopped: Stopped) -> None:
        """Cut off what runs, and account for what has not started."""
        self.waiting.clear()
        for worker in self._workers:
            worker.abandon()
        for worker, stretch in self._under_way():
            if self._take(stretch):
                told = f"{stopped} while it was running, {stretch.elapsed():.3g} s after it began."
                self._cut_off(worker, stretch, told, by_run=True)
        self.waiting.clear()
        while self._delivered:
            self.keep_if_final(self._delivered.popleft())
        super().stop(stopped)


def workers_for(ages: Sequence[float], contested: bool) -> int:
    """Return how many workers are of use where tests are under way since ``ages``, in seconds.

    For each that is at a test which is not brief, there is to be another that goes on, and
    three where nothing else uses the interpreter; where it does, ``contested`` says so.
    """
    if contested:
        return 2 * sum(age >= _CONTESTED for age in ages)
    return 4 * sum(age >= BRIEF for age in ages)


def over_its_limit(stretch: timeouts.Stretch) -> str:
    """Return the message of a test that was cut off at its limit."""
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
        self._session: isolation.Session | None = None
        self._runner: UnitRunner | None = None
        self._let_go = False

    @property
    def stretch(self) -> timeouts.Stretch | None:
        """What it does now, if that has a limit."""
        return None if self._runner is None else self._runner.stretch

    def run(self) -> None:
        """Run units; the connections are closed at the end."""
        schedule = self._schedule
        client.default_host.set(schedule.options.host)
        try:
            with isolation.guarded_thread(
                schedule.limits(), schedule.deadline, schedule.lender, schedule.proofs
            ) as session:
                self._session = session
                self._run_units(UnitRunner(schedule, session, schedule.options))
        except BaseException as error:  # noqa: BLE001 - raised where the results are collected
            if not self._let_go:
                self.error = error
        finally:
            schedule.end(self)

    def _run_units(self, runner: UnitRunner) -> None:
        self._runner = runner
        waiting = self._schedule.waiting
        while not (self._let_go or runner.is_abandoned):
            try:
                unit = waiting.popleft()
            except IndexError:
                return
            runner.run(unit)

    def abandon(self) -> None:
        """Begin nothing any more; what is under way is not touched."""
        self._let_go = True
        if self._runner is not None:
            self._runner.abandon()

    def let_go(self, stretch: timeouts.Stretch) -> UnitRunner:
        """Forget it: it runs no further test, and its databases refuse it.

        Only for a worker that has something under way.
        """
        assert self._runner is not None  # noqa: S101 - for the types
        assert self._session is not None  # noqa: S101
        self.abandon()
        timeouts.let_go(stretch, self, self._session.abandon)
        return self._runner
