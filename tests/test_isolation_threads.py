"""Threads of a test: what they do to their own transactions does not stay, or is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection

from smoketest import SmokeTest
from smoketest.exceptions import Refused
from smoketest.results import Outcome, TestResult
from tests.conftest import Databases, Outside
from tests.escapes import INSERT, driver
from tests.test_isolation import NAMES, insert, made, run, wait_until_gone
from tests.test_verification import verified
from tests.testapp.models import Item

Runs = Callable[..., list[TestResult]]


def verifying(*classes: type[SmokeTest], **options: Any) -> list[TestResult]:
    """Return the results of a run that is verified, without the verdicts."""
    return verified(*classes, **options)[0]


@pytest.fixture(params=[run, verifying], ids=["plain", "verified"])
def runs(request: pytest.FixtureRequest) -> Runs:
    """A run, and one that is verified: it rolls back where the other only closes."""
    found: Runs = request.param
    return found


def on_a_thread(work: Callable[[], Any]) -> None:
    """Run ``work`` to its end on a thread of the test."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def ends_by_libpq(statements: str) -> None:
    """Execute ``statements`` below all that refuses to end a transaction."""
    Item.objects.count()
    driver().pgconn.exec_(statements.encode())


def writes() -> None:
    Item.objects.create(name="of a thread")


def two_tests(work: Callable[[], Any], seen: list[list[str]]) -> type[SmokeTest]:
    """One that does ``work`` on a thread, and one that appends to ``seen`` what it finds."""

    def test_0(self: SmokeTest) -> None:
        insert(self)
        on_a_thread(work)

    def test_1(self: SmokeTest) -> None:
        seen.append([*Item.objects.values_list("name", flat=True)])

    return made(test_0=test_0, test_1=test_1)


@pytest.mark.parametrize("statements", ["ROLLBACK", f"ROLLBACK; BEGIN; {INSERT}; COMMIT"])
def test_thread_that_ends_its_transaction_is_told_and_its_test_rolled_back(
    postgresql: Databases, outside: Outside, runs: Runs, statements: str
) -> None:
    seen: list[list[str]] = []
    first, second = runs(two_tests(partial(ends_by_libpq, statements), seen))
    wait_until_gone(outside, "postgresql")
    assert "ended its transaction" in first.message
    assert first.outcome is Outcome.ERRORED
    assert second.outcome is Outcome.PASSED, second.message
    assert seen == [[name for (name,) in outside(NAMES)]]


def test_thread_that_ends_its_transaction_is_told_though_nothing_else_was_done(
    postgresql: Databases, runs: Runs
) -> None:
    work = partial(ends_by_libpq, "ROLLBACK")
    [result] = runs(made(test_thread=lambda self: on_a_thread(work)))
    assert "ended its transaction" in result.message


def closes() -> None:
    writes()
    connection.connection.close()


def forgets() -> None:
    writes()
    kept.append(connection.connection)
    connection.connection = None


def reads_half() -> None:
    Item.objects.bulk_create([Item(name="a"), Item(name="b")])
    kept.append(cursor := connection.cursor())
    cursor.execute(NAMES)
    cursor.fetchone()


kept: list[Any] = []


@pytest.mark.parametrize("leaves", [closes, forgets, reads_half])
def test_next_test_has_a_connection_however_a_thread_has_left_its_own(
    vendor: str, outside: Outside, runs: Runs, leaves: Callable[[], None]
) -> None:
    def test_0(self: SmokeTest) -> None:
        on_a_thread(leaves)

    first, second = runs(made(test_0=test_0, test_1=insert), deadline=10.0)
    kept.clear()
    assert second.outcome is Outcome.PASSED, second.message
    assert first.outcome is Outcome.PASSED, first.message
    assert outside(NAMES) == []


def test_thread_that_writes_where_nothing_is_undone_is_told_and_its_test_rolled_back(
    mysql: Databases, outside: Outside
) -> None:
    seen: list[list[str]] = []
    outside("CREATE TABLE leftover (id integer) ENGINE=MyISAM")
    outside(
        "CREATE TRIGGER follows AFTER INSERT ON testapp_item FOR EACH ROW"
        " INSERT INTO leftover VALUES (NEW.id)"
    )
    try:
        first, second = verifying(two_tests(writes, seen))
    finally:
        outside("DROP TRIGGER follows")
    wait_until_gone(outside, "mysql")
    assert "could not undo that" in first.message
    assert second.outcome is Outcome.PASSED, second.message
    assert seen == [[]]
    assert outside(NAMES) == []


def test_copy_of_a_connection_that_a_thread_made_ends_with_the_test(
    vendor: str, outside: Outside, runs: Runs
) -> None:
    kept = []

    def writes_by_a_copy() -> None:
        kept.append(copy := connection.copy())
        with copy.cursor() as cursor:
            cursor.execute(INSERT)

    [result] = runs(made(test_copies=lambda self: on_a_thread(writes_by_a_copy)))
    assert result.outcome is Outcome.PASSED, result.message
    wait_until_gone(outside, vendor)
    assert outside(NAMES) == []
    with pytest.raises(Refused, match="has ended"):
        kept[0].cursor()
