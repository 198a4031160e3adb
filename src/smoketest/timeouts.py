"""Gives a test N seconds; then lets go of it and makes its databases forget it.

Whoever takes a :class:`Stretch` first decides its result: the thread that ran it, or
the one that watches the clock. So a test that ends just after its limit cannot
have two verdicts.
"""

from __future__ import annotations

import concurrent.futures.thread
import ctypes
import math
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from types import FrameType
from typing import Any, Protocol, TypeVar

from smoketest.exceptions import TimedOut
from smoketest.recorder import Problem, Recorder, stack_of
from smoketest.results import TestResult

T = TypeVar("T")


class Subject(Protocol):
    """What can be timed: a test, or a fixture."""

    def id(self) -> str:
        """Return its name, which is the same in every run."""


_GRAIN = 0.05
"""Seconds; how often something is looked at that is paused with no time left."""


class Stretch:
    """Something that a thread does within a limit."""

    __slots__ = (
        "_claim",
        "_paused",
        "_paused_at",
        "_waited",
        "expires",
        "limit",
        "start",
        "started_at",
        "subject",
        "thread",
    )

    def __init__(
        self, subject: Subject, limit: float, start: float, started_at: datetime, thread: int
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
        self._waited = 0.0
        self._claim = [True]

    def take(self) -> bool:
        """Claim the right to say what became of it; only the first caller gets it."""
        try:
            return self._claim.pop()  # one step, whatever the other thread does
        except IndexError:
            return False

    def pause(self) -> None:
        """Stop counting: it waits for the run itself."""
        self._paused_at = monotonic()
        self._paused, self.expires = self.expires - self._paused_at, math.inf

    def resume(self) -> None:
        """Count on where it was paused."""
        self._waited += self.paused_for()
        self.expires = monotonic() + self._paused

    def paused_for(self) -> float:
        """Seconds for which it has been paused; 0 where it is not."""
        return monotonic() - self._paused_at if self.expires == math.inf else 0.0

    def may_expire(self) -> float:
        """When its time can be up at the earliest, on the monotonic clock."""
        if self.expires < math.inf:
            return self.expires
        return monotonic() + max(self._paused, _GRAIN)  # it may go on at any moment

    def elapsed(self) -> float:
        """Seconds since it began."""
        return monotonic() - self.start

    def waited(self) -> float:
        """Seconds of these for which it was paused."""
        return self._waited + self.paused_for()

    def taken(self) -> float:
        """Seconds that it took itself, which is what its limit is for."""
        return max(0.0, self.elapsed() - self.waited())

    def stack(self) -> str:
        """Return where it stands right now, as a traceback is written."""
        call = getattr(self.subject, "call", None)
        frames = (call.frames() if call else None) or _frames(self.thread)
        return stack_of(frames) if frames else ""

    def result(self, test: Any, problem: Problem, **values: bool) -> TestResult:
        """Return the result of ``test``, which ends now, with ``problem``."""
        return Recorder.make(test, problem, self.started_at, self.taken(), **values)

    def timed(self, result: TestResult, **values: bool) -> TestResult:
        """Return ``result`` with the time that it took from the beginning of this until now."""
        return replace(
            result,
            started_at=self.started_at,
            duration=self.taken(),
            **values,  # type: ignore[arg-type]
        )


def _frames(thread: int) -> list[FrameType]:
    frame = sys._current_frames().get(thread)
    frames: list[FrameType] = []
    while frame is not None:
        frames.insert(0, frame)
        frame = frame.f_back
    return frames


# -- what was let go


@dataclass(eq=False)
class LetGo:
    """A test or a fixture whose verdict stands, and whose thread may be stuck in it."""

    stretch: Stretch
    thread: threading.Thread
    abandon: Callable[[str], None]
    """Takes its databases from it, for the reason that is given."""
    abandoned: threading.Event = field(default_factory=threading.Event, init=False)
    """Set when that is done."""
    name: str = field(init=False)
    """What was under way."""

    def __post_init__(self) -> None:
        self.name = self.stretch.subject.id()


MOST_STUCK = 64
"""Threads that this process may carry on with stuck; then it starts no test any more."""

_let_go: dict[str, LetGo] = {}
"""By name, the whole process's."""


def let_go(gone: Sequence[LetGo], patience: float = 0.0) -> None:
    """Cut threads off from their databases, end those that can be, and remember the others.

    Whether that is done is waited for as many seconds as there is ``patience``.
    """
    _let_go.update((one.name, one) for one in gone)
    if gone:
        # Talking to a server takes time itself, and so does starting threads beside many that
        # compute: the answer must not wait for it.
        _start(_end_all, gone, without_a_thread=_abandon_all)
    until = monotonic() + patience
    for one in gone:
        one.abandoned.wait(max(0.0, until - monotonic()))


def _start(
    target: Callable[[T], None], argument: T, *, without_a_thread: Callable[[T], None]
) -> None:
    thread = threading.Thread(
        target=target, args=(argument,), name="smoketest-abandons", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the machine has none left, and databases must know all the same
        without_a_thread(argument)


def _end_all(gone: Sequence[LetGo]) -> None:
    """End one here and each other on a thread of its own: any may wait for its server."""
    for one in gone[1:]:
        _start(_end, one, without_a_thread=_end)
    _end(gone[0])


def _abandon_all(gone: Sequence[LetGo]) -> None:
    for one in gone:
        _abandon(one)


def _abandon(gone: LetGo) -> None:
    """Take its databases from a thread that is over its time."""
    try:
        gone.abandon(
            f"{gone.name} is over its time, and what it does is no longer part of any run. "
            "Its databases are closed to it, so that nothing it still does can be kept. "
            "Look at the report of the run for where it stood when its time was up."
        )
    finally:
        gone.abandoned.set()


def _end(gone: LetGo) -> None:
    """Do what can be done to end a thread that is over its time."""
    _abandon(gone)
    call = getattr(gone.stretch.subject, "call", None)
    if call is not None:
        call.cancel()
        _let_process_end(call.thread)
    _interrupt(gone, call)
    stuck()  # forgets it if it has ended, and with it what an async test keeps alive


def _let_process_end(ident: int | None) -> None:
    """Keep Python from waiting at its exit for a loop's thread that may never end.

    It is a thread of concurrent.futures, which are joined at the exit even where
    they are daemons, and there is no public way to be left out of that.
    """
    queues: Any = getattr(concurrent.futures.thread, "_threads_queues", {})
    for thread in [t for t in list(queues) if t.ident == ident]:
        queues.pop(thread, None)


_PATIENCE = 10.0
"""Seconds for which a thread is tried to be ended."""


def _interrupt(gone: LetGo, call: Any) -> None:
    """Raise ``TimedOut`` in the thread, but only where it runs the test's own code.

    An exception that comes at a bad moment leaves a lock held for ever, say one of the
    logging module, and with it the process is dead. In the test's own frame it does not.
    """
    file = getattr(sys.modules.get(type(gone.stretch.subject).__module__), "__file__", None)
    if file is None:
        return
    until = monotonic() + _PATIENCE
    pause = 0.001
    while gone.thread.is_alive() and monotonic() < until:
        for ident in (gone.stretch.thread, getattr(call, "thread", None)):
            frame = sys._current_frames().get(ident or 0)
            if frame is not None and frame.f_code.co_filename == file:
                _raise_in_thread(ident)
        gone.thread.join(pause)
        pause = min(2 * pause, 0.25)


def _raise_in_thread(ident: int | None) -> None:
    # https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(ident or 0), ctypes.py_object(TimedOut)
    )


def stuck() -> list[LetGo]:
    """Return what was let go and whose thread has not ended."""
    for gone in list(_let_go.values()):
        if not gone.thread.is_alive() and _let_go.get(gone.name) is gone:
            _let_go.pop(gone.name, None)  # another thread may have looked as well
    return list(_let_go.values())


def _wait_for(name: str, limit: float) -> None:
    gone = _let_go.get(name)
    if gone is not None:
        gone.thread.join(max(0.0, gone.stretch.start + limit - monotonic()))


def reason_not_to_start(name: str, limit: float) -> str | None:
    """Return why the test ``name`` must not be started in this process, or ``None``.

    What an earlier run cut off before it was ``limit`` seconds old is waited for until
    then: that run had less time perhaps, and a stranger may have chosen how much.
    """
    if not _let_go:
        return None
    _wait_for(name, limit)
    now = monotonic()
    others = [gone for gone in stuck() if gone.name == name or gone.stretch.start + limit <= now]
    for gone in others:
        if gone.name == name:
            return (
                f"Still running since {gone.stretch.started_at.isoformat(timespec='seconds')}, "
                "when an earlier run gave it up. A second one beside it could only hang as "
                "well. Look at the report of that run for where it stands; if it never ends, "
                "only a restart of the process does away with it."
            )
    if len(others) >= MOST_STUCK:
        return (
            f"Not started: {len(others)} tests of earlier runs are stuck in this process, which "
            "is as many as it may carry. Look at the reports of those runs for what they wait "
            "for, and restart the process."
        )
    return None
