"""What may hang is waited for a moment only, and once only."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, connections, transaction

from smoketest import errands
from smoketest.errands import Overdue
from tests.conftest import Outside


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Let it go on when the test is over."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if isinstance(thread, errands.Errand):
            thread.join()


def test_the_answer_is_that_of_the_function() -> None:
    assert errands.run(threading.current_thread) is not threading.current_thread()


def test_an_error_is_that_of_the_function() -> None:
    with pytest.raises(ZeroDivisionError):
        errands.run(lambda: 1 / 0)


def test_what_hangs_is_left_alone_and_nothing_more_is_begun(hanging: threading.Event) -> None:
    with pytest.raises(Overdue, match=r"within 0\.01 s"):
        errands.run(hanging.wait, 0.01)
    begun: list[int] = []
    with pytest.raises(Overdue, match="an earlier access"):
        errands.run(lambda: begun.append(1))
    assert begun == []


def test_what_hangs_in_one_place_keeps_nobody_from_another(hanging: threading.Event) -> None:
    with pytest.raises(Overdue):
        errands.run(hanging.wait, 0.01)
    assert errands.run(lambda: 5, to="the users") == 5


def test_when_what_hung_is_over_errands_are_done_again(hanging: threading.Event) -> None:
    with pytest.raises(Overdue):
        errands.run(hanging.wait, 0.01)
    hanging.set()
    errands._late["the cache"].join()
    assert errands.run(lambda: 5) == 5


@pytest.mark.usefixtures("vendor")
def test_an_errand_is_outside_of_the_callers_transaction(outside: Outside) -> None:
    def write() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO testapp_item (name) VALUES ('errand')")
        return connection.in_atomic_block

    with transaction.atomic():
        assert errands.run(write, 10) is False
        transaction.set_rollback(True)
    assert outside("SELECT name FROM testapp_item") == [("errand",)]


def test_an_errand_leaves_no_connection_open(sqlite: object) -> None:
    opened = []

    def use() -> None:
        connection.ensure_connection()
        opened.append(connections["default"])

    errands.run(use)
    assert opened[0].connection is None
