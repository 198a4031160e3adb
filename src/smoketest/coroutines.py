"""Runs what a test awaits, so that it can be looked at and cancelled from outside."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable
from contextlib import suppress
from types import FrameType
from typing import Any

from smoketest import loops
from smoketest.exceptions import CannotAwait


class Call:
    """One call of an ``async def`` of a test.

    What the coroutine does by ``sync_to_async``, the ORM for one, happens on the test's
    thread, and so inside its transaction; the event loop goes on elsewhere meanwhile.
    """

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self._task: asyncio.Task[Any] | None = None
        self.value: Any = None
        """What it returned."""
        self._thread: threading.Thread | None = None

    @property
    def thread(self) -> int | None:
        """The ident of the loop's thread while that runs; afterwards another may get it."""
        thread = self._thread
        return thread.ident if thread is not None and thread.is_alive() else None

    def run(self) -> None:
        """Wait for the end; raises what it raises, and ``CannotAwait`` among greenlets."""
        culprit = _who_made_greenlets()
        if culprit:
            if inspect.iscoroutine(self._awaitable):
                self._awaitable.close()
            raise CannotAwait(
                f"This async test cannot run here: {culprit} has made greenlets of this process's"
                " threads, so an event loop would stop every other one, the site's requests"
                " among them. Make it a plain test, or keep it for another process: manage.py"
                " smoketest, or a worker of another class."
            )
        loops.run(self._await, self._note_thread)

    async def _await(self) -> None:
        self._task = asyncio.current_task()
        self._note_thread()
        self.value = await self._awaitable

    def _note_thread(self) -> None:
        self._thread = threading.current_thread()

    def cancel(self) -> None:
        """Cancel it, from any thread; does nothing if it has ended."""
        if self._task is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def frames(self) -> list[FrameType]:
        """Return where it stands: the outermost frame first."""
        if self._thread is None:
            return []
        running = getattr(self._awaitable, "cr_running", True)
        step = _step(sys._current_frames().get(self.thread or 0)) if running else []
        return step or _suspended(self._awaitable)


def _who_made_greenlets() -> str:
    """Return the library that has made greenlets of all threads; empty if none has."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return ""


def _step(frame: FrameType | None) -> list[FrameType]:
    """The frames of what the loop runs right now; none while it waits for something."""
    frames: list[FrameType] = []
    while frame is not None:
        if _is_loop(frame):
            return frames
        frames.insert(0, frame)
        frame = frame.f_back
    return []


def _is_loop(frame: FrameType) -> bool:
    """Whether ``frame`` is the one in which the loop calls what it has to."""
    name = frame.f_globals.get("__name__")
    return name == "asyncio.events" and frame.f_code.co_name == "_run"


def _suspended(awaitable: Any) -> list[FrameType]:
    """The frames of a coroutine and of what it awaits, one inside the other."""
    frames = []
    while inspect.iscoroutine(awaitable) and awaitable.cr_frame is not None:
        frames.append(awaitable.cr_frame)
        awaitable = awaitable.cr_await
    return frames
