"""One thread at a time in SQLite: the one that runs a test, or the one that cuts it off.

Python's module lets go of the interpreter while SQLite prepares a statement, and needs it
for the authorizer, with SQLite's mutex in its hands. Elsewhere, to bind a parameter or to
read a column, it waits for that mutex with the interpreter in its hands. Two threads on one
connection could so stop the whole process for ever; here the second one waits outside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from threading import RLock, get_ident
from typing import Any

NOBODY = -1
"""No thread has this ident."""


def keep_out(driver: sqlite3.Connection, but: int) -> None:
    """Let no thread into ``driver`` any more but the one with the ident ``but``."""
    if hasattr(driver, "severed_by"):
        driver.severed_by = but


def turn(driver: sqlite3.Connection) -> AbstractContextManager[object]:
    """Return a context manager that waits until nobody else is in ``driver``."""
    return getattr(driver, "turns", None) or nullcontext()


def is_idle(driver: sqlite3.Connection) -> bool:
    """Whether it is certain that no thread is in ``driver``, which is kept out of it."""
    turns = getattr(driver, "turns", None)
    if turns is None or not turns.acquire(blocking=False):
        return False
    turns.release()
    return True


@cache
def alternating(original: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
    """Return a subclass of a driver's connection class that lets one thread in at a time."""

    class AlternatingConnection(original):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.turns = RLock()
            self.severed_by: int | None = None
            super().__init__(*args, **kwargs)

        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            return super().cursor(_waiting_cursor(factory))

        def set_authorizer(self, authorizer: Callable[..., int] | None) -> None:
            with self.turns:
                super().set_authorizer(authorizer)

        def close(self) -> None:
            with self.turns:
                super().close()

    return AlternatingConnection


_ENTERING = ("execute", "executemany", "executescript", "fetchall", "fetchmany", "fetchone")


@cache
def _waiting_cursor(original: Any) -> Any:
    if not isinstance(original, type):
        return original  # a factory of the caller's own
    methods = {name: _in_turn(getattr(original, name)) for name in (*_ENTERING, "__next__")}
    return type(original.__name__, (original,), {**methods, "__module__": original.__module__})


def _in_turn(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def enter(self: sqlite3.Cursor, *args: Any, **kwargs: Any) -> Any:
        connection: Any = self.connection
        with connection.turns:
            if connection.severed_by is not None and connection.severed_by != get_ident():
                raise sqlite3.DatabaseError("not authorized")  # as the authorizer's own refusal
            return method(self, *args, **kwargs)

    return enter
