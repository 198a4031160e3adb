"""What a database refuses below Django comes with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.utils import Error

from smoketest import SmokeTest
from smoketest.isolation import advice
from smoketest.options import Options
from smoketest.scheduling import Run, execute
from tests.conftest import Outside
from tests.test_isolation import configured
from tests.testapp.models import Item

ROLLED_BACK = "what the test does is rolled back at its end"
NO_WRITES = "The database takes no writes"
OVERTAKEN = "undid the test's work because of what others did"
LOCKED = "longer than SMOKETEST_LOCK_TIMEOUT allows"


class RefusedTest(SmokeTest):
    """What each database refuses by itself."""

    __test__ = False  # for pytest

    def test_it(self) -> None:
        """Ends the transaction below Django, and where ours are not asked."""
        Item.objects.create(name="smoke")
        connection.ensure_connection()
        below_ours(connection.connection)()


class ReadsOnlyTest(SmokeTest):
    """Writes where it must not."""

    __test__ = False
    databases = ("default:ro",)

    def test_it(self) -> None:
        """Writes all the same."""
        Item.objects.create(name="smoke")


class LockedTest(SmokeTest):
    """Wants what somebody else has locked."""

    __test__ = False

    def test_it(self) -> None:
        """Writes to the row."""
        Item.objects.filter(name="there").update(name="smoke")


def below_ours(driver: Any) -> Callable[[], object]:
    """The method of the driver's own class that commits, past what guards the object."""
    original: Any = type(driver).__base__ if hasattr(driver, "__dict__") else type(driver)
    return lambda: original.commit(driver)


def message_of(test: SmokeTest, **options: Any) -> str:
    limits = Options(parallel=1, **options)
    ((result,), _) = execute(Run([test], limits, monotonic() + 25.0))
    return result.message


@pytest.mark.parametrize("test", [RefusedTest, ReadsOnlyTest])
def test_a_refusal_says_what_to_do(test: type[SmokeTest], vendor: str, outside: Outside) -> None:
    message = message_of(test("test_it"))

    assert (ROLLED_BACK if test is RefusedTest else NO_WRITES) in message
    assert outside("SELECT name FROM testapp_item") == []


def test_a_mariadb_that_somebody_has_set_to_read_only_is_named() -> None:
    """Only its administrator may do that, so that the error is made here."""
    mysqldb = pytest.importorskip("MySQLdb")
    error = mysqldb.OperationalError(1290, "The MariaDB server is running with --read-only")
    assert NO_WRITES in advice(error)


def test_a_lock_that_somebody_holds_is_named(
    vendor: str, outside: Outside, outside_connection: Callable[..., Any]
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('there')")
    cursor = outside_connection().cursor()
    cursor.execute("BEGIN IMMEDIATE" if vendor == "sqlite" else "BEGIN")
    cursor.execute("UPDATE testapp_item SET name = 'held'")

    assert LOCKED in message_of(LockedTest("test_it"), lock_timeout=0.2)


class OvertakenTest(SmokeTest):
    """Writes where somebody else has written since it first looked."""

    __test__ = False
    overtake: Callable[[], object]

    def test_it(self) -> None:
        """Looks, is overtaken, writes."""
        Item.objects.count()
        type(self).overtake()
        Item.objects.update(name="smoke")


def test_a_test_that_was_overtaken_on_postgresql_is_told_so(
    postgresql: Any, outside: Outside
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('there')")
    OvertakenTest.overtake = lambda: outside("UPDATE testapp_item SET name = 'theirs'")
    with configured(OPTIONS={"isolation_level": IsolationLevel.REPEATABLE_READ}):
        assert OVERTAKEN in message_of(OvertakenTest("test_it"))


def test_a_test_that_was_overtaken_on_sqlite_is_told_so(sqlite: Any, outside: Outside) -> None:
    assert outside("PRAGMA journal_mode = WAL") == [("wal",)]
    OvertakenTest.overtake = lambda: outside("INSERT INTO testapp_item (name) VALUES ('theirs')")
    try:
        message = message_of(OvertakenTest("test_it"))
    finally:
        connections.close_all()
        outside("PRAGMA journal_mode = DELETE")
    assert "wrote to the file after the test had read it" in message
    assert LOCKED not in message


@pytest.mark.parametrize(
    "statement", ["VACUUM", "CREATE DATABASE leftover", "DO $$ BEGIN COMMIT; END $$"]
)
def test_what_cannot_run_in_a_transaction_is_named(postgresql: Any, statement: str) -> None:
    class Test(SmokeTest):
        __test__ = False

        def test_it(self) -> None:
            with connection.cursor() as cursor:
                cursor.execute(statement)

    assert "one transaction, from its begin to its end" in message_of(Test("test_it"))


def test_a_mysql_without_temporary_tables_says_how_to_get_them() -> None:
    """MariaDB has them, so that the error is made here."""
    mysqldb = pytest.importorskip("MySQLdb")
    error = mysqldb.OperationalError(4091, "XA: Temporary tables cannot be accessed …")
    assert "SET PERSIST xa_detach_on_prepare = OFF" in advice(error)


def test_temporary_table_works_or_says_how_to_get_one(mysql: Any) -> None:
    class Test(SmokeTest):
        __test__ = False

        def test_it(self) -> None:
            with connection.cursor() as cursor:
                cursor.execute("CREATE TEMPORARY TABLE mine (id integer)")

    message = message_of(Test("test_it"))
    is_mariadb = connection.mysql_is_mariadb  # type: ignore[attr-defined]
    assert ("SET PERSIST xa_detach_on_prepare = OFF" in message) == (not is_mariadb)


def test_an_error_of_the_test_itself_gets_no_advice(vendor: str) -> None:
    with pytest.raises(Error) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    assert advice(caught.value) == ""
