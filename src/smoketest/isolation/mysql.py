"""MySQL and MariaDB refuse by XA: a transaction in state ACTIVE cannot be committed.

The server answers 1399 (XAER_RMFAIL) to COMMIT and to every statement that would
commit implicitly, such as DDL: https://mariadb.com/kb/en/xa-transactions/.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from smoketest.exceptions import Refused

from .engines import can_only_be_temporary, first_written, may_write, tables_without_transactions
from .server import ServerGuard
from .statements import Changes, changes_the_session_of_mysql

_numbers = itertools.count(1)
_XAER_RMFAIL = 1399
"""What the server says to whatever would commit."""
_XAER_NOTA = 1397
"""What it says where there is no such transaction."""
_MULTI_STATEMENTS = 1 << 16
"""https://mariadb.com/kb/en/connection/#capabilities: several statements in one string."""
_STEP = 0.25
"""Seconds."""
UNGUARDED_DRIVERS = frozenset({"mysql.connector", "mariadb"})
"""Drivers that have Django backends of their own, and whose connections we know nothing of."""
_BRIEFLY = {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2}
"""Seconds that telling the server to end a session may take."""
_NOT_ALL_ROLLED_BACK = 1196
"""The warning of a rollback that left what was written to tables without transactions."""


class MySQLGuard(ServerGuard):
    """Begin, limits and the lock against commits go to the server in one round trip."""

    _smoke_lasts: Changes = staticmethod(changes_the_session_of_mysql)
    _smoke_xa: str
    _smoke_thread_id: int
    _smoke_in_force: dict[str, float]
    """The limits that the session has; they go with the connection from test to test."""
    _smoke_of_the_site: dict[str, float]
    """Those that it had before; where the site is stricter, it stays so."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection, of which :meth:`sever` has what it needs."""
        if self.Database.__name__ in UNGUARDED_DRIVERS:
            self._smoke_refuse_driver()
        driver = super().get_new_connection(conn_params)
        self._smoke_in_force, self._smoke_of_the_site = {}, {}  # the session has no limits yet
        self._smoke_thread_id = driver.thread_id()
        return driver

    def _smoke_refuse_driver(self) -> NoReturn:
        raise Refused(
            f"The database {self.alias!r} is used by way of {self.Database.__name__}. A smoke test "
            "cannot keep that driver from committing, nor cut it off. Set its ENGINE to "
            "'django.db.backends.mysql', with mysqlclient or PyMySQL, or keep tests away from it "
            "with the attribute `databases`."
        )

    def _smoke_descriptor(self, driver: Any) -> int:
        # PyMySQL has no method for it.
        return super()._smoke_descriptor(driver if hasattr(driver, "fileno") else driver._sock)

    def _smoke_send_begin(self) -> None:
        self._smoke_xa = f"'smoketest-{os.getpid()}-{next(_numbers)}'"
        self._smoke_thread_id = self.connection.thread_id()
        mode = ["SET TRANSACTION READ ONLY"] if self._smoke_read_only else []
        self._smoke_send(*self._smoke_limits(), *mode, f"XA START {self._smoke_xa}")

    def _smoke_limits(self) -> list[str]:
        # A connection of the caller's keeps its session variables; one of the
        # session's own is closed with the session, and they go with it.
        if not self._smoke_own:
            return []
        limits = self._smoke_own_limits()
        if not self._smoke_in_force:
            self._smoke_of_the_site.update(self._smoke_values_of(limits))
        for name, of_the_site in self._smoke_of_the_site.items():
            if of_the_site:  # 0 is no limit
                limits[name] = min(limits[name], of_the_site)
        if limits == self._smoke_in_force:
            return []
        self._smoke_in_force.update(limits)
        return ["SET " + ", ".join(f"{name} = {value}" for name, value in limits.items())]

    def _smoke_own_limits(self) -> dict[str, float]:
        """Return the limits for what begins now, by the names of the server's variables."""
        lock = max(1, round(self._smoke_session.limits.lock_timeout))
        # In steps, so that most tests find the limits as the test before has left them.
        rest = math.ceil(self._smoke_remaining() / _STEP) * _STEP
        idle = max(1, round(rest + 0.5))
        limits: dict[str, float] = {"innodb_lock_wait_timeout": lock, "lock_wait_timeout": lock}
        if self.mysql_is_mariadb:  # type: ignore[attr-defined]
            return {**limits, "max_statement_time": rest, "idle_transaction_timeout": idle}
        # MySQL limits only what reads, and has no limit that is for transactions.
        return {**limits, "max_execution_time": int(1000 * rest), "wait_timeout": idle}

    def _smoke_values_of(self, variables: Collection[str]) -> dict[str, float]:
        """Ask for the session's own values, which are the site's as long as it is new."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"@@{name}" for name in variables))
            return dict(zip(variables, cursor.fetchone(), strict=True))

    def _smoke_send_rollback(self) -> None:
        xa = self._smoke_xa
        try:
            warnings = self._smoke_send(f"XA END {xa}", f"XA ROLLBACK {xa}")
        except self.Database.Error:
            # After a deadlock the server has marked it for rollback already, and
            # says so at XA END; the rollback itself is still to be sent.
            warnings = self._smoke_send_or_blame(f"XA ROLLBACK {xa}")
        if warnings:
            self._smoke_look_at_warnings()

    def _smoke_send_or_blame(self, statement: str) -> int:
        try:
            return self._smoke_send(statement)
        except self.Database.Error as error:
            if error.args[0] in (_XAER_NOTA, _XAER_RMFAIL):
                self._smoke_blame(error)
            raise

    def _smoke_look_at_warnings(self) -> None:
        """Raise ``Refused`` if the server says that it could not roll everything back."""
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            codes = [code for _, code, _ in cursor.fetchall()]
            if _NOT_ALL_ROLLED_BACK not in codes or can_only_be_temporary(cursor):
                return
        raise Refused(
            f"{self._smoke_session.subject} wrote to a table of the database "
            f"{self.alias!r} that has no transactions, by a trigger or a procedure perhaps. "
            "The server says that it could not undo that. Remove by hand what was written; "
            "then convert the table (ALTER TABLE … ENGINE=InnoDB), or keep tests away from it. "
            "If it was a temporary one only, make that with ENGINE=InnoDB."
        )

    def _smoke_mark(self) -> Mapping[str, str]:
        return {
            "xa": self._smoke_xa.strip("'"),
            "session": str(self._smoke_thread_id),
            "statements": self._smoke_xa_statements(),
        }

    def _smoke_xa_statements(self) -> str:
        """Return how many XA statements of each kind the session has executed."""
        with self.connection.cursor() as cursor:
            cursor.execute(r"SHOW SESSION STATUS LIKE 'Com\_xa\_%'")
            return ", ".join(f"{name} {count}" for name, count in cursor.fetchall())

    def _smoke_fault(self, marks: Mapping[str, str]) -> str:
        try:
            statements = self._smoke_xa_statements()
        except self.Database.Error:
            return ""
        if statements == marks["statements"]:
            return ""
        return (
            "it executed XA statements of its own, which can end the transaction "
            f"(before: {marks['statements']}; after: {statements})"
        )

    def check_statement(self, sql: str) -> None:
        """Refuse also a write to a table that the server could not roll back."""
        super().check_statement(sql)
        if not may_write(sql):
            return
        tables = self._smoke_tables_without_transactions()
        if table := first_written(sql, tables):
            raise Refused(
                f"{self._smoke_session.frame.subject} wrote to the table {table!r} of the "
                f"database {self.alias!r}, which is of the engine {tables[table]}. That has no "
                "transactions, so nothing would undo it. Convert the table (ALTER TABLE … "
                "ENGINE=InnoDB), or only read from it here."
            )

    def _smoke_tables_without_transactions(self) -> dict[str, str]:
        """Return the names of such tables, with their engines; asked once a run."""
        facts = self._smoke_session.facts
        if self.alias not in facts:
            with self.connection.cursor() as cursor:
                facts[self.alias] = tables_without_transactions(cursor)
        tables: dict[str, str] = facts[self.alias]
        return tables

    def is_refusal(self, error: Exception) -> bool:
        """Whether the server refused to commit an XA transaction in the middle."""
        return error.args[:1] == (_XAER_RMFAIL,)

    def _smoke_send(self, *statements: str) -> int:
        """Send ``statements``, in one round trip where the driver can.

        Return how many warnings the server has of the last one.
        """
        driver = self.connection
        if hasattr(driver, "store_result") and driver.client_flag & _MULTI_STATEMENTS:
            return _send_at_once(driver, "; ".join(statements))
        with driver.cursor() as cursor:  # PyMySQL: one round trip for each statement
            for statement in statements:
                cursor.execute(statement)
            return _warning_count(driver, cursor)

    def _smoke_cut_off(self, driver: Any) -> None:
        """Kill the session, over a connection of its own."""
        thread_id = self._smoke_thread_id
        killer = self.Database.connect(**{**self._smoke_site_parameters(), **_BRIEFLY})
        try:
            with killer.cursor() as cursor:
                cursor.execute(f"KILL CONNECTION {thread_id}")
        finally:
            killer.close()


def _send_at_once(driver: Any, statements: str) -> int:
    """Send ``statements`` by mysqlclient, and return the number of warnings of the last."""
    driver.query(statements.encode())
    driver.store_result()
    while driver.next_result() == 0:
        driver.store_result()
    count: int = driver.warning_count()
    return count


def _warning_count(driver: Any, cursor: Any) -> int:
    ask = getattr(driver, "warning_count", None)  # PyMySQL has it at the cursor
    count: int = ask() if ask else cursor.warning_count
    return count
