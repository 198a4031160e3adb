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


def test_column_that_is_also_the_name_of_such_a_table_is_no_fault(
    mysql: Databases, outside: Outside
) -> None:
    outside("CREATE TABLE name (id integer) ENGINE=MyISAM")

    def test_writes(self: SmokeTest) -> None:
        item = Item.objects.create(name="a")
        Item.objects.bulk_create([Item(name="b"), Item(name="c")])
        Item.objects.filter(name="b").update(name="d")
        item.delete()
        Item.objects.filter(name="d").delete()
        sql("INSERT INTO testapp_item (name) SELECT id FROM name")
        sql("REPLACE testapp_item SET name = 'e'")

    passed(made(test_writes=test_writes))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO leftover VALUES ('1')",
        "insert ignore leftover(id) VALUES (1)",
        "INSERT INTO test.`leftover` SET id = 1",
        "INSERT INTO`leftover`SELECT 1",
        "INSERT INTO leftover WITH one AS (SELECT 1) SELECT * FROM one",
        "REPLACE leftover VALUES (1)",
        "UPDATE leftover SET id = 1",
        "UPDATE testapp_item JOIN leftover SET name = 'x', leftover.id = 1",
        "DELETE FROM leftover",
        "DELETE FROM leftover ORDER BY id LIMIT 1",
        "DELETE leftover FROM testapp_item, leftover WHERE name = id",
        "DELETE FROM one USING testapp_item JOIN leftover one",
        "INSERT /* ( */ INTO leftover VALUES (1)",
        "WITH one AS (SELECT 1 AS id) UPDATE leftover SET id = 1",
        "(SELECT 1); DELETE FROM leftover",
        "LOAD DATA INFILE '/none' INTO TABLE leftover",
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
