"""Which test a piece of code belongs to, on whichever thread it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Scope(Protocol):
    """A test, or a class with its fixtures, for as long as it can be rolled back."""

    subject: str
    """The test, for messages."""

    def is_on_its_own_thread(self) -> bool:
        """Whether this is the thread that it was begun on."""

    def guard(self, wrapper: Any) -> None:
        """Guard a connection that was made on its own thread."""

    def note(self, error: BaseException) -> None:
        """Keep what may never come to the test itself: a refusal, or the error of a thread."""

    def connection_elsewhere(self, alias: str) -> Any:
        """Return the guarded connection of this thread, which is not its own."""


_scope: ContextVar[Scope | None] = ContextVar("smoketest_scope", default=None)

current = _scope.get
"""Return the scope of this context, or ``None`` outside of any test."""


def become(scope: Scope | None) -> None:
    """Let what follows in this context belong to ``scope``."""
    _scope.set(scope)


@contextmanager
def within(scope: Scope) -> Iterator[None]:
    """Let a block belong to ``scope``."""
    around = _scope.get()
    _scope.set(scope)
    try:
        yield
    finally:
        _scope.set(around)
