"""A process of its own for some tests: it is started, listened to, and ended."""

from __future__ import annotations

import json
import os
import select
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from smoketest import timeouts
from smoketest.options import Options
from smoketest.testcases import SmokeTest
from smoketest.units import Unit

from . import inside

Numbered = tuple[int, SmokeTest]
"""A test, and its number in discovery order."""

UNKNOWN = 1000
"""The exit status of a process where nobody learns it."""

_LAST_WORDS = 1.0
"""Seconds that a process may take to print its stacks."""


class Child:
    """A process that runs ``tests``.

    Raises ``OSError`` where the machine has none left, or no descriptor to speak with it.
    """

    def __init__(self, tests: Sequence[Numbered], options: Options, deadline: float) -> None:
        self.tests = tests
        self.left = dict(enumerate(tests))
        """What has no result yet, by its number in this process."""
        now = datetime.now(UTC)
        unit = Unit(list(tests), fixtures=True)
        self.stretch = timeouts.Stretch(unit, options.timeout, monotonic(), now, 0)
        """What is under way in it: a test, or what is around its tests."""
        self.status: int | None = None
        """Its exit status, or the negative number of a signal, or :data:`UNKNOWN`; ``None``
        while it runs."""
        self.told: deque[list[Any]] = deque()
        """What it has told, and what nobody has looked at."""
        self._unread = b""
        self._has_been_asked = False
        cases = [test for _, test in tests]
        self._pid, self._events, self._stacks = _start(cases, options, deadline)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happens in it."""
        return self._events

    def is_incomplete(self) -> bool:
        """Whether something in it had no end, now that the process has."""
        return bool(self.left) or self.status not in (0, UNKNOWN)

    def listen(self) -> None:
        """Add what it says to ``told``; sets ``status`` once it has ended."""
        # First this, then the pipe: what it told before its end must not be lost.
        ended = self._has_ended()
        while (data := self._read()) is not None:
            if not data:
                ended = self._has_ended(wait=True)
                break
            *lines, self._unread = (self._unread + data).split(b"\n")
            self.told.extend(map(json.loads, lines))
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
            try:
                pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
            except ChildProcessError:  # nobody keeps its status, or somebody else has taken it
                self.status = UNKNOWN
            else:
                self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def quit(self) -> None:
        """Ask it to print its stacks and to end, which even a loop in C does."""
        if not self._has_been_asked:  # a second signal would end it in the middle of the first
            self._has_been_asked = True
            with suppress(ProcessLookupError):
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
        if self.status == UNKNOWN:
            return "ended, nobody knows how, as SIGCHLD is ignored or taken by somebody else,"
        if self.status is not None and self.status < 0:
            number = -self.status
            return f"was ended by {signal.Signals(number).name} ({signal.strsignal(number)})"
        return f"ended with exit status {self.status}"


def _start(cases: Sequence[SmokeTest], options: Options, deadline: float) -> tuple[int, int, int]:
    """Start a process; return its number, and where its events and its stacks are read."""
    with ExitStack() as on_failure, ExitStack() as ends_of_child:
        events, out = _pipe(on_failure, ends_of_child)
        stacks, into_stacks = _pipe(on_failure, ends_of_child)
        inside.flush()
        pid = os.fork()
        if pid == 0:
            inside.run(cases, options, deadline, out, into_stacks)
        os.set_blocking(events, False)
        on_failure.pop_all()
    return pid, events, stacks


def _pipe(on_failure: ExitStack, afterwards: ExitStack) -> tuple[int, int]:
    """Return both ends; one is closed if this fails, and the other one in any case."""
    read, write = os.pipe()
    on_failure.callback(os.close, read)
    afterwards.callback(os.close, write)
    return read, write
