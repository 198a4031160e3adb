"""PostgreSQL refuses by a holdable cursor whose query fails when COMMIT materialises it."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import clear_frames
from typing import Any

from django.db.backends.postgresql.psycopg_any import is_psycopg3

from smoketest.exceptions import Refused

from . import drivers
from .cancelling import Cancellation
from .server import ServerGuard
from .sqlstates import sqlstate
from .statements import split_postgresql

if is_psycopg3:
    from psycopg import capabilities, errors
    from psycopg.pq import ExecStatus, PipelineStatus

_REFUSAL = (
    "django-smoketest: COMMIT is refused inside a smoke test, because what the test does is "
    "rolled back at its end. Leave the end of the transaction to the test."
)
# A WITH HOLD cursor is materialised at COMMIT, and a failing query aborts the
# commit: https://www.postgresql.org/docs/current/sql-declare.html. left() of
# something that is only known at run time keeps the cast from being folded, and
# failing, at DECLARE. It needs no privilege and works in READ ONLY transactions.
_NO_COMMIT = (
    "DECLARE smoketest_no_commit NO SCROLL CURSOR WITH HOLD FOR "
    f"SELECT ('{_REFUSAL}' || left(pg_backend_pid()::text, 0))::int"
)
# Where a role, a database or the site's options are stricter, they stay so. 0 is no limit.
_LOWER = (
    "set_config('{name}', LEAST({most}, NULLIF(1000 * EXTRACT(EPOCH FROM "
    "current_setting('{name}')::interval), 0))::int::text, true)"
)
_IDLE = 0
"""No transaction, in libpq's words: PQTRANS_IDLE."""
_TRANSACTION_ID = "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_xact_id()::text END"
"""A standby gives none, and nothing can be written there."""
_NO_SAVEPOINT = frozenset({"3B001", "25P01"})
"""invalid_savepoint_specification, no_active_sql_transaction"""
_CANCEL_TIMEOUT = 2.0
"""Seconds that asking the server to cancel may take, over a network that may be dead."""
_CANCELS_SAFELY = is_psycopg3 and capabilities.has_cancel_safe()
"""Whether the driver keeps to such a limit, and to no lock meanwhile."""


class PostgreSQLGuard(ServerGuard):
    """Begin, limits and the lock against commits go to the server in one round trip."""

    _smoke_split = staticmethod(split_postgresql)
    _smoke_attributes = ("cursor_factory", "prepare_threshold", "row_factory")
    _smoke_cancellation: Cancellation | None = None
    """How to cancel, where the driver's own way could stop the whole process."""
    _smoke_driver_before: dict[str, Any]
    """Attributes of the driver's connection, to put back."""

    @property
    def pool(self) -> Any:
        """None for a connection of its own: a run never takes one from the site's pool."""
        return None if self._smoke_own else super().pool  # type: ignore[misc]

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection, of which :meth:`sever` has what it needs."""
        try:
            driver = super().get_new_connection(conn_params)
        except self.Database.OperationalError as error:
            # psycopg 3 has a descriptor there, of what was not connected in time, and keeps
            # the error in a circle: it would stay open until the garbage is collected.
            clear_frames(error.__traceback__)
            raise
        if not _CANCELS_SAFELY:
            self._smoke_cancellation = Cancellation(driver)
        return driver

    # -- begin and end

    def _smoke_send_begin(self) -> None:
        options = self.settings_dict["OPTIONS"]
        level = self.isolation_level.name if "isolation_level" in options else ""  # type: ignore[attr-defined]
        mode = f" ISOLATION LEVEL {level.replace('_', ' ')}" if level else ""
        begin = f"BEGIN{mode}; {self._smoke_limits()}; {_NO_COMMIT}"
        # Not before: to ask for the server's version, a backend that sets the search_path
        # with each cursor sends a statement, and the driver would begin by itself.
        self._smoke_guard_driver()
        self._smoke_execute(begin)

    def _smoke_guard_driver(self) -> None:
        """Set up the driver for a transaction that it has not begun itself.

        A connection of the session's own stays so until it is closed.
        """
        driver = self.connection
        changed: dict[str, Any] = {
            "cursor_factory": drivers.guarded_cursor(driver.cursor_factory or self._smoke_cursor())
        }
        if is_psycopg3:
            # Should the test end our transaction, all that psycopg begins by itself
            # is read-only.
            changed |= {"autocommit": False, "read_only": True}
        else:
            # psycopg2 sends nothing of its own then, neither BEGIN nor COMMIT.
            changed |= {"autocommit": True}
        before = {name: getattr(driver, name) for name in changed}
        self._smoke_driver_before = {} if self._smoke_own else before
        for name, value in changed.items():
            if before[name] != value:
                setattr(driver, name, value)

    def _smoke_cursor(self) -> type:
        cursor: type = self.Database.extensions.cursor
        return cursor

    def _smoke_limits(self) -> str:
        rest = max(1, int(1000 * self._smoke_remaining()))  # 0 would switch the limit off
        limits = {
            "lock_timeout": max(1, int(1000 * self._smoke_session.limits.lock_timeout)),
            "statement_timeout": rest,
            "idle_in_transaction_session_timeout": rest,
        }
        if self.pg_version >= 170000:  # type: ignore[attr-defined]
            limits["transaction_timeout"] = rest
        lowered = ", ".join(_LOWER.format(name=name, most=most) for name, most in limits.items())
        mode = "SET LOCAL transaction_read_only = 1; " if self._smoke_read_only else ""
        return f"{mode}SELECT {lowered}"

    def _smoke_execute(self, sql: str) -> None:
        """Send several statements at once; psycopg's own begin takes only one."""
        if not is_psycopg3:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
            return
        result = self.connection.pgconn.exec_(sql.encode())
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.error_from_result(result)

    def _smoke_send_rollback(self) -> None:
        driver = self.connection
        if self._smoke_changed and self._smoke_own:
            # Behind a pooler the session is the site's as well: in the same breath, so
            # that it is the same session, let go of the locks that a rollback keeps.
            self._smoke_execute("ROLLBACK; SELECT pg_advisory_unlock_all()")
        elif _knows_more(driver):
            driver.rollback()
        else:
            self._smoke_execute("ROLLBACK")
        for name, value in self._smoke_driver_before.items():
            setattr(driver, name, value)

    def _smoke_refuse_if_stuck(self) -> None:
        if is_psycopg3 and self.connection is not None and self.connection.lock.locked():
            raise Refused(
                f"{self._smoke_session.subject} left a COPY or a stream open on the database "
                f"{self.alias!r}, or a thread that is in the middle of a statement, so its "
                "connection had to be closed. The server rolls back what it did. Read to the "
                "end, or leave the block, before the test is over."
            )

    # -- what can be verified

    def _smoke_has_ended(self) -> bool:
        status: int = self.connection.info.transaction_status
        return status == _IDLE

    def _smoke_mark(self) -> Mapping[str, str]:
        with self.connection.cursor() as cursor:
            cursor.execute(_TRANSACTION_ID)
            (xid,) = cursor.fetchone()
        return {**super()._smoke_mark(), "xid": xid}

    def _smoke_lacks_savepoint(self, error: Exception) -> bool:
        return sqlstate(error) in _NO_SAVEPOINT

    # -- what the server says, and what it is told

    def is_refusal(self, error: Exception) -> bool:
        """Whether COMMIT has met the cursor that cannot be materialised."""
        return _REFUSAL in str(error)

    def _smoke_is_lost(self, error: Exception) -> bool:
        # Where nobody is at the other end, psycopg has no code and no class of its own for it.
        nobody = isinstance(error, self.Database.DatabaseError) and not sqlstate(error)
        return nobody or super()._smoke_is_lost(error)

    def _smoke_forget(self) -> None:
        self._smoke_cancellation = None
        super()._smoke_forget()

    def _smoke_cut_off(self, driver: Any) -> None:
        cancellation = self._smoke_cancellation
        if cancellation is not None:
            cancellation.send(_CANCEL_TIMEOUT)
        elif _CANCELS_SAFELY:
            driver.cancel_safe(timeout=_CANCEL_TIMEOUT)


def _knows_more(driver: Any) -> bool:
    """Whether psycopg itself must learn of a rollback: it pipes, or prepares statements."""
    return is_psycopg3 and (
        driver.prepare_threshold is not None or driver.pgconn.pipeline_status != PipelineStatus.OFF
    )
