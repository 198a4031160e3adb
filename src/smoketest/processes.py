"""Runs each test class in a process of its own, which can be killed.

A test that holds Python's interpreter lock, that crashes the interpreter or that calls
``os._exit`` takes nobody along. In a child the tests run as they do elsewhere, by the
threads of ``scheduling``; a child that does not keep a limit by itself is killed, and
its server rolls back what it had begun. Results cross as JSON.

The parent runs no test, connects to no database and has one thread only: what other
threads hold at a fork is held for ever in the child.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic
from typing import Any, NoReturn

from . import isolation, supervision, timeouts
from .exceptions import CannotIsolate
from .options import Options
from .recorder import Problem
from .results import Outcome, TestResult
from .scheduling import (
    OnBegin,
    OnResult,
    Schedule,
    Stopped,
    ThreadedSchedule,
    carry_out,
    over_its_limit,
)
from .testcases import SmokeTest
from .units import Delivery, Place, Unit, divide

Numbered = tuple[int, SmokeTest]
"""A test, and its number in discovery order."""

PATIENCE = 0.25
"""Seconds past a limit after which a process is killed; until then it may end by itself."""

_LAST_WORDS = 1.0
"""Seconds that a process may take to print its stacks."""


def execute(
    tests: Sequence[SmokeTest],
    options: Options,
    deadline: float,
    on_result: OnResult,
    on_begin: OnBegin = lambda id: None,
    proofs: isolation.Proofs | None = None,
) -> tuple[list[TestResult], bool]:
    """As ``scheduling.execute``, but in processes; both callbacks are called on this thread.

    Raises ``CannotIsolate`` where this process must not start any.
    """
    isolation.refuse_nested_run()
    _refuse_to_fork()
    schedule = ProcessSchedule(tests, options, deadline, on_result, on_begin)
    schedule.proofs = proofs
    return carry_out(schedule)


def _refuse_to_fork() -> None:
    others = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    if others:
        raise CannotIsolate(
            f"This process has other threads ({', '.join(map(repr, others))}), so no test can "
            "run in a process of its own: what those threads hold at the fork would be held for "
            "ever there. Run without isolation, or from a process that has one thread."
        )
    if isolation.must_run_inline():
        raise CannotIsolate(
            "This process is inside a transaction, or has an SQLite database in memory, which "
            "no other process can see. Run without isolation, or use a database file."
        )


# -- in the child


class _Channel:
    """Where a child writes what happens, a JSON array a line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writing = threading.Lock()

    def send(self, *values: Any) -> None:
        data = memoryview(json.dumps(values).encode() + b"\n")
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]


class _ChildSchedule(ThreadedSchedule):
    """Tells the parent what begins and what ends."""

    def __init__(
        self, tests: Sequence[SmokeTest], options: Options, deadline: float, channel: _Channel
    ) -> None:
        super().__init__(tests, options, deadline, lambda result: None, lambda id: None)
        self._channel = channel
        self._numbers = {id(test): number for number, test in enumerate(tests)}
        self._told: set[Place] = set()
        if options.verify:
            self.proofs = isolation.Proofs(lambda *event: channel.send("proof", *event))

    def begin(self, stretch: timeouts.Stretch) -> None:
        number = self._numbers.get(id(stretch.subject))
        started_at = stretch.started_at.isoformat()
        self._channel.send("begin", number, stretch.limit, stretch.start, started_at)
        super().begin(stretch)

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        # At once: the next test may keep every other thread from doing so.
        for place, result, lost_a_lock in deliveries:
            self._tell(place, result, lost_a_lock)
        super().accept(deliveries)

    def keep(self, place: Place, result: TestResult) -> None:
        super().keep(place, result)
        if place not in self._told:
            self._tell(place, result)  # it was cut off

    def _tell(self, place: Place, result: TestResult, lost_a_lock: bool = False) -> None:
        self._told.add(place)
        self._channel.send("end", place, lost_a_lock, result.to_dict())


def _run_child(schedule: Callable[[], Schedule], stacks: int) -> NoReturn:
    """Run it in this new process, and end the process without going back to the caller's code."""
    status = 1
    try:
        os.setsid()  # Ctrl-C is for the parent, which kills what this process starts, too
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        supervision.end_with_parent()
        supervision.end_on_quit(stacks)
        carry_out(schedule())
        status = 0
    except BaseException:  # noqa: BLE001 - there is nobody to raise it to
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


# -- in the parent


class _Child:
    """A process that runs ``tests``."""

    def __init__(self, tests: Sequence[Numbered], options: Options, deadline: float) -> None:
        self.tests = tests
        self.left = dict(enumerate(tests))
        """What has no result yet, by its number in this process."""
        now = datetime.now(UTC)
        unit = Unit(list(tests), fixtures=True)
        self.stretch = timeouts.Stretch(unit, options.timeout, monotonic(), now, 0)
        """What is under way in it: a test, or what is around its tests."""
        self.status: int | None = None
        """Its exit status, or the negative number of a signal; ``None`` while it runs."""
        self._unread = b""
        self._has_been_asked = False
        self._events, out = os.pipe()
        self._stacks, stacks = os.pipe()
        _flush()
        self._pid = os.fork()
        if self._pid == 0:
            cases = [test for _, test in tests]
            _run_child(lambda: _ChildSchedule(cases, options, deadline, _Channel(out)), stacks)
        os.close(out)
        os.close(stacks)
        os.set_blocking(self._events, False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happens in it."""
        return self._events

    def is_incomplete(self) -> bool:
        """Whether something in it had no end, now that the process has."""
        return bool(self.left) or self.status != 0

    def events(self) -> Iterator[list[Any]]:
        """Yield what it has told since the last call; sets ``status`` once it has ended."""
        # First this, then the pipe: what it told before its end must not be lost.
        ended = self._has_ended()
        while (data := self._read()) is not None:
            if not data:
                ended = self._has_ended(wait=True)
                break
            *lines, self._unread = (self._unread + data).split(b"\n")
            yield from map(json.loads, lines)
        if ended:
            os.close(self._events)
            os.close(self._stacks)

    def _read(self) -> bytes | None:
        try:
            return os.read(self._events, 1 << 16)
        except BlockingIOError:
            return None

    def _has_ended(self, *, wait: bool = False) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def quit(self) -> None:
        """Ask it to print its stacks and to end, which even a loop in C does."""
        if not self._has_been_asked:  # a second signal would end it in the middle of the first
            self._has_been_asked = True
            os.kill(self._pid, signal.SIGQUIT)

    def kill(self) -> str:
        """End it and all that it has started; return its stacks as faulthandler prints them."""
        self.quit()
        said = b""
        until = monotonic() + _LAST_WORDS
        while select.select([self._stacks], [], [], max(0.0, until - monotonic()))[0]:
            data = os.read(self._stacks, 1 << 16)
            if not data:
                break
            said += data
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        self._has_ended(wait=True)
        return said.decode(errors="replace")

    def end(self) -> str:
        """Return how it ended, in words."""
        if self.status is not None and self.status < 0:
            number = -self.status
            return f"was ended by {signal.Signals(number).name} ({signal.strsignal(number)})"
        return f"ended with exit status {self.status}"


class ProcessSchedule(Schedule):
    """Keeps as many processes at work as may be connected to the databases at one time."""

    def __init__(
        self,
        tests: Sequence[SmokeTest],
        options: Options,
        deadline: float,
        on_result: OnResult,
        on_begin: OnBegin,
    ) -> None:
        super().__init__(tests, options, deadline, on_result, on_begin)
        connections = isolation.new_lender(options.max_connections).most_everywhere()
        self._most = min(options.parallel, connections or options.parallel)
        share = max(1, options.max_connections // self._most)
        self._options_of_child = replace(
            options, parallel=1, max_connections=share, failfast=False, isolate=False
        )
        self._waiting: deque[list[Numbered]] = deque()
        self._children: list[_Child] = []

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        groups = _by_class(divide(enumerate(self._tests)))
        self._run_groups([tests for tests, serial in groups if not serial], self._most)
        self._run_groups([tests for tests, serial in groups if serial], 1)
        self._run_groups(self._once_more(), 1)

    def _once_more(self) -> list[list[Numbered]]:
        return [
            [(number, type(test)(test._testMethodName))]
            for number, test in enumerate(self._tests)
            if number in self._second_tries
        ]

    def _run_groups(self, groups: Iterable[list[Numbered]], most: int) -> None:
        self._waiting.extend(groups)
        self._alone = most == 1 or len(self._waiting) == 1
        while self._waiting or self._children:
            if monotonic() >= self.deadline:
                self._waiting.clear()  # the processes know the deadline themselves
            while self._waiting and len(self._children) < most:
                tests = self._waiting.popleft()
                self._children.append(_Child(tests, self._options_of_child, self.deadline))
            self._watch()
        if monotonic() >= self.deadline:
            raise self.deadline_reached()

    # -- watching

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

    def _read(self, child: _Child) -> None:
        for kind, *values in child.events():
            if kind == "begin":
                self._note_begin(child, *values)
            elif kind == "proof":
                self._note_proof(child, *values)
            else:
                self._note_end(child, *values)

    def _note_begin(
        self, child: _Child, number: int | None, limit: float, start: float, started_at: str
    ) -> None:
        test = None if number is None else child.tests[number][1]
        subject = test or Unit(list(child.tests), fixtures=True)
        begun = datetime.fromisoformat(started_at)
        child.stretch = timeouts.Stretch(subject, limit, start, begun, 0)
        self.begin(child.stretch)

    def _note_proof(self, child: _Child, *event: Any) -> None:
        if self.proofs is not None:
            self.proofs.take_over(child, *event)

    def _note_end(
        self, child: _Child, place: Place, lost_a_lock: bool, told: dict[str, Any]
    ) -> None:
        number, after = place
        overall, _ = child.tests[number]
        if not after:
            child.left.pop(number, None)
        delivery = Delivery((overall, after), TestResult.from_dict(told), lost_a_lock)
        if self.keep_if_final(delivery):
            self.check_for_failfast(self._results[delivery.place])

    def _keep_and_check(self, place: Place, result: TestResult) -> None:
        self.keep(place, result)
        self.check_for_failfast(result)

    def _look_at_the_clock(self) -> None:
        now = monotonic()
        if now >= self.deadline + PATIENCE:
            raise self.deadline_reached()
        for child in [one for one in self._children if now >= one.stretch.expires + PATIENCE]:
            told = f"{over_its_limit(child.stretch)} Its process did not react, and was killed."
            self._kill(child, told)

    # -- processes that do not end as they should

    def _bury(self, child: _Child) -> None:
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

    def _kill(self, child: _Child, message: str, *, by_run: bool = False) -> None:
        self._children.remove(child)
        stacks = child.kill() if child.status is None else ""
        self._read(child)
        if child.is_incomplete():
            self._settle(child, message, stacks, timed_out=not by_run, cut_off=by_run)

    def _settle(self, child: _Child, message: str, stacks: str, **values: bool) -> None:
        """Give the verdict on what was under way in ``child``; its other tests wait again."""
        stretch, rest = child.stretch, list(child.left.values())
        subject = child.tests[0][1] if isinstance(stretch.subject, Unit) else stretch.subject
        problem = Problem(Outcome.ERRORED, message, _stack(stacks, subject), "", 0)
        stopped = [item for item in rest if item[1] is stretch.subject] or rest
        if again := [item for item in rest if item not in stopped]:
            self._waiting.appendleft(again)
        for number, test in stopped:
            self._keep_and_check((number, 0), stretch.result(test, problem, **values))
        if not stopped:
            number, test = child.tests[-1]
            result = stretch.result(test, problem, **values)
            late = replace(result, id=f"{result.class_id}.tearDownClass")
            self._keep_and_check((number, 1), late)

    def stop(self, stopped: Stopped) -> None:
        """Kill what runs, and account for what has not started."""
        for child in self._children:
            if child.status is None:
                child.quit()  # all at once, and then look at one after another
        for child in list(self._children):
            with suppress(Stopped):  # the run has one reason to end already
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


def _flush() -> None:
    """Leave nothing in Python's buffers, which a fork would double and ``_exit`` drop."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, closed, or nobody reads it
            stream.flush()


_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')


def _stack(stacks: str, test: object) -> str:
    """Return the stack of the thread that ran ``test``, as a traceback is written.

    ``stacks`` is what faulthandler printed: a paragraph a thread, its last call first.
    Where no thread was in the test's module, all of it is returned.
    """
    file = getattr(sys.modules.get(type(test).__module__), "__file__", None)
    for paragraph in stacks.split("\n\n"):
        frames = [
            (match["file"], int(match["line"]), match["name"], None)
            for match in _FRAME.finditer(paragraph)
        ]
        while frames and frames[-1][0] != file:
            frames.pop()  # what leads to the test
        if frames:
            summary = traceback.StackSummary.from_list(frames[::-1])
            return "Stack at that moment (most recent call last):\n" + "".join(summary.format())
    return stacks
