"""Backends that have no guard of their own, and drivers that none can guard."""

from __future__ import annotations

import pytest

from smoketest import SmokeTest
from smoketest.results import Outcome
from tests.conftest import Databases, MakeApp, Outside
from tests.escapes import INSERT, driver, sql
from tests.test_isolation import NAMES, configured, insert, made, passed, run
from tests.test_verification import the_only, verified
from tests.testapp.models import Item

ODD = """
    from django.db.backends.{backend}.base import DatabaseWrapper as Wrapper

    class DatabaseWrapper(Wrapper):
        vendor = "odd"
"""
CONNECTOR = """
    from types import SimpleNamespace
    import MySQLdb
    from django.db.backends.mysql.base import DatabaseWrapper as Wrapper

    class DatabaseWrapper(Wrapper):
        Database = SimpleNamespace(**{**vars(MySQLdb), "__name__": "mysql.connector"})
"""
BACKENDS = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql"}


@pytest.fixture
def odd(vendor: str, make_app: MakeApp) -> str:
    """The engine of a vendor that nobody knows, on each server; in the outcome it is that."""
    make_app("odd", {"base.py": ODD.format(backend=BACKENDS[vendor])})
    return vendor


def test_nothing_is_left_on_a_database_that_nobody_knows(odd: str, outside: Outside) -> None:
    def test_writes(self: SmokeTest) -> None:
        insert(self)
        self.assertEqual(Item.objects.count(), 1)

    with configured(ENGINE="odd"):
        passed(made(test_a=test_writes, test_b=test_writes))
        _, verdicts = verified(made(test_writes=test_writes))
    assert the_only(verdicts).outcome is Outcome.PASSED
    assert outside(NAMES) == []


@pytest.mark.parametrize("verify", [False, True])
def test_commit_below_django_is_no_pass_where_nothing_refuses_it(
    odd: str, outside: Outside, verify: bool
) -> None:
    def test_commits(self: SmokeTest) -> None:
        insert(self)
        driver().commit()

    with configured(ENGINE="odd"):
        cls = made(test_commits=test_commits)
        [result] = verified(cls)[0] if verify else run(cls)
    assert outside(NAMES) == [("smoke",)], "what follows would prove nothing"
    assert result.outcome is Outcome.ERRORED
    assert "ended its transaction on the database 'default'" in result.message


def test_statement_that_commits_by_the_way_is_refused(
    mysql: Databases, make_app: MakeApp, outside: Outside
) -> None:
    def test_makes_a_table(self: SmokeTest) -> None:
        sql(INSERT)
        sql("/* now */ CREATE TABLE leftover (id integer)")

    make_app("odd", {"base.py": ODD.format(backend="mysql")})
    with configured(ENGINE="odd"):
        [result] = run(made(test_makes_a_table=test_makes_a_table))
    assert "executed 'CREATE', which would commit by the way," in result.message
    assert outside(NAMES) == []


def test_driver_that_cannot_be_guarded_is_refused(mysql: Databases, make_app: MakeApp) -> None:
    make_app("oracles", {"base.py": CONNECTOR})
    with configured(ENGINE="oracles"):
        [result] = run(made(test_writes=insert))
    assert result.outcome is Outcome.ERRORED
    assert "by way of mysql.connector" in result.message
    assert "'django.db.backends.mysql'" in result.message
