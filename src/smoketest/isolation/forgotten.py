"""What a test has begun to await and has forgotten is told to it.

A coroutine that nobody awaits runs none of its lines, and of a task that nobody asks nobody
learns that it failed: the test would pass. Python warns of both, to standard error and to
the logger ``asyncio``, and goes on doing so; here the test in which it happens is told too.
Whether it counts is the test's own matter, as with the errors of a thread.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine
from functools import wraps
from types import CodeType, FrameType, TracebackType
from typing import Any

from smoketest import loops
from smoketest.exceptions import NeverAwaited

from . import scope

_NAME = "_warn_unawaited_coroutine"
"""What the interpreter calls with a coroutine that it drops, and that has never begun."""


def install() -> None:
    """Put the hooks in place; to be called once in the life of the process."""
    loops.tell_of_unasked(_note)
    if hasattr(warnings, _NAME):  # it has no public name, and a Python to come may differ
        setattr(warnings, _NAME, _noting(getattr(warnings, _NAME)))


def _note(error: BaseException) -> None:
    if (owner := scope.current()) is not None:
        owner.note(error)


def _noting(warn: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return ``warn``, which notes first, where a test is under way."""

    @wraps(warn)
    def note_and_warn(coroutine: Coroutine[Any, Any, Any]) -> None:
        if scope.current() is not None:
            _note(_never_awaited(coroutine, sys._getframe(1)))
        warn(coroutine)

    note_and_warn.__code__ = _unseen(note_and_warn.__code__)  # type: ignore[attr-defined]
    return note_and_warn


def _unseen(code: CodeType) -> CodeType:
    """Return ``code`` so that warnings name the line of its caller, as they do without it.

    They pass over the frames of an import, which they know by the name of the file.
    """
    return code.replace(co_filename="<frozen importlib._bootstrap>")


def _never_awaited(coroutine: Any, dropped_in: FrameType) -> NeverAwaited:
    """Return the error for ``coroutine``, with the place where it was dropped and its own."""
    error = NeverAwaited(
        f"The coroutine {coroutine.__qualname__!r} was never awaited, so none of its lines has "
        "run, and whatever it stands for was not verified. Write `await` before it."
    )
    frame: FrameType | None = coroutine.cr_frame
    inner = None if frame is None else _at(frame, None)
    return error.with_traceback(_at(dropped_in, inner))


def _at(frame: FrameType, inner: TracebackType | None) -> TracebackType:
    return TracebackType(inner, frame, frame.f_lasti, frame.f_lineno)
