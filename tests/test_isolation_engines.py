"""Tables of MySQL whose engine has no transactions: where they are none of a test's escapes."""

from __future__ import annotations

import pytest
from django.conf import settings

from smoketest import SmokeTest
from smoketest.results import Outcome
from tests.conftest import Databases, Outside
from tests.escapes import sql
from tests.test_isolation import insert, made, passed, run
from tests.testapp.models import Item

COUNT = "SELECT count(*) FROM leftover"


@pytest.mark.parametrize("engine", ["MyISAM", "MEMORY", "Aria"])
def test_temporary_table_without_transactions_is_no_fault(
    mysql: Databases, outside: Outside, engine: str
) -> None:
    def test_reports(self: SmokeTest) -> None:
        sql(f"CREATE TEMPORARY TABLE report (id integer) ENGINE={engine}")
        insert(self)
        sql("INSERT INTO report SELECT id FROM testapp_item")

    def test_reports_again(self: SmokeTest) -> None:
        test_reports(self)

    passed(made(test_reports=test_reports, test_reports_again=test_reports_again))
    assert outside("SELECT name FROM testapp_item") == []


def test_trigger_that_writes_to_another_such_table_is_a_fault_beside_a_temporary_one(
    mysql: Databases, outside: Outside
) -> None:
    outside("CREATE TABLE leftover (id integer) ENGINE=MyISAM")
    outside(
        "CREATE TRIGGER follows AFTER INSERT ON testapp_item FOR EACH ROW"
        " INSERT INTO leftover VALUES (NEW.id)"
    )
    try:
        [result] = run(made(test_both=both))
    finally:
        outside("DROP TRIGGER follows")
    assert outside(COUNT) == [(1,)]
    assert result.outcome is Outcome.ERRORED
    assert "could not undo that" in result.message


def test_write_to_such_a_table_of_another_schema_is_a_fault_beside_a_temporary_one(
    mysql: Databases, outside: Outside
) -> None:
    elsewhere = settings.DATABASES["other"]["NAME"]
    outside("CREATE TABLE leftover (id integer) ENGINE=MyISAM", "other")

    def test_writes(self: SmokeTest) -> None:
        both(self)
        sql(f"INSERT INTO {elsewhere}.leftover VALUES (1)")

    [result] = run(made(test_writes=test_writes))
    assert outside(COUNT, "other") == [(1,)]
    assert result.outcome is Outcome.ERRORED
    assert "could not undo that" in result.message


def test_value_that_is_also_the_name_of_such_a_table_is_no_fault(
    mysql: Databases, outside: Outside
) -> None:
    outside("CREATE TABLE leftover (id integer) ENGINE=MyISAM")

    def test_writes(self: SmokeTest) -> None:
        Item.objects.create(name="a leftover")
        Item.objects.create(name="the customer's leftover")
        Item.objects.create(name="-- a 'leftover' \\'")

    passed(made(test_writes=test_writes))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO leftover VALUES ('1')",
        "INSERT INTO testapp_item (name) VALUES ('a\\'), ('; INSERT INTO leftover VALUES (1)')",
        "/* isn't */ INSERT INTO leftover VALUES ('1')",
        "-- isn't\nINSERT INTO leftover VALUES ('1')",
        "EXECUTE IMMEDIATE 'INSERT INTO leftover VALUES (1)'",
        "EXECUTE IMMEDIATE \"INSERT INTO leftover VALUES ('1')\"",
    ],
)
def test_write_to_such_a_table_is_refused_before_it_is_sent(
    mysql: Databases, outside: Outside, statement: str
) -> None:
    outside("CREATE TABLE leftover (id integer) ENGINE=MyISAM")
    [result] = run(made(test_writes=lambda self: sql(statement)))
    assert outside(COUNT) == [(0,)]
    assert "which is of the engine MyISAM" in result.message


def both(self: SmokeTest) -> None:
    """Write to a temporary table without transactions, and to one of the site's."""
    sql("CREATE TEMPORARY TABLE report (id integer) ENGINE=MyISAM")
    sql("INSERT INTO report VALUES (1)")
    insert(self)
