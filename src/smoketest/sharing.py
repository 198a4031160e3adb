"""One run at a time in a process; callers share a report, and may get a recent one.

A run writes to every database and takes up to its deadline. However many callers there
are, they cause one run at a time: who asks the same while it is under way gets its
report, and who asks something else waits for a turn. Who has credentials is before who
has none, so no crowd can keep a deploy from its verdict. Another process has its own turns.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic

from smoketest import isolation, refusals
from smoketest.exceptions import SmokeTestError
from smoketest.results import Report

Run = Callable[[float], Report]
"""Runs the tests within so many seconds."""

Finish = Callable[[Report], Report]
"""Does what is done with a report that counts, once, and returns it as it may be kept."""


def _as_it_is(report: Report) -> Report:
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as far as that matters for whose turn it is."""

    preferred: bool = False
    """Before all who are not."""
    fresh: bool = False
    """Wants no report that was kept."""


ANYBODY = Caller()

FAILING_SECONDS = 1.0
"""For how long a failing report may be answered again: long enough for a crowd, too
short to hide that the failure is over."""

MOST_KEPT = 32
"""Reports kept for later callers, one for each selection; the oldest goes first.
Callers choose selections, so without a limit they could fill the memory."""


class Busy(SmokeTestError):
    """The deadline came before the caller's turn, for another run was under way."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "The smoke tests did not run: another run was under way until the deadline. "
            f"One process does one run at a time. Ask again in {retry_after} s."
        )
        self.retry_after = retry_after
        """Seconds, at least 1, after which the present run is surely over."""


class Nested(SmokeTestError):
    """A smoke test asked for a run of the smoke tests."""

    def __init__(self, test_id: str) -> None:
        super().__init__(
            f"The smoke test {test_id} asked for the smoke tests: a run inside a run would "
            "wait for itself. Let the test ask for another page, or take it out of the run "
            "with SMOKETEST_SKIP_APPS."
        )


class _Flight:
    """One run under way."""

    def __init__(self, key: Hashable, ends_by: float, late: bool) -> None:
        self.key = key
        self.ends_by = ends_by
        """On the monotonic clock."""
        self.late = late
        """Whether another run took part of its time."""
        self.awaited = 0
        """How many other callers wait for its report."""
        self.landed = False
        self.report: Report | None = None
        """``None`` until it has landed, and for ever when it has nothing to share."""


class Sharing:
    """The turns of one process, and the reports that are kept for later callers."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget every run and every report."""
        self._turn = threading.Condition()
        self._flight: _Flight | None = None
        self._kept: OrderedDict[Hashable, tuple[Report, float]] = OrderedDict()
        self._preferred = 0
        """How many wait who are before all others."""

    def shared_run(
        self,
        key: Hashable,
        run: Run,
        *,
        deadline: float,
        finish: Finish = _as_it_is,
        cache_seconds: float = 0.0,
        caller: Caller = ANYBODY,
    ) -> Report:
        """Return the report of a run for ``key``: of a new one, one under way or a recent one.

        ``key`` stands for all that makes two runs differ. ``run`` is called, on this
        thread, with the seconds that remain of ``deadline`` after the wait for a turn, and
        ``finish`` with its report, unless it was cut off because of that wait.
        A report that is at most ``cache_seconds`` old is returned instead, unless the
        caller wants a fresh one. The next turn is of a caller who is preferred, if one
        waits. Raises :class:`Busy` when the turn does not come in
        time, :class:`Nested` inside a smoke test, and whatever ``run`` raises.

        Inside the caller's own transaction nothing is shared: its run sees rows that no
        other run can see.
        """
        test_id = refusals.current_test()
        if test_id is not None:
            raise Nested(test_id)
        if isolation.must_run_inline():
            return finish(run(deadline))
        recent = 0.0 if caller.fresh else cache_seconds
        with self._turn, self._preferring(caller):
            answer = self._answer_or_turn(key, monotonic() + deadline, recent, caller)
        if isinstance(answer, Report):
            return answer
        seconds = max(answer.ends_by - monotonic(), 0.0) if answer.late else deadline
        return self._fly(answer, lambda: run(seconds), finish, cache_seconds)

    @contextmanager
    def _preferring(self, caller: Caller) -> Iterator[None]:
        """Let the others wait until the block is left, if ``caller`` is before them."""
        self._preferred += caller.preferred
        try:
            yield
        finally:
            self._preferred -= caller.preferred
            if caller.preferred:
                self._turn.notify_all()

    def _answer_or_turn(
        self, key: Hashable, until: float, cache_seconds: float, caller: Caller
    ) -> Report | _Flight:
        """Wait for a report for ``key`` or for this caller's turn, whichever comes first."""
        late = False
        while True:
            kept = self._recent(key, cache_seconds)
            if kept:
                return kept
            if self._flight is not None:
                landed = self._wait(self._flight, key, until)
                if landed.key == key and landed.report:
                    return replace(landed.report, shared=True)
            elif caller.preferred or not self._preferred:
                self._flight = _Flight(key, until, late)
                return self._flight
            elif not self._turn.wait_for(self._goes_on, until - monotonic()):
                raise Busy(1)
            late = True

    def _goes_on(self) -> bool:
        return self._flight is not None or not self._preferred

    def _wait(self, flight: _Flight, key: Hashable, until: float) -> _Flight:
        """Return ``flight`` when it has landed; raise :class:`Busy` when that takes too long."""
        flight.awaited += flight.key == key
        try:
            if not self._turn.wait_for(lambda: flight.landed, until - monotonic()):
                raise _busy(flight)
        finally:
            flight.awaited -= flight.key == key
        return flight

    def is_awaited(self, key: Hashable) -> bool:
        """Whether another caller waits for the report of the run for ``key`` under way."""
        with self._turn:
            flight = self._flight
            return flight is not None and flight.key == key and flight.awaited > 0

    def _fly(
        self, flight: _Flight, run: Callable[[], Report], finish: Finish, cache_seconds: float
    ) -> Report:
        """Run on this thread, and let everybody who waits go on, whatever comes of it."""
        report = None
        try:
            raw = run()
            if flight.late and _ran_out_of_time(raw):
                # Its own time was enough perhaps: a false alarm would be worse than none.
                raise _busy(flight)
            report = finish(raw)
            return report
        finally:
            with self._turn:
                if report:
                    self._keep(flight.key, report, cache_seconds)
                flight.report, flight.landed = report, True
                self._flight = None
                self._turn.notify_all()

    def _recent(self, key: Hashable, cache_seconds: float) -> Report | None:
        """Return the report that is kept for ``key``, if it is not too old."""
        if key not in self._kept:
            return None
        report, ended = self._kept[key]
        age = monotonic() - ended
        limit = cache_seconds if report.passed else min(cache_seconds, FAILING_SECONDS)
        return report.as_cached(age) if age < limit else None

    def _keep(self, key: Hashable, report: Report, cache_seconds: float) -> None:
        self._kept.pop(key, None)
        if cache_seconds:
            self._kept[key] = report, monotonic()
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _ran_out_of_time(report: Report) -> bool:
    if report.interrupted or not report.inconclusive:
        return False
    return any(result.cut_off for result in report.results)


def _busy(flight: _Flight) -> Busy:
    return Busy(max(1, math.ceil(flight.ends_by - monotonic())))


_sharing = Sharing()


shared_run, is_awaited = _sharing.shared_run, _sharing.is_awaited
"""Among all callers in this process."""


# The run that was under way in the parent is on no thread of the child.
os.register_at_fork(after_in_child=_sharing.start_anew)
