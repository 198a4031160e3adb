"""What the methods of a test return: it is awaited, or refused, and never ignored."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from smoketest.coroutines import Call


def call_of(value: Any, name: str | None) -> Call | None:
    """Return what is left to do of an ``async def``; ``None`` where nothing is.

    Raises ``TypeError`` for a generator that the method ``name`` returned, which nobody would
    run. ``None`` is a cleanup, whose value nobody has promised anything about.
    """
    if inspect.isawaitable(value):
        return Call(value)
    if name is not None and (inspect.isgenerator(value) or inspect.isasyncgen(value)):
        raise TypeError(
            f"{name} is a generator: it has a `yield`, so calling it runs none of its lines. "
            "Remove the `yield`; for a fixture, use setUp and addCleanup, or enterContext."
        )
    return None


def finish(value: Any, name: str) -> None:
    """Wait for the end of what a class fixture returned."""
    if value is not None and (call := call_of(value, name)) is not None:
        call.run()


def finished(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """Call a cleanup of a class, and wait for its end."""
    finish(function(*args, **kwargs), function.__name__)


def refuse(value: Any, name: str) -> None:
    """Raise ``TypeError`` for what a test returned: nobody looks at it, so it verifies nothing."""
    if value is not None:
        raise TypeError(
            f"{name} returned {type(value).__name__}, and not None. What a test returns is not "
            "looked at, so whatever it stands for was not verified: a result, or a function or "
            "a coroutine that was never called. Assert it; or look at the decorator, which may "
            "return what it should have called."
        )
