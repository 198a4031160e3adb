"""The databases answer, take what is written, and agree with us on the time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal
from uuid import uuid4

from django.db import Error, connections, transaction

from .subjects import Probe, chosen

_CLOCKS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
_START = "Start the server, or correct host, user and password in DATABASES."
_WRITE = "Look for a full disk, a read-only server or a missing privilege."


class Databases(Probe):
    """Each database answers, a row is written, read back and rolled back, and clocks agree.

    The row goes into a table that is made for it: a temporary one, or on SQLite one in
    the transaction that is rolled back. Nothing is left behind.
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
        with self.explained(f"Database {alias!r} does not answer", _START, Error):
            self.assertEqual(_value(alias, "SELECT 1"), 1)

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
        with self.explained(f"Database {alias!r} cannot be written to", _WRITE, Error):
            # Temporary tables are allowed on a server of this vendor that is read-only.
            if connections[alias].vendor == "mysql" and _value(alias, "SELECT @@read_only"):
                self.fail(
                    f"Database {alias!r} cannot be written to: the server is read-only. {_WRITE}"
                )
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
        try:
            with transaction.atomic(using=alias):
                # Refused by a server that does not write, and harmless on one that does.
                name = connections[alias].ops.quote_name(tables[0])
                _execute(alias, f"DELETE FROM {name} WHERE 1 = 0")  # noqa: S608 - as it is quoted
        except Error:
            return
        self.fail(
            f"Database {alias!r} accepts writes, and `replicas` names it. What is written there"
            " is missing on the primary. Make it read-only, or point the alias at the replica."
        )


def _execute(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def _value(alias: str, statement: str) -> Any:
    """Return the first column of the first row."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]
