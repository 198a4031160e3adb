"""A process of its own for some tests: it is started, listened to, and ended."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from .. import timeouts
from ..options import Options
from ..testcases import SmokeTest
from ..units import Unit
from . import inside

Numbered = tuple[int, SmokeTest]
"""A test, and its number in discovery order."""

_LAST_WORDS = 1.0
"""Seconds that a process may take to print its stacks."""


class Child:
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
        inside.flush()
        self._pid = os.fork()
        if self._pid == 0:
            cases = [test for _, test in tests]
            inside.run(
                lambda: inside.ChildSchedule(cases, options, deadline, inside.Channel(out)), stacks
            )
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
