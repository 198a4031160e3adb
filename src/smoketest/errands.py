"""Does what may hang on a thread of its own, and waits for it a moment only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from django.core.cache import caches
from django.db import connections

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that a caller waits. The first access of a process imports the library of the
cache, which takes a good part of a second on a busy machine; and a run that has used up its
25 seconds, and this, is still below the 30 of an application server."""


class Overdue(TimeoutError):
    """What should be done is not done yet, or was not begun because an earlier one hangs."""


class Errand(threading.Thread, Generic[T]):
    """A call of a function, which somebody waits for or not.

    The thread is new, so it has connections of its own to databases and caches: whatever
    transaction the caller is in, the errand is outside of it.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__(name="smoketest-errand", daemon=True)
        self._function = function
        self._answer: list[T] = []
        self._error: Exception | None = None

    def run(self) -> None:
        """Call the function."""
        try:
            self._answer.append(self._function())
        except Exception as error:  # noqa: BLE001 - it is raised to who waits
            self._error = error
        finally:
            connections.close_all()
            caches.close_all()

    def answer(self) -> T:
        """Return what the function returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer[0]


_late: dict[str, threading.Thread] = {}
"""The last one to each place that took too long; none is begun while it is under way, so
that a cache that hangs costs one thread and not one for each run."""


def run(function: Callable[[], T], patience: float = PATIENCE, to: str = "the cache") -> T:
    """Return ``function()``, from a thread of its own, if that takes at most ``patience`` s.

    Raises :class:`Overdue` where it takes longer, and at once while an earlier one ``to``
    the same place hangs or where no thread can be had; else what ``function`` raises.
    """
    late = _late.get(to)
    if late is not None and late.is_alive():
        raise Overdue("an earlier access has not come back yet")
    errand = Errand(function)
    try:
        errand.start()
    except RuntimeError as error:  # the machine has no thread left
        raise Overdue(f"no thread could be started for it: {error}") from error
    errand.join(patience)
    if errand.is_alive():
        _late[to] = errand
        raise Overdue(f"it did not come back within {patience:g} s")
    return errand.answer()
