"""PostgreSQL refuses by a holdable cursor whose query fails when COMMIT materialises it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

from django.db.backends.postgresql.psycopg_any import is_psycopg3

from .guard import GuardedConnection

# A WITH HOLD cursor is materialised at COMMIT, and a failing query aborts the
# commit: https://www.postgresql.org/docs/current/sql-declare.html. left() of
# something that is only known at run time keeps the cast from being folded, and
# failing, at DECLARE. It needs no privilege and works in READ ONLY transactions.
_NO_COMMIT = (
    "DECLARE smoketest_no_commit NO SCROLL CURSOR WITH HOLD FOR "
    "SELECT ('django-smoketest: COMMIT is refused inside a smoke test'"
    " || left(pg_backend_pid()::text, 0))::int"
)
_CANCEL_TIMEOUT = 2.0
"""Seconds that asking the server to cancel may take, over a network that may be dead."""


class PostgreSQLGuard(GuardedConnection):
    """Begin, limits and the lock against commits go to the server in one round trip."""

    _smoke_socket: socket.socket | None = None
    """The connection's socket by a descriptor of our own: the driver may close its one,
    and the number may then be another's."""

    @property
    def pool(self) -> Any:
        """None for a connection of its own: a run never takes one from the site's pool."""
        return None if self._smoke_own else super().pool  # type: ignore[misc]

    def _smoke_begin(self) -> None:
        driver = self.connection
        if is_psycopg3:
            driver.autocommit = False
            level = driver.isolation_level
            mode = f" ISOLATION LEVEL {level.name.replace('_', ' ')}" if level else ""
            self._smoke_execute(f"BEGIN{mode}; {self._smoke_limits()}; {_NO_COMMIT}")
        else:
            super()._smoke_begin()
            with driver.cursor() as cursor:
                cursor.execute(f"{self._smoke_limits()}; {_NO_COMMIT}")
        self.autocommit = False

    def connect(self) -> None:
        """Connect, and keep a hold of the socket for :meth:`sever`."""
        super().connect()
        self._smoke_forget()
        self._smoke_socket = socket.socket(fileno=os.dup(self.connection.fileno()))

    def _smoke_limits(self) -> str:
        rest = max(1, int(1000 * self._smoke_remaining()))  # 0 would switch the limit off
        limits = {
            "lock_timeout": max(1, int(1000 * self._smoke_session.limits.lock_timeout)),
            "statement_timeout": rest,
            "idle_in_transaction_session_timeout": rest,
        }
        if self.pg_version >= 170000:  # type: ignore[attr-defined]
            limits["transaction_timeout"] = rest
        if self._smoke_read_only:
            limits["transaction_read_only"] = 1
        return "; ".join(f"SET LOCAL {name} = {value}" for name, value in limits.items())

    def _smoke_execute(self, sql: str) -> None:
        """Send several statements at once; psycopg's own begin takes only one."""
        from psycopg import errors
        from psycopg.pq import ExecStatus

        result = self.connection.pgconn.exec_(sql.encode())
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.error_from_result(result)

    def _smoke_rollback(self) -> None:
        driver = self.connection
        driver.rollback()
        driver.autocommit = True
        self.autocommit = True

    def _smoke_forget(self) -> None:
        held, self._smoke_socket = self._smoke_socket, None
        if held is not None:
            held.close()

    def sever(self) -> None:
        """Cancel the running statement, then cut the connection; the server rolls back."""
        driver, held = self.connection, self._smoke_socket
        if driver is None or not self._smoke_levels or self._smoke_outer:
            return
        with suppress(self.Database.Error):
            if is_psycopg3:
                driver.cancel_safe(timeout=_CANCEL_TIMEOUT)
            else:
                driver.cancel()
        if held is not None:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
