"""What a database refuses below Django comes with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from django.db.utils import Error

from smoketest import SmokeTest
from smoketest.isolation import advice
from smoketest.options import Options
from smoketest.scheduling import Run, execute
from tests.conftest import Outside
from tests.testapp.models import Item

ROLLED_BACK = "what the test does is rolled back at its end"
NO_WRITES = "The database takes no writes"
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


def test_an_error_of_the_test_itself_gets_no_advice(vendor: str) -> None:
    with pytest.raises(Error) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    assert advice(caught.value) == ""
