"""Which processes run, and the verdict on those that do not end as they should."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from time import monotonic
from typing import Any

from smoketest import isolation, timeouts
from smoketest.recorder import Problem
from smoketest.results import Outcome, TestResult
from smoketest.scheduling import Run, Schedule, Stopped, over_its_limit
from smoketest.units import Delivery, Place, Unit, divide, late_delivery

from .children import Child, Numbered
from .stacks import stack_of

PATIENCE = 0.25
"""Seconds past a limit after which a process is killed; until then it may end by itself."""


class ProcessSchedule(Schedule):
    """Keeps as many processes at work as may be connected to the databases at one time."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        options = run.options
        connections = isolation.new_lender(options.max_connections).most_everywhere()
        self._most = min(options.parallel, connections or options.parallel)
        share = max(1, options.max_connections // self._most)
        self._options_of_child = replace(
            options, parallel=1, max_connections=share, failfast=False, isolate=False
        )
        self._waiting: deque[list[Numbered]] = deque()
        self._children: list[Child] = []
        self._new: deque[TestResult] = deque()
        """Results that may end the run, where that is to end at the first failure."""

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        groups = _by_class(divide(enumerate(self._tests)))
        self._run_groups([tests for tests, serial in groups if not serial], self._most)
        self._run_groups([tests for tests, serial in groups if serial], 1)
        self._run_groups([[test] for test in self.once_more()], 1)

    def _run_groups(self, groups: Iterable[list[Numbered]], most: int) -> None:
        self._waiting.extend(groups)
        self._alone = most == 1 or len(self._waiting) == 1
        while self._waiting or self._children:
            if monotonic() >= self.deadline:
                self._waiting.clear()  # the processes know the deadline themselves
            while self._waiting and len(self._children) < most and self._start_next():
                pass
            self._watch()
        if monotonic() >= self.deadline:
            raise self.deadline_reached()

    def _start_next(self) -> bool:
        """Start a process for what waits first; whether there may be one more beside it."""
        tests = self._waiting.popleft()
        try:
            self._children.append(Child(tests, self._options_of_child, self.deadline))
        except OSError as error:
            if self._children:  # as one of them ends, there is room
                self._waiting.appendleft(tests)
                return False
            self._account_for_missing_process(tests, error)
        return True

    def _account_for_missing_process(self, tests: list[Numbered], error: OSError) -> None:
        message = (
            f"No process could be started to run it in: {error}. Look at the memory that is "
            "free, and at how many processes and open files this user may have; or run without "
            "--isolate."
        )
        self.keep_not_started(tests, message)

    # -- watching

    def keep(self, place: Place, result: TestResult) -> None:
        """Keep a result that is final; whether it ends the run is asked at the next occasion."""
        self._new.append(result)
        super().keep(place, result)

    def _watch(self) -> None:
        ends = [child.stretch.expires for child in self._children]
        rest = min([*ends, self.deadline]) + PATIENCE - monotonic()
        # Where a test has started a process that outlives its own, the pipe stays open
        # and says nothing of the end.
        select.select(self._children, [], [], min(max(0.0, rest), PATIENCE))
        for child in list(self._children):
            self._read(child)
            if child.status is not None:
                self._bury(child)
        self._look_at_the_clock()
        while self._new:  # now that all is kept that is known, nothing is lost by an end
            self.check_for_failfast(self._new.popleft())

    def _read(self, child: Child) -> None:
        child.listen()
        while child.told:
            kind, *values = child.told.popleft()
            if kind == "begin":
                self._note_begin(child, *values)
            elif kind == "proof":
                self._note_proof(child, *values)
            else:
                self._note_end(child, *values)

    def _note_begin(
        self, child: Child, number: int | None, limit: float, start: float, started_at: str
    ) -> None:
        test = None if number is None else child.tests[number][1]
        subject = test or Unit(list(child.tests), fixtures=True)
        begun = datetime.fromisoformat(started_at)
        child.stretch = timeouts.Stretch(subject, limit, start, begun, 0)
        self.begin(child.stretch)

    def _note_proof(self, child: Child, *event: Any) -> None:
        if self.proofs is not None:
            self.proofs.take_over(child, *event)

    def _note_end(
        self, child: Child, place: Place, lost_a_lock: bool, told: dict[str, Any]
    ) -> None:
        number, after = place
        overall, _ = child.tests[number]
        if not after:
            child.left.pop(number, None)
        self.keep_if_final(Delivery((overall, after), TestResult.from_dict(told), lost_a_lock))

    def _look_at_the_clock(self) -> None:
        now = monotonic()
        if now >= self.deadline + PATIENCE:
            raise self.deadline_reached()
        for child in [one for one in self._children if now >= one.stretch.expires + PATIENCE]:
            told = f"{over_its_limit(child.stretch)} Its process did not react, and was killed."
            self._kill(child, told)

    # -- processes that do not end as they should

    def _bury(self, child: Child) -> None:
        """Account for what a process that has ended by itself gave no result for."""
        self._children.remove(child)
        if child.is_incomplete():
            told = (
                f"The process in which it ran {child.end()} before it was over. Each test class "
                "has a process of its own here, so nobody else is harmed. Look for C code that "
                "crashes, for os._exit, or for who may have killed it, such as the kernel where "
                "memory is short."
            )
            self._settle(child, told, "")

    def _kill(self, child: Child, message: str, *, by_run: bool = False) -> None:
        self._children.remove(child)
        stacks = child.kill() if child.status is None else ""
        self._read(child)
        if child.is_incomplete():
            self._settle(child, message, stacks, timed_out=not by_run, cut_off=by_run)

    def _settle(self, child: Child, message: str, stacks: str, **values: bool) -> None:
        """Give the verdict on what was under way in ``child``; its other tests wait again."""
        stretch, rest = child.stretch, list(child.left.values())
        subject = child.tests[0][1] if isinstance(stretch.subject, Unit) else stretch.subject
        problem = Problem(Outcome.ERRORED, message, stack_of(stacks, subject), "", 0)
        stopped = [item for item in rest if item[1] is stretch.subject] or rest
        if again := [item for item in rest if item not in stopped]:
            self._waiting.appendleft(again)
        for number, test in stopped:
            self.keep_if_final(Delivery((number, 0), stretch.result(test, problem, **values)))
        if not stopped:
            place, result, _ = late_delivery(Unit(list(child.tests), fixtures=True), problem)
            self.keep(place, stretch.timed(result, **values))

    def stop(self, stopped: Stopped) -> None:
        """Kill what runs, and account for what has not started."""
        for child in self._children:
            if child.status is None:
                child.quit()  # all at once, and then look at one after another
        for child in list(self._children):
            with suppress(Stopped):  # on_result's: the run has one reason to end already
                self._kill(child, f"{stopped} while it was running.", by_run=True)
        self._waiting.clear()
        super().stop(stopped)


def _by_class(units: Iterable[Unit]) -> list[tuple[list[Numbered], bool]]:
    """Return the tests of each class, or of what shares a fixture, and whether it runs alone."""
    groups = []
    for _, group in groupby(units, lambda one: id(one) if one.fixtures else type(one.tests[0][1])):
        members = list(group)
        tests = [item for unit in members for item in unit.tests]
        groups.append((tests, any(unit.serial for unit in members)))
    return groups
