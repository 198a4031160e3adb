"""Runs tests beside one another, watches the clock, and cuts off what does not end."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic

from smoketest import isolation, stopping, timeouts
from smoketest.recorder import Problem
from smoketest.results import Outcome, TestResult
from smoketest.units import Delivery, Unit, divide, late_delivery

from .pace import AWAY, BRIEF, MOST_AWAY, workers_for
from .schedule import Run, Schedule, Stopped
from .turns import Turns
from .worker import Worker

_FAREWELL = 0.5
"""Seconds for which a process that is about to end waits until databases know of it."""


class ThreadedSchedule(Schedule):
    """Runs on workers: beside one another what may, then alone what must."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.waiting: deque[Unit | None] = deque()
        self.lender = isolation.new_lender(run.options.max_connections)
        self._workers: set[Worker] = set()
        self._most = 0
        """Tests at one time."""
        self._settling = threading.Lock()
        """Held while a result is delivered, or taken from a test that is cut off."""
        self._delivered: deque[Delivery] = deque()
        self._events: SimpleQueue[Worker | None] = SimpleQueue()
        """Workers that have ended, and ``None`` for anything else to look at."""
        self._turns = Turns()
        self._wakes_at = 0.0
        self._is_awake = True

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        units = divide(enumerate(self._tests))
        try:
            self._run_units([unit for unit in units if not unit.serial], self.options.parallel)
            self._run_units([unit for unit in units if unit.serial], 1)
            self._run_units(divide(self.once_more()), 1)
        finally:
            self.waiting.clear()
            self.lender.close()

    def _run_units(self, units: list[Unit], most: int) -> None:
        self._alone = most == 1 or len(units) == 1
        self._most = most
        self.waiting.clear()  # a worker may have been asked to end, and have ended by itself
        self.waiting.extend(units)
        if units:
            self._start_worker()
        while self._workers:
            self._watch()

    def _may_grow(self) -> bool:
        return bool(self.waiting) and len(self._workers) < self._places()

    def _places(self) -> int:
        """How many workers there may be: who waits for a connection leaves its place to another."""
        if len(self._workers) < self._most or self._most == 1:
            return self._most
        away = sum(stretch.paused_for() > AWAY for _, stretch in self._under_way())
        return self._most + min(away, MOST_AWAY)

    def _shrink(self) -> None:
        """Let a worker end where one that was away has come back, and there are too many."""
        if len(self._workers) <= self._most or self._next() is None:
            return
        away = sum(stretch.paused_for() > 0 for _, stretch in self._under_way())
        if len(self._workers) - away > self._most:
            self.waiting.appendleft(None)

    def _next(self) -> Unit | None:
        """What the next worker would take; ``None``, too, where one is asked to end."""
        try:
            return self.waiting[0]
        except IndexError:  # a worker may take the last one at any moment
            return None

    def _grow(self, *, contested: bool) -> None:
        if self._may_grow():
            most = min(self._places(), len(self._workers) + len(self.waiting))
            wanted = min(most, workers_for([s.elapsed() for _, s in self._under_way()], contested))
            while len(self._workers) < wanted and self._start_worker():
                pass

    def _start_worker(self) -> bool:
        """Start one, which does what waits; whether there may be one more beside it."""
        worker = Worker(self)
        self._workers.add(worker)
        try:
            worker.start()
        except RuntimeError as error:  # the machine has no thread left
            self._workers.discard(worker)
            self._most = len(self._workers)  # which do all of it, one after another
            if not self._workers:
                self._account_for_missing_thread(error)
            return False
        return True

    def _account_for_missing_thread(self, error: RuntimeError) -> None:
        message = (
            f"No thread could be started to run it on: {error}. Look at the memory that is free, "
            "and at how many processes and threads this user, or its container, may have."
        )
        units = [unit for unit in self.waiting if unit is not None]
        self.waiting.clear()
        for unit in units:
            self.keep_not_started(unit.tests, message)

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
        for one in deliveries:
            if self._alone or not one.lost_a_lock:
                self.on_end(one.result)

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
        self._turns.suit(self._wakes_at - monotonic())
        until = monotonic() + (seconds := self._time_to_wait())
        worker, contested = None, True
        try:
            worker = self._events.get(timeout=seconds)
        except Empty:
            contested = monotonic() - until > BRIEF  # somebody else had the interpreter
        self._is_awake = True
        self._grow(contested=contested)
        self._shrink()
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
        if self.waiting and not self._workers:  # it was one too many, and then the last
            self._start_worker()

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
        with self._departures() as gone:
            for worker, stretch in self._under_way():
                if now >= stretch.expires and self._take(stretch):
                    gone.append(worker.departure(stretch))
                    for result in self._cut_off(worker, stretch, over_its_limit(stretch)):
                        self.check_for_failfast(result)
        for _ in gone:
            if self.waiting:
                self._start_worker()

    # -- ending what does not end

    def _take(self, stretch: timeouts.Stretch) -> bool:
        """Claim the verdict; where that fails, the result is among the delivered."""
        with self._settling:
            return stretch.take()

    @contextmanager
    def _departures(self, patience: float = 0.0) -> Iterator[list[timeouts.LetGo]]:
        """Let those go that are in the list in the end, when all verdicts of a moment stand.

        It starts a thread, and whoever starts one waits until it runs. Where many tests
        fight for the interpreter, that takes as long as a verdict.
        """
        gone: list[timeouts.LetGo] = []
        try:
            yield gone
        finally:
            timeouts.let_go(gone, patience)

    def _cut_off(
        self, worker: Worker, stretch: timeouts.Stretch, message: str, by_run: bool = False
    ) -> list[TestResult]:
        """Give the verdict on what ``worker`` does; its other tests wait again."""
        self._workers.discard(worker)
        problem = Problem(Outcome.ERRORED, message, stretch.stack(), "", 0)
        runner = worker.abandon_unit()
        rest = runner.rest()
        stopped = [item for item in rest if item[1] is stretch.subject] or rest
        verdicts = [((number, 0), stretch.result(test, problem)) for number, test in stopped]
        if not stopped:
            place, result, _ = late_delivery(runner.unit, problem)
            verdicts = [(place, result)]
        results = []
        for place, verdict in verdicts:
            results.append(stretch.timed(verdict, timed_out=not by_run, cut_off=by_run))
            self.keep_if_final(Delivery(place, results[-1]))
        if left := [item for item in rest if item not in stopped]:
            self.waiting.appendleft(Unit(left, fixtures=runner.unit.fixtures))
        return results

    def stop(self, stopped: Stopped) -> None:
        """Cut off what runs, and account for what has not started."""
        self.waiting.clear()
        for worker in self._workers:
            worker.abandon()
        # When the process ends, its threads do, whether or not they have told their servers.
        with self._departures(_FAREWELL if stopped.interrupts else 0.0) as gone:
            for worker, stretch in self._under_way():
                if self._take(stretch):
                    gone.append(worker.departure(stretch))
                    self._cut_off(worker, stretch, _by_the_run(stopped, stretch), by_run=True)
        self.waiting.clear()
        while self._delivered:
            self.keep_if_final(self._delivered.popleft())
        super().stop(stopped)

    def close(self) -> None:
        """Give back to the process what it had to do without."""
        self._turns.restore()


def _by_the_run(stopped: Stopped, stretch: timeouts.Stretch) -> str:
    told = f"{stopped} while it was running, {stretch.elapsed():.3g} s after it began."
    if (waited := stretch.waited()) >= AWAY:
        told += f" For {waited:.3g} s of these it waited for a connection."
    return told


def over_its_limit(stretch: timeouts.Stretch) -> str:
    """Return the message of a test that was cut off at its limit."""
    return (
        f"Timed out: still running at its limit of {stretch.limit:g} s. "
        "The stack shows where it stood. Look at what it was waiting for; "
        "if it may take so long, give it more time with @timeout(seconds)."
    )
