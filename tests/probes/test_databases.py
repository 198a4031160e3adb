"""Databases: up, down, read-only, refused, and at another time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from smoketest.probes import databases as probe
from tests import servers
from tests.conftest import Databases, Outside, reachable
from tests.databases import pointed_at
from tests.probes.running import outcomes


class Elsewhere:
    """A database with other settings than the one it stands for."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings


@contextmanager
def changed(databases: Databases, **settings: Any) -> Iterator[None]:
    """Let `other` have further `settings`."""
    other = Elsewhere({**databases["other"].settings, **settings})
    with pointed_at({"default": databases["default"], "other": other}):  # type: ignore[dict-item]
        yield


def make_table_of_migrations() -> None:
    """As every project has it; the projects of these tests have no migrations."""
    for alias in ("default", "other"):
        MigrationRecorder(connections[alias]).ensure_schema()


def test_databases_that_work_pass_and_keep_no_table(vendor: str, outside: Outside) -> None:
    make_table_of_migrations()
    before = set(connections["default"].introspection.table_names())
    got = outcomes("Databases")
    skipped = {"skipped: sqlite has no clock of its own."} if vendor == "sqlite" else set()
    assert set(got.values()) == {"passed", *skipped}
    assert len(got) == 6
    assert set(connections["default"].introspection.table_names()) == before


@pytest.fixture
def without_temporary_tables(mysql: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle's MySQL gives a smoke test none; MariaDB is taken for one that does not."""
    if not probe._row("default", probe._MYSQL_DETACHES):
        monkeypatch.setattr(probe, "_MYSQL_DETACHES", "SELECT 'ON'")


@pytest.mark.usefixtures("without_temporary_tables")
def test_row_goes_among_the_migrations_where_there_are_no_temporary_tables(
    outside: Outside,
) -> None:
    make_table_of_migrations()
    outside("INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', NOW())")
    assert set(outcomes("Databases").values()) == {"passed"}
    assert outside("SELECT app, name FROM django_migrations") == [("a", "b")]
    outside("INSERT INTO django_migrations (app, name, applied) VALUES ('c', 'd', NOW())")
    assert outside("SELECT MAX(id) FROM django_migrations") == [(3,)]  # 2 is used up


@pytest.mark.usefixtures("without_temporary_tables")
def test_write_is_skipped_where_there_is_no_table_to_write_to() -> None:
    got = outcomes("Databases", aliases=["other"])
    assert "'other' has no table of migrations to write to" in got["test_write_other"]
    assert got["test_write_other"].startswith("skipped: MySQL gives a smoke test no temporary")


def test_server_that_is_down_is_named_without_its_password(
    postgresql: Databases, closed_port: int
) -> None:
    with changed(postgresql, PORT=str(closed_port), PASSWORD="hunter2hunter2"):
        got = outcomes("Databases")
    failed = {name: why for name, why in got.items() if why != "passed"}
    assert set(failed) == {"test_answer_other", "test_clock_other", "test_write_other"}
    assert all(why.startswith("failed: Database 'other' ") for why in failed.values())
    assert "OperationalError" in failed["test_answer_other"]
    assert "hunter2" not in str(got)


def test_read_only_database_cannot_be_written_to(postgresql: Databases) -> None:
    with changed(postgresql, OPTIONS={"options": "-c default_transaction_read_only=on"}):
        got = outcomes("Databases", aliases=["other"])
    assert got["test_write_other"].startswith("failed: Database 'other' cannot be written to: ")
    assert got["test_answer_other"] == "passed"


def test_read_only_mariadb_cannot_be_written_to(mysql: Databases) -> None:
    with reachable(servers.mariadb("--read-only")) as server:
        where = {"HOST": server.host, "PORT": str(server.port), "NAME": "information_schema"}
        with changed(mysql, **where):
            got = outcomes("Databases", aliases=["other"])
    assert got["test_write_other"].startswith(
        "failed: Database 'other' cannot be written to: the server is read-only."
    )
    assert got["test_clock_other"] == "passed"


def test_file_that_is_no_database_does_not_answer(sqlite: Databases, tmp_path: Path) -> None:
    file = tmp_path / "letter.sqlite3"
    file.write_text("Dear database, " * 100)
    with changed(sqlite, NAME=str(file)):
        got = outcomes("Databases", aliases=["other"])
    for name in ("test_answer_other", "test_write_other"):
        assert got[name].startswith("failed: Database 'other' does not answer: DatabaseError: ")
        assert got[name].endswith("Look whether NAME is the right file, and its folder is there.")


def test_read_only_file_cannot_be_written_to(sqlite: Databases) -> None:
    with changed(sqlite, **read_only_file(sqlite)):
        got = outcomes("Databases", aliases=["other"])
    assert "attempt to write a readonly database" in got["test_write_other"]


def read_only_file(sqlite: Databases) -> dict[str, Any]:
    uri = Path(sqlite["other"].name).as_uri()
    return {"NAME": f"{uri}?mode=ro", "OPTIONS": {"uri": True}}


def test_replica_that_refuses_passes(sqlite: Databases) -> None:
    with changed(sqlite, **read_only_file(sqlite)):
        got = outcomes("Databases", aliases=["other"], replicas=["other"])
    assert got["test_write_other"] == "passed"


def test_read_only_server_refuses_as_a_replica(postgresql: Databases) -> None:
    with changed(postgresql, OPTIONS={"options": "-c default_transaction_read_only=on"}):
        got = outcomes("Databases", aliases=["other"], replicas=["other"])
    assert got["test_write_other"] == "passed"


def test_replica_that_writes_fails(vendor: str) -> None:
    make_table_of_migrations()
    got = outcomes("Databases", replicas=["other"])
    assert got["test_write_default"] == "passed"
    assert got["test_write_other"].startswith("failed: Database 'other' accepts writes, and")


LOCKED = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "BEGIN; LOCK TABLE {tables}",
    "mysql": "LOCK TABLES {tables}",
}


def test_write_that_waits_for_a_lock_is_no_refusal(
    vendor: str, outside_connection: Callable[..., Any]
) -> None:
    tables = connections["other"].introspection.table_names()
    words = [f"`{table}` WRITE" for table in tables] if vendor == "mysql" else tables
    cursor = outside_connection("other").cursor()
    cursor.execute(LOCKED[vendor].format(tables=", ".join(words)))
    got = outcomes("Databases", aliases=["other"], replicas=["other"])
    cursor.close()
    assert got["test_write_other"].startswith(
        "failed: Database 'other' was to refuse a write, and something else went wrong: "
    )


def test_replica_without_tables_is_no_pass(sqlite: Databases, tmp_path: Path) -> None:
    with changed(sqlite, NAME=str(tmp_path / "empty.sqlite3")):
        got = outcomes("Databases", aliases=["other"], replicas=["other"])
    assert "has no table, so nothing shows" in got["test_write_other"]


def test_unknown_replica_is_an_error() -> None:
    assert "names 'replca'" in outcomes("Databases", replicas=["replca"])["test_subjects"]


@pytest.mark.parametrize("fixture", ["postgresql", "mysql"])
def test_clock_that_differs_by_more_than_allowed_fails(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)
    # Less than nothing is allowed, so clocks that agree are too far apart as well.
    got = outcomes("Databases", max_clock_difference=-1.0)
    assert got["test_clock_default"].startswith("failed: The clock of database 'default' and ours")
