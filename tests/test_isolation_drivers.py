"""The promises by the drivers and the pooler that the other tests do not use.

Django takes psycopg 3 and mysqlclient where they are installed. So a project of its own,
in a process of its own, is run without them; and another one through PgBouncer.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests import servers
from tests.conftest import Outside, reachable
from tests.projects import Project
from tests.test_isolation import NAMES, configured, wait_until_gone
from tests.testapp.models import Item

WITHOUT = {
    "psycopg2": """
        import sys
        sys.modules["psycopg"] = None
    """,
    "pymysql": """
        import sys
        sys.modules["MySQLdb"] = None
        import pymysql
        pymysql.version_info = (2, 2, 1, "final", 0)  # what Django asks of mysqlclient
        pymysql.install_as_MySQLdb()
    """,
    "pgbouncer": "",
}
"""What makes Django take the other driver."""

SMOKE = """
    import threading
    from django.db import connection, transaction
    from smoketest import SmokeTest, timeout
    from tests.testapp.models import Item

    class ATest(SmokeTest):
        def test_driver(self):
            self.fail(connection.Database.__name__)

        def test_writes(self):
            with transaction.atomic(durable=True):
                Item.objects.create(name="smoke")
            self.assertEqual(Item.objects.count(), 1)

        def test_commits(self):
            Item.objects.create(name="smoke")
            with connection.cursor() as cursor:
                cursor.execute("COMMIT")

        def test_commits_by_the_driver(self):
            Item.objects.create(name="smoke")
            cursor = connection.connection.cursor()
            cursor.execute("COMMIT")

        def test_commits_by_a_method(self):
            Item.objects.create(name="smoke")
            connection.connection.commit()

        def test_makes_a_table(self):
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE leftover (id integer)")

        def test_breaks(self):
            with connection.cursor() as cursor:
                cursor.execute("SELECT nonsense")

        @timeout(0.5)
        def test_hangs(self):
            Item.objects.create(name="smoke")
            threading.Event().wait()

        @timeout(0.5)
        def test_hangs_in_the_database(self):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s(30)" % {
                    "postgresql": "pg_sleep", "mysql": "SLEEP"
                }[connection.vendor])

    kept = []

    class KeepingTest(SmokeTest):
        def test_1_keeps_a_connection_of_the_driver(self):
            Item.objects.count()
            kept.append(connection.connection)

        def test_2_writes_with_it(self):
            kept[0].cursor().execute("INSERT INTO testapp_item (name) VALUES ('kept')")

    class ZTest(SmokeTest):
        def test_sees_nothing(self):
            self.assertFalse(Item.objects.exists())
"""


@pytest.fixture(params=WITHOUT)
def other_way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Django's way to a server leads through what the value names."""
    name = str(request.param)
    request.getfixturevalue("mysql" if name == "pymysql" else "postgresql")
    if name == "pgbouncer":
        entry = settings.DATABASES["default"]
        server = servers.Server(entry["HOST"], int(entry["PORT"]), entry["USER"], entry["PASSWORD"])
        with reachable(servers.pgbouncer(server)) as bouncer, configured(PORT=str(bouncer.port)):
            yield name
    else:
        with reachable(installed(name)):
            yield name


@contextmanager
def installed(name: str) -> Iterator[Any]:
    if importlib.util.find_spec(name) is None:
        raise servers.Unavailable(f"{name} is not installed")
    yield


@pytest.fixture
def results(other_way: str, tmp_path: Path) -> Mapping[str, Any]:
    """What became of the tests, by their methods' names."""
    project = Project(tmp_path, WITHOUT[other_way])
    project.smoke(SMOKE)
    done = project.command("--verify", "--parallel", "1", "--format", "json")
    assert done.stdout, done.stderr
    return {one["id"].rpartition(".")[2]: one for one in json.loads(done.stdout)["results"]}


REFUSED = {
    "test_commits": "executed 'COMMIT'",
    "test_commits_by_the_driver": "executed 'COMMIT'",
    "test_commits_by_a_method": "called the driver's commit()",
    "test_makes_a_table": "which would outlive it",
    "test_2_writes_with_it": "of a test that has ended",
}
ALLOWED: dict[str, set[str]] = {
    # It has nothing to commit: psycopg2 knows of no transaction, and its class is C's.
    "psycopg2": {"test_commits_by_a_method", "test_makes_a_table"},
    "pymysql": set(),
    "pgbouncer": {"test_makes_a_table"},
}
DRIVERS = {"psycopg2": "psycopg2", "pymysql": "pymysql", "pgbouncer": "psycopg"}


def test_every_promise_holds_by_another_way(
    other_way: str, results: Mapping[str, Any], outside: Outside
) -> None:
    assert results["test_driver"]["message"] == DRIVERS[other_way]
    for name in ("test_writes", "test_sees_nothing", "default"):
        assert results[name]["outcome"] == "passed", results[name]["message"]
    for name, words in REFUSED.items():
        if name in ALLOWED[other_way]:
            assert results[name]["outcome"] == "passed", results[name]["message"]
        else:
            assert results[name]["outcome"] == "errored"
            assert words in results[name]["message"]
    assert results["test_breaks"]["outcome"] == "errored"
    for name in ("test_hangs", "test_hangs_in_the_database"):
        assert results[name]["timed_out"]
    assert outside(NAMES) == []
    assert outside(TABLES[other_way == "pymysql"]) == []


TABLES = (
    "SELECT tablename FROM pg_tables WHERE tablename = 'leftover'",
    "SHOW TABLES LIKE 'leftover'",
)


@pytest.mark.parametrize("other_way", ["psycopg2", "pymysql"], indirect=True)
def test_no_session_is_left_by_another_driver(
    other_way: str, results: Mapping[str, Any], outside: Outside
) -> None:
    assert results
    wait_until_gone(outside, "mysql" if other_way == "pymysql" else "postgresql")


@pytest.mark.parametrize("other_way", ["pgbouncer"], indirect=True)
def test_next_client_of_the_pool_inherits_nothing(
    other_way: str, results: Mapping[str, Any], outside: Outside
) -> None:
    """It has the session that the run has had: there is only one."""
    assert results["test_writes"]["outcome"] == "passed"
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*limits]])
        assert dict(cursor.fetchall()) == dict.fromkeys(limits, "0")
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE 'smoketest%'")
        assert cursor.fetchone() == (0,)
    Item.objects.create(name="of the site")
    assert outside(NAMES) == [("of the site",)]
