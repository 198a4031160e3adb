"""SQLite refuses by its authorizer, which sees every statement whatever layer sends it."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import get_ident
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from . import alternating
from .adoption import Owner
from .guard import GuardedConnection

# https://www.sqlite.org/pragma.html: these only read when they are given an argument.
_READING_PRAGMAS = frozenset(
    {
        "table_info", "table_xinfo", "table_list", "index_info", "index_xinfo", "index_list",
        "foreign_key_list", "foreign_key_check", "integrity_check", "quick_check",
    }
)  # fmt: skip
_HARMLESS_PRAGMAS = frozenset({"foreign_keys", "busy_timeout", "defer_foreign_keys"})
"""What Django itself sets inside a transaction; none of them can end it."""


class SQLiteGuard(GuardedConnection):
    """An authorizer denies transaction statements, ATTACH, DETACH and changing PRAGMAs.

    https://www.sqlite.org/c3ref/set_authorizer.html
    """

    _smoke_attributes = ("isolation_level", "row_factory", "text_factory")
    _smoke_pragmas: dict[str, int]
    """What is changed for a test, as it was before."""
    _smoke_severed_by: int | None = None
    """The thread that ends it; every other is denied everything then."""
    _smoke_ending: threading.Lock
    """Held by who ends the transaction: its own thread, or one that cuts it off."""
    _thread_ident: int
    """Django's: the thread that made it."""

    def come_under(self, owner: Owner, original: type[BaseDatabaseWrapper]) -> None:
        """Begin to be guarded for ``owner``, without any traffic."""
        super().come_under(owner, original)
        self._smoke_ending = threading.Lock()

    def get_connection_params(self) -> dict[str, Any]:
        """Return Django's own; a statement is prepared, and so authorized, each time it is run."""
        parameters = {**super().get_connection_params(), "cached_statements": 0}
        if self._smoke_own:
            parameters["timeout"] = self._smoke_session.limits.lock_timeout
            original = parameters.get("factory", sqlite3.Connection)
            parameters["factory"] = alternating.alternating(original)
        return parameters

    def _smoke_begin(self) -> None:
        lock_timeout, rest = self._smoke_session.limits.lock_timeout, self._smoke_remaining()
        if rest < lock_timeout or not self._smoke_own:
            # interrupt() does not wake a statement that waits for a lock; this ends it.
            self._smoke_set_pragmas(busy_timeout=int(1000 * min(rest, lock_timeout)))
        if self._smoke_read_only:
            self._smoke_set_pragmas(query_only=1)
        self.connection.execute("BEGIN")
        self.autocommit = False
        self.connection.set_authorizer(_authorizer(self))

    def _smoke_set_pragmas(self, **pragmas: int) -> None:
        before = self.__dict__.setdefault("_smoke_pragmas", {})
        for name, value in pragmas.items():
            (before[name],) = self.connection.execute(f"PRAGMA {name}").fetchone()
            self.connection.execute(f"PRAGMA {name} = {value}")

    def _smoke_end_with_evidence(self) -> None:
        with self._smoke_ending:
            super()._smoke_end_with_evidence()

    def _smoke_rollback(self) -> None:
        if self._smoke_severed_by is not None:
            return  # who severs it rolls back
        driver = self.connection
        driver.set_authorizer(None)
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        before = self.__dict__.pop("_smoke_pragmas", {})
        for name, value in before.items():
            driver.execute(f"PRAGMA {name} = {value}")
        self.autocommit = True

    def _smoke_rest(self) -> None:
        if self._smoke_severed_by is None:
            self.connection.set_authorizer(_deny)

    def _smoke_wake(self) -> None:
        self.connection.set_authorizer(None)

    def _smoke_has_ended(self) -> bool:
        try:
            return not self.connection.in_transaction
        except sqlite3.ProgrammingError:
            return False  # it is closed, which is an error of its own

    def _smoke_fault(self, marks: Mapping[str, str]) -> str:
        if self._smoke_has_ended():  # and the authorizer denies every statement since
            return "its transaction had ended before the test did"
        self.connection.set_authorizer(None)  # which, once severed, denies this question too
        return super()._smoke_fault(marks)

    def _smoke_lacks_savepoint(self, error: Exception) -> bool:
        return "no such savepoint" in str(error)

    def is_refusal(self, error: Exception) -> bool:
        """Whether the authorizer has denied it."""
        return "not authorized" in str(error)

    def _smoke_is_lost(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.ProgrammingError) or super()._smoke_is_lost(error)

    def sever(self) -> None:
        """Interrupt the running statement, roll back, and deny everything from then on.

        The authorizer stays as it is, and its thread has left SQLite before anything is done:
        see ``alternating``.
        """
        driver = self.connection
        if driver is None or not self._smoke_levels or self._smoke_outer:
            return
        self._smoke_leave_to(get_ident(), driver)
        self._smoke_interrupt(driver)
        with self._smoke_ending, alternating.turn(driver):
            if self._smoke_evidence is not None:
                marks, ended = self._smoke_evidence
                self._smoke_evidence = None
                ended(self._smoke_fault(marks))
            # What was authorized before, and runs only now, finds no transaction around it.
            driver.execute("PRAGMA query_only = 1")
            if driver.in_transaction:
                driver.execute("ROLLBACK")
            self._smoke_leave_to(alternating.NOBODY, driver)

    def _smoke_leave_to(self, thread: int, driver: sqlite3.Connection) -> None:
        """Let no thread do anything with ``driver`` from now on but the one of this ident."""
        self._smoke_severed_by = thread
        alternating.keep_out(driver, but=thread)

    def _smoke_interrupt(self, driver: sqlite3.Connection) -> None:
        # For as long as a cursor is half read it would stop what comes next, the rollback, too.
        if not alternating.is_idle(driver):
            driver.interrupt()

    def end_from_outside(self) -> None:
        """Sever it, and leave it to its thread, in whose hands to close it would be a crash."""
        if self._smoke_levels:
            self._smoke_take_driver_back()
        try:
            with suppress(sqlite3.ProgrammingError):  # the test has closed it: it is rolled back
                self.sever()
        finally:
            if self._smoke_is_idle():
                self._smoke_drop()
            else:
                self._smoke_return(None)

    def _smoke_is_idle(self) -> bool:
        """Whether the thread of the connection has ended, or cannot be in SQLite."""
        frame = sys._current_frames().get(self._thread_ident)
        module = "" if frame is None else str(frame.f_globals.get("__name__"))
        return frame is None or module.startswith(_IDLE_IN)


_IDLE_IN = ("asyncio", "concurrent.futures", "queue", "selectors", "threading")
"""Where threads wait for work."""


def _authorizer(connection: SQLiteGuard) -> Callable[..., int]:
    driver = connection.connection

    def authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
        severed_by = connection._smoke_severed_by
        if severed_by is not None:
            return sqlite3.SQLITE_OK if severed_by == get_ident() else sqlite3.SQLITE_DENY
        if not driver.in_transaction:
            # INSERT OR ROLLBACK has ended it, and what follows would be committed at once.
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA and second is not None:
            connection._smoke_changed = True  # the next test gets another connection
        return _authorize(action, first, second)

    return authorize


def _authorize(action: int, first: str | None, second: str | None) -> int:
    if action in (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    changes = action == sqlite3.SQLITE_PRAGMA and second is not None
    if changes and (first or "").lower() not in _READING_PRAGMAS | _HARMLESS_PRAGMAS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _deny(*_: Any) -> int:
    return sqlite3.SQLITE_DENY
