"""Where the machine has no thread left, the run is smaller, and the report is whole.

That a thread cannot be started is made up here: how many a user may have is no limit for
root, and counts all that the user runs elsewhere for anybody else.
"""

from __future__ import annotations

import itertools
import sys
import threading
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from django.db import connection

from smoketest import SmokeTest, errands, importing, scheduling, timeouts
from smoketest.isolation.cancelling import Cancellation
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from smoketest.scheduling.worker import Worker
from smoketest.timeouts import LetGo, Stretch

NONE_LEFT = "can't start new thread"
AT_ONCE = 10.0


def cannot_start(*_: object) -> None:
    raise RuntimeError(NONE_LEFT)


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", cannot_start)


class Meeting(SmokeTest):
    __test__ = False

    def test_1(self) -> None:
        """Lasts until more threads are wanted, which there are not."""
        assert self.wanted.wait(AT_ONCE)

    def test_2(self) -> None:
        pass

    def test_3(self) -> None:
        pass

    wanted = threading.Event()


def run(**options: Any) -> list[TestResult]:
    tests = [Meeting(f"test_{number}") for number in (1, 2, 3)]
    results, _ = scheduling.execute(scheduling.Run(tests, Options(**options), monotonic() + 60))
    return results


@pytest.mark.usefixtures("sqlite")
def test_the_threads_that_there_are_do_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    start, calls = Worker.start, itertools.count()

    def first_only(worker: Worker) -> None:
        if next(calls):
            Meeting.wanted.set()
            cannot_start()
        start(worker)

    monkeypatch.setattr(Worker, "start", first_only)
    assert [result.outcome for result in run(parallel=3)] == [Outcome.PASSED] * 3
    assert next(calls) == 2, "it is tried once"


@pytest.mark.usefixtures("sqlite")
def test_without_any_thread_each_test_says_what_was_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Worker, "start", cannot_start)
    results = run()
    assert [result.outcome for result in results] == [Outcome.ERRORED] * 3
    for result in results:
        assert result.message.startswith(f"No thread could be started to run it on: {NONE_LEFT}.")
        assert "how many processes and threads" in result.message


@pytest.mark.usefixtures("no_thread")
def test_databases_are_taken_from_what_is_let_go() -> None:
    told: list[str] = []
    stretch = Stretch(Meeting("test_1"), 1.0, monotonic(), datetime.now(UTC), 0)
    gone = LetGo(stretch, threading.Thread(), told.append)
    timeouts.let_go([gone])
    assert gone.abandoned.is_set()
    assert len(told) == 1
    assert timeouts.stuck() == []


def test_a_module_can_be_imported_as_soon_as_there_is_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importer = importing.Importer(5.0, 5.0)
    name = "wsgiref.validate"
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, name, raising=False)
        patch.setattr(threading.Thread, "start", cannot_start)
        with pytest.raises(RuntimeError, match=NONE_LEFT):
            importer.load(name)
    assert importer.load(name).__name__ == name


@pytest.mark.usefixtures("no_thread")
def test_an_errand_is_not_done_in_time() -> None:
    with pytest.raises(errands.Overdue, match=NONE_LEFT):
        errands.run(lambda: None)


@pytest.mark.parametrize("vendor", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("vendor")
def test_a_server_that_cannot_be_asked_to_cancel_is_let_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.ensure_connection()
    cancellation = Cancellation(connection.connection)
    monkeypatch.setattr(threading.Thread, "start", cannot_start)
    cancellation.send(1.0)  # the connection is broken next
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
