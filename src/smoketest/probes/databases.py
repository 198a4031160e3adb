"""The databases answer, take what is written, and agree with us on the time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal
from uuid import uuid4

from django.db import Error, connections, transaction
from django.db.migrations.recorder import MigrationRecorder

from .subjects import Probe, chosen

_CLOCKS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
_MYSQL_READS_ONLY = "SELECT @@read_only OR @@innodb_read_only"
"""Temporary tables are allowed on such a server all the same."""
_MYSQL_DETACHES = (
    "SHOW SESSION VARIABLES WHERE variable_name = 'xa_detach_on_prepare' AND value = 'ON'"
)
"""Then there is no temporary table in a test's transaction: MySQL 8.0.29 and newer, by default.
https://dev.mysql.com/doc/refman/en/server-system-variables.html#sysvar_xa_detach_on_prepare"""
_REFUSALS = {
    # read_only_sql_transaction, insufficient_privilege
    "postgresql": frozenset({"25006", "42501"}),
    # ER_TABLEACCESS_DENIED_ERROR, ER_OPTION_PREVENTS_STATEMENT,
    # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE, ER_SCHEMA_READ_ONLY
    "mysql": frozenset({1142, 1290, 1792, 1836, 3989}),
    "sqlite": frozenset({sqlite3.SQLITE_READONLY}),
}
"""The codes by which a database refuses to write, and not because it waits or is gone."""
_START = (
    "Start the server, let it take more connections, or correct host, name, user, password and"
    " options in DATABASES."
)
_FILE = "Look whether NAME is the right file, and its folder is there."
_READ_FILE = "SELECT 1 FROM (SELECT COUNT(*) FROM sqlite_master)"
"""SQLite does not look at the file for SELECT 1."""
_WRITE = (
    "Look for a full disk, a read-only server or a missing privilege. If it is a replica, name"
    " it in the probe's `replicas`."
)


class Databases(Probe):
    """Each database answers, a row is written, read back and rolled back, and clocks agree.

    The row goes into a table that is made for it: a temporary one, or on SQLite one in
    the transaction that is rolled back. Where MySQL gives a smoke test no temporary table,
    it goes into that of the migrations. Nothing is left behind.
    """

    aliases: Collection[str] | Literal["__all__"] = "__all__"
    """Aliases of ``DATABASES`` to look at."""
    replicas: Collection[str] = ()
    """Those of them that must refuse to write."""
    max_clock_difference: Annotated[float, "seconds"] = 2.0
    """Seconds between the server's clock and ours."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The aliases."""
        chosen(cls.replicas, connections, "DATABASES")
        return chosen(cls.aliases, connections, "DATABASES")

    def check_answer(self, alias: str) -> None:
        """The database answers a query."""
        is_file = connections[alias].vendor == "sqlite"
        hint = _FILE if is_file else _START
        with self.explained(f"Database {alias!r} does not answer", hint, Error):
            self.assertEqual(_value(alias, _READ_FILE if is_file else "SELECT 1"), 1)

    def check_write(self, alias: str) -> None:
        """A row is written, read back and rolled back; a replica refuses it."""
        if alias in self.replicas:
            self._refused(alias)
        else:
            self._written(alias)

    def check_clock(self, alias: str) -> None:
        """The server's clock agrees with ours."""
        clock = _CLOCKS.get(connections[alias].vendor)
        if clock is None:
            self.skipTest(f"{connections[alias].vendor} has no clock of its own.")
        with self.explained(f"Database {alias!r} does not tell the time", _START, Error):
            _value(alias, "SELECT 1")  # so that the time to connect is not counted
            before = time.time()
            server = float(_value(alias, clock))
            after = time.time()
        difference = max(before - server, server - after, 0.0)
        if difference > self.max_clock_difference:
            self.fail(
                f"The clock of database {alias!r} and ours differ by {difference:.1f} s. The probe"
                f" allows {self.max_clock_difference:g} s. Start NTP on both machines."
            )

    def _written(self, alias: str) -> None:
        self.check_answer(alias)
        with self.explained(f"Database {alias!r} cannot be written to", _WRITE, Error):
            if connections[alias].vendor != "mysql":
                self._write_and_roll_back(alias)
            elif _value(alias, _MYSQL_READS_ONLY):
                self.fail(
                    f"Database {alias!r} cannot be written to: the server is read-only. {_WRITE}"
                )
            elif _row(alias, _MYSQL_DETACHES):
                self._migrate_and_roll_back(alias)
            else:
                self._write_and_roll_back(alias)

    def _write_and_roll_back(self, alias: str) -> None:
        table = f"smoketest_{uuid4().hex}"
        # A temporary table of SQLite's is not in the file that is to be tried.
        kind = "" if connections[alias].vendor == "sqlite" else "TEMPORARY"
        count = f"SELECT COUNT(*) FROM {table} WHERE number = 42"  # noqa: S608 - the name is ours
        _execute(alias, f"CREATE {kind} TABLE {table} (number integer NOT NULL)")
        with transaction.atomic(using=alias):
            _execute(alias, f"INSERT INTO {table} (number) VALUES (42)")  # noqa: S608 - see above
            written = _value(alias, count)
            transaction.set_rollback(True, using=alias)
        left = _value(alias, count)
        if connections[alias].vendor == "mysql":  # where a rollback does not take it away
            _execute(alias, f"DROP TEMPORARY TABLE {table}")
        self._assert_written(alias, written, left)

    def _migrate_and_roll_back(self, alias: str) -> None:
        recorder, name = MigrationRecorder(connections[alias]), f"smoketest_{uuid4().hex}"
        if not recorder.has_table():
            self.skipTest(
                "MySQL gives a smoke test no temporary table while xa_detach_on_prepare is ON, and"
                f" database {alias!r} has no table of migrations to write to instead."
            )
        rows = recorder.migration_qs.filter(name=name)
        with transaction.atomic(using=alias):
            rows.create(app="smoketest", name=name)
            written = rows.count()
            transaction.set_rollback(True, using=alias)
        self._assert_written(alias, written, rows.count())

    def _assert_written(self, alias: str, written: int, left: int) -> None:
        self.assertEqual(written, 1, f"A row written to database {alias!r} was not read back.")
        self.assertEqual(left, 0, f"A row was still in database {alias!r} after its rollback.")

    def _refused(self, alias: str) -> None:
        with self.explained(f"Database {alias!r} does not answer", _START, Error):
            tables = connections[alias].introspection.table_names()
        if not tables:
            self.fail(
                f"Database {alias!r} has no table, so nothing shows whether it refuses writes."
                " A replica has those of its primary. Look whether it is the right database."
            )
        name = connections[alias].ops.quote_name(tables[0])
        what = f"Database {alias!r} was to refuse a write, and something else went wrong"
        with self.explained(what, _START, Error):
            try:
                with transaction.atomic(using=alias):
                    # Refused by a server that does not write, and harmless on one that does.
                    _execute(alias, f"DELETE FROM {name} WHERE 1 = 0")  # noqa: S608 - it is quoted
            except Error as error:
                if _refuses_writes(alias, error):
                    return
                raise
        self.fail(
            f"Database {alias!r} accepts writes, and `replicas` names it. What is written there"
            " is missing on the primary. Make it read-only, or point the alias at the replica."
        )


def _execute(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def _row(alias: str, statement: str) -> Any:
    """Return the first row, or ``None``."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def _value(alias: str, statement: str) -> Any:
    """Return the first column of the first row."""
    return _row(alias, statement)[0]


def _refuses_writes(alias: str, error: Error) -> bool:
    """Whether ``error`` says so; of a vendor whose codes are not known, any does."""
    refusals = _REFUSALS.get(connections[alias].vendor)
    return refusals is None or _code(error.__cause__) in refusals


def _code(error: BaseException | None) -> Any:
    """Return the code in a driver's ``error``: each driver has it in another place."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if (extended := getattr(error, "sqlite_errorcode", None)) is not None:
        return extended & 0xFF  # https://www.sqlite.org/rescode.html
    return code or (error.args[0] if error is not None and error.args else None)
