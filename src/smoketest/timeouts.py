"""Gives a test N seconds; then lets go of it and makes its databases forget it.

Whoever takes a :class:`Stretch` first decides its result: the thread that ran it, or
the one that watches the clock. So a test that ends just after its limit cannot
have two verdicts.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any

from .recorder import Problem, Recorder, stack_of
from .results import TestResult


class Stretch:
    """Something that a thread does within a limit: a test, or a fixture."""

    __slots__ = (
        "_claim",
        "_paused",
        "expires",
        "limit",
        "start",
        "started_at",
        "subject",
        "thread",
    )

    def __init__(
        self, subject: Any, limit: float, start: float, started_at: datetime, thread: int
    ) -> None:
        self.subject = subject
        self.limit = limit
        self.start = start
        self.started_at = started_at
        self.expires = start + limit
        """When time is up, on the monotonic clock."""
        self.thread = thread
        """The ident of its thread."""
        self._paused = 0.0
        self._claim = [True]

    def take(self) -> bool:
        """Claim the right to say what became of it; only the first caller gets it."""
        try:
            return self._claim.pop()  # one step, whatever the other thread does
        except IndexError:
            return False

    def pause(self) -> None:
        """Stop counting: it waits for the run itself."""
        self._paused, self.expires = self.expires - monotonic(), math.inf

    def resume(self) -> None:
        """Count on where it was paused."""
        self.expires = monotonic() + self._paused

    def elapsed(self) -> float:
        """Seconds since it began."""
        return monotonic() - self.start

    def stack(self) -> str:
        """Return where its thread stands right now, as a traceback is written."""
        frame = sys._current_frames().get(self.thread)
        return "" if frame is None else stack_of(frame)

    def result(self, test: Any, problem: Problem, **values: bool) -> TestResult:
        """Return the result of ``test``, which ends now, with ``problem``."""
        return Recorder.make(test, problem, self.started_at, self.elapsed(), **values)


_stuck: dict[str, tuple[Stretch, threading.Thread]] = {}
"""Tests that were let go and may still be running, by id; they are the whole process's."""


def let_go(stretch: Stretch, thread: threading.Thread, abandon: Callable[[str], None]) -> None:
    """Remember ``stretch`` until ``thread`` ends, and cut that off from its databases."""
    name = _name(stretch.subject)
    _stuck[name] = (stretch, thread)
    reason = (
        f"{name} is over its time, and what it does is no longer part of any run. "
        "Its databases are closed to it, so that nothing it still does can be kept. "
        "Look at the report of the run for where it stood when its time was up."
    )
    # Talking to a server takes time itself; the verdict must not wait for it.
    threading.Thread(target=abandon, args=(reason,), name="smoketest abandons", daemon=True).start()


def _name(subject: Any) -> str:
    return subject.id() if hasattr(subject, "id") else "A fixture"


def stuck_since(name: str) -> datetime | None:
    """When the run of the test ``name`` began that is still under way; ``None`` if none is."""
    if not _stuck or name not in _stuck:
        return None
    stretch, thread = _stuck[name]
    if thread.is_alive():
        return stretch.started_at
    _stuck.pop(name, None)
    return None
