"""A process that is told to stop, in the middle of a run: what the caller and the databases see."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from smoketest import stopping
from tests.conftest import Outside
from tests.projects import SERVERS, Project, Served
from tests.test_hangs import sessions, settled


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, "SMOKETEST_TIMEOUT = 60\nSMOKETEST_DEADLINE = 60")
    os.mkfifo(tmp_path / "writes")
    project.smoke(f"""
        import threading
        from smoketest import SmokeTest
        from tests.testapp.models import Item

        class T(SmokeTest):
            def test_hangs_after_a_write(self):
                Item.objects.create(name="new")
                open({str(tmp_path / "writes")!r}, "w").close()
                threading.Event().wait()
    """)
    return project


class Caller(threading.Thread):
    """Asks a server for a report; has one, or ``None`` where the connection broke."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.report: dict[str, Any] | None = None
        self._served = served

    def run(self) -> None:
        try:
            self.report = json.loads(self._served.get("/smoketest/?format=json")[1])
        except (OSError, HTTPException):
            self.report = None


@contextmanager
def in_the_middle_of_a_run(server: str, project: Project) -> Iterator[tuple[Served, Caller]]:
    with project.served_by(server) as served:
        caller = Caller(served)
        caller.start()
        (project.folder / "writes").open().close()  # returns when the test opens it
        try:
            yield served, caller
        finally:
            served.kill()
            caller.join()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "vendor",
    ["postgresql", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mysql", "sqlite"))],
    indirect=True,
)
def test_a_server_that_is_told_to_stop_ends_the_run_and_leaves_nothing(
    server: str, vendor: str, project: Project, outside: Outside
) -> None:
    begin = monotonic()
    with in_the_middle_of_a_run(server, project) as (served, caller):
        served.process.terminate()
        caller.join()
        served.process.wait(timeout=50)
        assert settled(lambda: sessions(vendor, outside) == 0)
    assert monotonic() - begin < 55  # not the deadline of 60 s
    assert outside("SELECT name FROM testapp_item") == []
    assert caller.report is not None
    (result,) = caller.report["results"]
    assert "The process was told to stop while it was running" in result["message"]
    assert "threading.Event().wait()" in result["traceback"]
    assert "The run was interrupted before its end: 1 of 1 tests" in served.log()


@pytest.mark.parametrize(
    ("vendor", "statement"),
    [("postgresql", "SELECT pg_sleep(600)"), ("mysql", "SELECT SLEEP(600)")],
    indirect=["vendor"],
)
def test_statements_that_run_end_with_the_process(
    vendor: str, statement: str, project: Project, outside: Outside
) -> None:
    """The server itself would let it go on until the limit of its test, with its locks."""
    project.smoke(f"""
        from django.db import connection
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_a(self):
                open({str(project.folder / "writes")!r}, "w").close()
                self.test_b()

            def test_b(self):
                with connection.cursor() as cursor:
                    cursor.execute({statement!r})

            test_c = test_d = test_b
    """)
    with in_the_middle_of_a_run("gunicorn", project) as (served, caller):
        assert settled(lambda: sessions(vendor, outside) == 4)
        served.process.terminate()
        caller.join()
        served.process.wait(timeout=50)
        assert settled(lambda: sessions(vendor, outside) == 0)


def test_a_worker_that_is_killed_leaves_nothing(
    vendor: str, project: Project, outside: Outside
) -> None:
    with in_the_middle_of_a_run("gunicorn", project) as (served, caller):
        for worker in served.workers():
            os.kill(worker, signal.SIGKILL)
        caller.join()
        assert caller.report is None
        assert settled(lambda: sessions(vendor, outside) == 0)
        assert outside("SELECT name FROM testapp_item") == []
        outside("INSERT INTO testapp_item (name) VALUES ('new')")  # no lock is left


@pytest.mark.parametrize("server", ["gunicorn", "gunicorn-sync"])
def test_a_worker_at_its_last_request_has_not_been_told_to_stop(
    server: str, project: Project
) -> None:
    project.smoke("""
        import math, signal
        from smoketest import SmokeTest, stopping

        class T(SmokeTest):
            def test_may_go_on(self):
                worker = signal.getsignal(signal.SIGTERM).__self__
                self.assertIs(worker.alive, False)
                self.assertEqual(stopping.seconds_left(), math.inf)
    """)
    with project.served_by(server, "--max-requests", "1") as served:
        status, report = served.get("/smoketest/")
    assert (status, report.splitlines()[0]) == (200, "PASS"), report


def test_a_process_without_a_server_is_not_told_to_stop() -> None:
    assert stopping.seconds_left() == float("inf")


@pytest.mark.parametrize(
    ("remembers", "seconds"),
    [
        ({"alive": True}, float("inf")),
        ({"alive": False}, stopping.GRACE),
        ({"alive": False, "nr": 999, "max_requests": 1000}, stopping.GRACE),
        ({"alive": False, "nr": 1000, "max_requests": 1000}, float("inf")),
        ({"should_exit": False}, float("inf")),
        ({"should_exit": True}, stopping.GRACE),
        ({}, float("inf")),
    ],
)
def test_the_object_of_the_handler_knows(
    monkeypatch: pytest.MonkeyPatch, remembers: dict[str, int], seconds: float
) -> None:
    owner = SimpleNamespace(**remembers)
    handler = SimpleNamespace(__self__=owner)
    monkeypatch.setattr(signal, "getsignal", lambda number: handler)
    assert stopping.seconds_left() == seconds


def test_when_the_main_thread_has_ended_no_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    monkeypatch.setattr(threading, "main_thread", lambda: ended)
    assert stopping.seconds_left() == 0
