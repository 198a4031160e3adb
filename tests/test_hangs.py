"""Whatever a test hangs in: the report comes, says where, and the databases are free.

All kinds hang beside one another in one run of the command, of gunicorn's threads and of
uvicorn. None of them ever ends by itself, so an answer at all is the proof that each was
cut off; how soon it comes is measured by ``benchmarks/hangs.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from smoketest import SmokeTest, scheduling, timeout
from smoketest.options import Options
from smoketest.results import Outcome
from tests import hangs
from tests.conftest import Outside
from tests.projects import Project, Served

LIMIT = "0.5"
ENTRANCES = ("command", "gunicorn", "uvicorn")
IN_DATABASES = ("command", "gunicorn", pytest.param("uvicorn", marks=pytest.mark.slow))
"""uvicorn runs the view on a thread, as gunicorn does: for the databases no difference."""

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, "SMOKETEST_PARALLEL = 64\nSMOKETEST_LOCK_TIMEOUT = 30")
    project.smoke(hangs.SMOKE)
    return project


@contextmanager
def asked_by(entrance: str, project: Project) -> Iterator[Ask]:
    """A way to run tests with tags, which returns the report."""
    if entrance == "command":
        yield lambda *tags: report_of_command(project, *tags)
    else:
        with project.served_by(entrance) as served:
            yield lambda *tags: report_of_server(served, *tags)


def report_of_command(project: Project, *tags: str) -> dict[str, Any]:
    selection = [f"--tag={tag}" for tag in tags]
    done = project.command(*selection, "--timeout", LIMIT, "--format", "json")
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def report_of_server(served: Served, *tags: str, limit: str = LIMIT) -> dict[str, Any]:
    selection = "".join(f"&tag={tag}" for tag in tags)
    status, body = served.get(f"/smoketest/?format=json&timeout={limit}{selection}")
    assert status == 500, body
    report: dict[str, Any] = json.loads(body)
    return report


def results(report: dict[str, Any]) -> dict[str, Any]:
    return {one["id"].split(".")[2]: one for one in report["results"] if not is_before_fixture(one)}


def is_before_fixture(one: dict[str, Any]) -> bool:
    """Whether it is the test that passed before its class's tearDownClass hung."""
    return bool(one["id"] == "shop.smoke.in_tear_down_class.test_it")


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_kind_of_hang_is_cut_off_with_its_stack(entrance: str, project: Project) -> None:
    with asked_by(entrance, project) as ask:
        found = results(ask("hang"))
    assert found.pop("harmless")["outcome"] == "passed"  # what hangs does not hold up the rest
    assert set(found) == set(hangs.EVERYWHERE)
    for name, one in found.items():
        assert (name, one["outcome"], one["timed_out"]) == (name, "errored", True)
        assert "limit of 0.5 s" in one["message"]
        assert "Stack at that moment" in one["traceback"]
        assert name == "in_cleanup" or "shop/smoke.py" in one["traceback"], one["traceback"]


@pytest.mark.parametrize("entrance", IN_DATABASES)
def test_a_hang_in_a_database_leaves_nothing_there(
    entrance: str, vendor: str, project: Project, outside: Outside
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('before')")
    with asked_by(entrance, project) as ask:
        found = results(ask("hang-database"))
        assert {one["timed_out"] for one in found.values()} == {True}, found
        # While the process that had them still runs, and some of its threads hang on:
        assert settled(lambda: sessions(vendor, outside) == 0)
        assert outside("SELECT name FROM testapp_item") == [("before",)]
        outside("UPDATE testapp_item SET name = 'free'")
    assert set(found) == set(hangs.IN_A_DATABASE)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_tests_that_are_cut_off_again_and_again_never_stop_the_server(
    number: int, vendor: str, project: Project, outside: Outside
) -> None:
    """A process that is stopped for ever is killed by gunicorn, which starts another."""
    with project.served_by("gunicorn") as served:
        workers = served.workers()
        for _ in range(8):
            report_of_server(served, "hang-database", limit="0.3")
        assert served.workers() == workers


@pytest.mark.parametrize("entrance", IN_DATABASES)
def test_a_wait_for_a_row_that_somebody_has_locked_is_cut_off(
    entrance: str,
    vendor: str,
    project: Project,
    outside: Outside,
    outside_connection: Callable[..., Any],
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('locked')")
    holder = outside_connection()
    begin = {"sqlite": "BEGIN IMMEDIATE", "mysql": "START TRANSACTION", "postgresql": "BEGIN"}
    cursor = holder.cursor()
    cursor.execute(begin[vendor])
    cursor.execute("UPDATE testapp_item SET name = 'held' WHERE name = 'locked'")
    with asked_by(entrance, project) as ask:
        found = results(ask("hang-row-lock"))
        assert found["row_lock"]["timed_out"], found
        cursor.execute("COMMIT")
        assert settled(lambda: sessions(vendor, outside) == (0 if vendor == "sqlite" else 1))
        assert outside("SELECT name FROM testapp_item") == [("held",)]


def sessions(vendor: str, outside: Outside) -> int:
    """How many others are connected to the database; SQLite has no sessions to count."""
    if vendor == "postgresql":
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    elif vendor == "mysql":
        query = (
            "SELECT count(*) FROM information_schema.processlist"
            " WHERE db = database() AND id <> connection_id()"
        )
    else:
        return 0
    ((number,),) = outside(query)
    return int(number)


def settled(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` becomes true: a server needs a moment to end a session."""
    until = monotonic() + 20
    while not condition():
        if monotonic() > until:
            return False
        sleep(0.01)
    return True


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_test_that_is_stuck_is_not_started_again(server: str, project: Project) -> None:
    with project.served_by(server) as served:
        path = (
            f"/smoketest/?format=json&timeout={LIMIT}&test=shop.smoke.lock&test=shop.smoke.harmless"
        )
        first = json.loads(served.get(path)[1])
        second = json.loads(served.get(path)[1])
    assert "Timed out" in results(first)["lock"]["message"]
    assert "Still running since" in results(second)["lock"]["message"]
    assert results(second)["harmless"]["outcome"] == "passed"


@pytest.mark.slow
@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_test_that_holds_the_lock_for_a_while_is_reported_when_it_lets_go(
    server: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the documentation says of a server: nothing inside it can answer before."""
    monkeypatch.setenv("SMOKETEST_HOG_SECONDS", "2")
    with project.served_by(server) as served:
        report = report_of_server(served, "hang-interpreter", limit="0.01")
    assert {one["timed_out"] for one in results(report).values()} == {True}
    assert report["duration"] > 0.1


@pytest.mark.django_db
def test_a_test_that_ends_after_its_limit_is_no_pass_where_nothing_can_cut_it_off() -> None:
    """Inside a project's own TestCase, say, where tests run on the caller's thread."""

    class Late(SmokeTest):
        @timeout(0.001)
        def test_late(self) -> None:
            sleep(0.01)

        def test_in_time(self) -> None:
            pass

    tests = [Late("test_in_time"), Late("test_late")]
    found, _ = scheduling.execute(scheduling.Run(tests, Options(), monotonic() + 60))
    assert [(one.outcome, one.timed_out) for one in found] == [
        (Outcome.PASSED, False),
        (Outcome.ERRORED, True),
    ]
    assert "its limit is 0.001 s" in found[1].message
