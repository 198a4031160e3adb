"""SQLite refuses by its authorizer, which sees every statement whatever layer sends it."""

from __future__ import annotations

import sqlite3
from typing import Any

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

    def _smoke_begin(self) -> None:
        driver = self.connection
        milliseconds = int(
            1000 * min(self._smoke_session.limits.lock_timeout, self._smoke_session.remaining())
        )
        (self._smoke_busy_timeout,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
        super()._smoke_begin()
        driver.set_authorizer(_authorize)

    def _smoke_rollback(self) -> None:
        driver = self.connection
        driver.set_authorizer(None)
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        driver.execute(f"PRAGMA busy_timeout = {self._smoke_busy_timeout}")
        self.autocommit = True

    def sever(self) -> None:
        """Interrupt the running statement, roll back, and deny everything from then on."""
        driver = self.connection
        if driver is None or not self._smoke_levels or self._smoke_outer:
            return
        driver.interrupt()
        driver.set_authorizer(None)
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        driver.set_authorizer(_deny)


def _authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
    if action in (sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    changes = action == sqlite3.SQLITE_PRAGMA and second is not None
    if changes and (first or "").lower() not in _READING_PRAGMAS | _HARMLESS_PRAGMAS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _deny(*_: Any) -> int:
    return sqlite3.SQLITE_DENY
