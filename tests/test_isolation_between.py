"""Between two tests: what a test has kept of its connection, or left on it, writes nothing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest
from django.db import connection

from smoketest import SmokeTest, scheduling
from smoketest.results import Outcome
from tests.conftest import Databases, Outside
from tests.escapes import INSERT
from tests.test_escapes import ITEMS, OPTIONS, run
from tests.testapp.models import Item

kept: dict[str, Any] = {}


class Keeping(SmokeTest):
    """Keeps a cursor, and the connection of the driver's below it."""

    __test__ = False  # pytest: it is run below

    def test_keep(self) -> None:
        Item.objects.count()
        kept["cursor"] = cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()
        kept["driver"] = connection.connection


def by_the_drivers_connection(test: SmokeTest) -> None:
    cursor = kept["driver"].cursor()
    cursor.execute(INSERT)


def by_the_drivers_cursor(test: SmokeTest) -> None:
    kept["cursor"].cursor.execute(INSERT)


def by_the_drivers_connection_and_commit(test: SmokeTest) -> None:
    by_the_drivers_connection(test)
    kept["driver"].commit()


@pytest.mark.parametrize(
    "write",
    [by_the_drivers_connection, by_the_drivers_cursor, by_the_drivers_connection_and_commit],
)
def test_write_with_what_the_test_before_has_kept_of_the_driver_is_refused(
    vendor: str, outside: Outside, write: Callable[[SmokeTest], None]
) -> None:
    writing = type("Writing", (SmokeTest,), {"test_write": write})
    keeping, written = run(Keeping, writing)
    assert keeping.outcome is Outcome.PASSED, keeping.traceback
    assert written.outcome is Outcome.ERRORED
    words = "not authorized" if vendor == "sqlite" else "of a test that has ended"
    assert words in written.message
    assert outside(ITEMS) == []


def test_write_with_a_cursor_of_the_test_before_is_undone(vendor: str, outside: Outside) -> None:
    def write(test: SmokeTest) -> None:
        kept["cursor"].execute(INSERT)

    keeping, written = run(Keeping, type("Writing", (SmokeTest,), {"test_write": write}))
    assert keeping.outcome is Outcome.PASSED, keeping.traceback
    assert written.outcome is Outcome.PASSED, written.traceback
    assert outside(ITEMS) == []


def test_write_with_a_cursor_of_the_class_is_undone_with_the_test(
    vendor: str, outside: Outside
) -> None:
    class Writing(SmokeTest):
        __test__ = False

        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()
            kept["cursor"] = connection.cursor()

        def test_1(self) -> None:
            kept["cursor"].execute(INSERT)

        def test_2(self) -> None:
            self.assertFalse(Item.objects.exists())

    first, second = run_all(Writing)
    assert first.outcome is Outcome.PASSED, first.traceback
    assert second.outcome is Outcome.PASSED, second.traceback
    assert outside(ITEMS) == []


def run_all(cls: type[SmokeTest]) -> list[Any]:
    """Run all tests of ``cls``, one after another on one worker."""
    tests = [cls(name) for name in sorted(dir(cls)) if name.startswith("test_")]
    results, _ = scheduling.execute(scheduling.Run(tests, OPTIONS, monotonic() + 30))
    return results


CHANGES = [
    "SET @left = 1",
    "set session sql_mode = ''",
    "SET LOCAL sql_mode = ''",
    "SET @@session.sql_mode = ''",
    "/* of a report */ SET @left = 1",
    "-- of a report\nSET @left = 1",
    "/*!40101 SET @left = 1 */",
    "SELECT 1; /* of a report */ SET @left = 1",
    "SELECT 1 INTO @left",
    "SELECT @left := 1",
    "SELECT Get_Lock('left', 0)",
    "CREATE TEMPORARY TABLE `left` (id integer)",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_session_that_a_test_has_changed_is_not_lent_to_the_next(
    mysql: Databases, statement: str
) -> None:
    seen = []

    def look(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT connection_id()")
            seen.append(cursor.fetchone())
            cursor.execute(statement)

    first, second = run(*(type("Looking", (SmokeTest,), {"test_look": look}) for _ in range(2)))
    assert (first.outcome, second.outcome) == (Outcome.PASSED, Outcome.PASSED), first.message
    assert len({*seen}) == 2


def test_session_that_no_test_has_changed_is_lent_to_the_next(mysql: Databases) -> None:
    seen = []

    def look(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT connection_id(), 'set @left', 'lock'")
            seen.append(cursor.fetchone())

    run(*(type("Looking", (SmokeTest,), {"test_look": look}) for _ in range(2)))
    assert len(seen) == 2
    assert len({*seen}) == 1


def test_write_with_a_copy_that_the_class_made_is_undone_with_the_test(
    vendor: str, outside: Outside
) -> None:
    class Copying(SmokeTest):
        __test__ = False  # pytest: it is run below
        copied: Any

        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()
            cls.copied = connection.copy()

        def test_a(self) -> None:
            self.look_and_write()

        def test_b(self) -> None:
            self.look_and_write()

        def look_and_write(self) -> None:
            with self.copied.cursor() as cursor:
                cursor.execute(ITEMS)
                self.assertEqual(list(cursor.fetchall()), [])
                cursor.execute(INSERT)

    for result in run_all(Copying):
        assert result.outcome is Outcome.PASSED, result.traceback
    assert outside(ITEMS) == []


# SQLite's connection is left to the thread that is in it, and closed with its last cursor.
@pytest.mark.filterwarnings("ignore:.*sqlite3.Connection:pytest.PytestUnraisableExceptionWarning")
def test_thread_left_in_the_driver_writes_nothing_and_ends(vendor: str, outside: Outside) -> None:
    threads: list[threading.Thread] = []
    numbers = itertools.count()

    def test_leave(test: SmokeTest) -> None:
        begun = threading.Event()

        def write() -> None:
            with suppress(Exception):
                connection.ensure_connection()
                cursor = connection.connection.cursor()
                while True:
                    cursor.execute(INSERT.replace("escaped", f"escaped {next(numbers)}"))
                    begun.set()

        threads.append(threading.Thread(target=write))
        threads[-1].start()
        begun.wait(10)

    leaving = type("Leaving", (SmokeTest,), {"test_leave": test_leave})
    for _ in range(8):  # they meet at another point each time
        run(leaving)
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert outside(ITEMS) == []
