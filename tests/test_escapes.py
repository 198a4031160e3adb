"""Every way out of a smoke test's transaction, on real servers, in threads as in production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from smoketest import SmokeTest, scheduling
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from tests.conftest import Databases, MakeApp, Outside
from tests.databases import execute
from tests.escapes import TABLE, Escape
from tests.escapes_page import PAGE, markdown
from tests.testapp.models import Item, Part

OPTIONS = Options(parallel=1, timeout=10, lock_timeout=1)
ALIASES = ("default", "other")

KEPT = (
    "INSERT INTO testapp_item (name) VALUES ('kept')",
    "INSERT INTO testapp_part (item_id, label) SELECT id, 'kept' FROM testapp_item",
)
ITEMS = "SELECT name FROM testapp_item ORDER BY name"
PARTS = "SELECT label FROM testapp_part ORDER BY label"
# Whatever else can be left: it is compared as it was before the test.
TRACES = {
    "sqlite": (
        "SELECT type, name, sql FROM sqlite_master ORDER BY name",
        "PRAGMA user_version",
        "PRAGMA journal_mode",
    ),
    "postgresql": (
        (
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        ),
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT gid FROM pg_prepared_xacts",
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory'",
    ),
    "mysql": (
        (
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = database() ORDER BY 1, 2"
        ),
        (
            "SELECT table_name, index_name FROM information_schema.statistics"
            " WHERE table_schema = database() ORDER BY 1, 2"
        ),
        "XA RECOVER",
    ),
}
# What a session of the run's own could hand down from one test to the next.
INHERITED = {
    "sqlite": "SELECT count(*) FROM sqlite_temp_master",
    "postgresql": "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)"
    " + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    " + (SELECT count(*) FROM pg_class WHERE relname = 'passing')"
    " + (current_setting('statement_timeout') = '4321ms')::int",
    "mysql": "SELECT (@passing IS NOT NULL) + (@@sql_mode LIKE '%ANSI%')"
    " + (IS_USED_LOCK('passing') IS NOT NULL) + (@@foreign_key_checks = 0)",
}


class Following(SmokeTest):
    """Runs after the escape, on the same thread and connections."""

    __test__ = False  # pytest: it is run below

    def test_next(self) -> None:
        self.assertEqual(list(Item.objects.values_list("name", flat=True)), ["kept"])
        self.assertFalse(Item.objects.using("other").exists())
        for alias in ALIASES:
            item = Item.objects.using(alias).create(name="following")
            Part.objects.using(alias).create(item=item, label="following")
        connection = connections["default"]
        with connection.cursor() as cursor:
            cursor.execute(INHERITED[connection.vendor])
            self.assertEqual(cursor.fetchone(), (0,), "inherited from the test before")


def run(*classes: type[SmokeTest]) -> list[TestResult]:
    """Run the one test of each of ``classes``, one after another on one worker."""
    tests = [cls(next(n for n in dir(cls) if n.startswith("test_"))) for cls in classes]
    results, _ = scheduling.execute(scheduling.Run(tests, OPTIONS, monotonic() + 30))
    return results


def look(databases: Databases, entry: Escape) -> dict[str, Any]:
    """What is committed, by alias and query, seen by a new connection to each database."""
    vendor = databases["default"].vendor
    queries = [ITEMS, PARTS, *TRACES[vendor]]
    if vendor in entry.trace:
        queries.append(entry.trace[vendor])
    seen: dict[str, Any] = {}
    for alias in ALIASES:
        with closing(databases[alias].connect()) as connection:
            for query in queries:
                seen[f"{alias}: {query}"] = execute(connection, query)
            if vendor == "mysql" and execute(connection, "SHOW TABLES LIKE 'leftover'"):
                seen[f"{alias}: leftover"] = execute(connection, "SELECT * FROM leftover")
    return seen


@contextmanager
def prepared(databases: Databases, entry: Escape) -> Iterator[None]:
    default = databases["default"]
    with closing(default.connect()) as connection:
        for statement in (*KEPT, *entry.before.get(default.vendor, ())):
            execute(connection, statement)
    try:
        yield
    finally:
        for statement in entry.after.get(default.vendor, ()):
            default.execute(statement)


@pytest.fixture
def moving(make_app: MakeApp, vendor: str, outside: Outside) -> Iterator[None]:
    """An app with a migration, which has been run."""
    make_app(
        "moving",
        {
            "models.py": """
                from django.db import models

                class Mover(models.Model):
                    id = models.BigAutoField(primary_key=True)
                """,
            "migrations/0001_initial.py": """
                from django.db import migrations, models

                class Migration(migrations.Migration):
                    operations = [
                        migrations.CreateModel(
                            "Mover", [("id", models.BigAutoField(primary_key=True))]
                        )
                    ]
                """,
        },
    )
    call_command("migrate", "moving", verbosity=0)
    connections.close_all()
    yield
    call_command("migrate", "moving", "zero", verbosity=0)
    outside("DROP TABLE django_migrations")


CASES = [
    pytest.param(entry, vendor, id=f"{entry.name}-{vendor}")
    for entry in TABLE
    for vendor in entry.expected
]


@pytest.mark.parametrize(("entry", "vendor"), CASES, indirect=["vendor"])
def test_escape_ends_as_the_table_says(
    entry: Escape, vendor: str, outside: Outside, request: pytest.FixtureRequest
) -> None:
    if vendor in entry.needs and not outside(entry.needs[vendor]):
        pytest.skip(f"this server cannot do it: {entry.does}")
    if "APP zero" in entry.does:
        request.getfixturevalue("moving")
    expected = entry.expected[vendor]
    escaping = type("Escaping", (SmokeTest,), {"test_escape": entry.body})
    databases = request.getfixturevalue(vendor)
    with prepared(databases, entry):
        before = look(databases, entry)
        result, following = run(escaping, Following)
        after = look(databases, entry)
    if expected.kind == "escapes":
        assert before != after
        assert expected.words in result.message
        return
    assert before == after
    if expected.kind == "refused":
        assert expected.words in result.message
        assert result.outcome is Outcome.ERRORED
    else:
        assert result.outcome is Outcome.PASSED, result.traceback
    assert following.outcome is Outcome.PASSED, following.traceback


def test_page_of_the_documentation_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run python -m tests.escapes_page"


def test_names_of_escapes_are_unique() -> None:
    assert len({entry.name for entry in TABLE}) == len(TABLE)
