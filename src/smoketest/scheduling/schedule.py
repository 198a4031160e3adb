"""The results of one run as they come in, and the ways in which it can end early."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from smoketest import isolation, stopping, timeouts
from smoketest.options import Options
from smoketest.recorder import Problem, Recorder
from smoketest.results import Outcome, TestResult
from smoketest.testcases import SmokeTest
from smoketest.units import Delivery, Place

OnResult = Callable[[TestResult], None]
OnBegin = Callable[[str], None]


def _tell_nobody(what: TestResult | str) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Run:
    """What is to run until when, and who is told of it."""

    tests: Sequence[SmokeTest]
    options: Options
    deadline: float
    """On the monotonic clock; at it, what runs is cut off and what has not started is not."""
    on_result: OnResult = _tell_nobody
    """Called on the thread of the run as tests end. It may raise :class:`Stopped`, once."""
    on_begin: OnBegin = _tell_nobody
    """Called with the id of each test, on the thread that begins it."""
    on_end: OnResult = _tell_nobody
    """Called with the result of a test on the thread that ran it, where that is another one of
    this process, before it begins the next; ``on_result`` follows when its turn comes."""
    proofs: isolation.Proofs | None = None
    """Learns of each transaction, where they are to be verified."""


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


class Schedule:
    """The results of one run, and the ways in which it can end early."""

    def __init__(self, run: Run) -> None:
        self.options = run.options
        self.deadline = run.deadline
        self.proofs = run.proofs
        self.on_end = run.on_end
        self._tests = run.tests
        self._on_result = run.on_result
        self._on_begin = run.on_begin
        self._results: dict[Place, TestResult] = {}
        self._second_tries: dict[int, TestResult] = {}
        """Tests that lost a lock beside others, with the result of that time."""
        self._alone = False
        self._looks_again_at = monotonic() + stopping.INTERVAL
        self._stops_at = math.inf

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
        rest = [one for one in enumerate(self._tests) if (one[0], 0) not in self._results]
        self.keep_not_started(rest, message, cut_off=True)

    def close(self) -> None:
        """Let go of what the run had for itself, whichever way it has ended."""

    def in_order(self) -> list[TestResult]:
        """The results in discovery order."""
        return [self._results[place] for place in sorted(self._results)]

    def keep(self, place: Place, result: TestResult) -> None:
        """Keep a result that is final, and pass it on."""
        self._results[place] = result
        self._on_result(result)

    def tell_nobody(self) -> None:
        """Pass on no further result."""
        self._on_result = _tell_nobody

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

    def once_more(self) -> list[tuple[int, SmokeTest]]:
        """The tests that lost a lock to another, each new; what they did was rolled back."""
        return [
            (number, type(test)(test._testMethodName))
            for number, test in enumerate(self._tests)
            if number in self._second_tries
        ]

    def keep_not_started(
        self, tests: Iterable[tuple[int, SmokeTest]], message: str, **values: bool
    ) -> None:
        """Keep an error for each of the numbered ``tests``, for which there was no room or time."""
        problem = Problem(Outcome.ERRORED, message, "", "", 0)
        for number, test in tests:
            result = Recorder.make(test, problem, datetime.now(UTC), 0.0, **values)
            self.keep((number, 0), result)

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
