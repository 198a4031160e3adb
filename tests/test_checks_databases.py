"""Each check of the databases finds its hazard; but one, they connect to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.dummy.base import DatabaseWrapper as DummyWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from django.db.backends.sqlite3.features import DatabaseFeatures

from smoketest.checks import databases, messages
from tests.checking import found, only
from tests.conftest import Databases, Outside


class FeaturesWithoutTransactions(DatabaseFeatures):
    """Says so."""

    supports_transactions = False


class WithoutTransactions(SQLiteWrapper):
    """A database that writes for good."""

    features_class = FeaturesWithoutTransactions


class OfAnotherVendor(SQLiteWrapper):
    """A database that has transactions and no guard of ours."""

    vendor = "oracle"


class LikeMySQL(SQLiteWrapper):
    """A database that would have to be asked for its storage engine."""

    vendor = "mysql"


@contextmanager
def database(kind: type[BaseDatabaseWrapper], **options: Any) -> Iterator[None]:
    """Let ``other`` be a database of that kind."""
    kept = connections["other"]
    values = {**kept.settings_dict, "OPTIONS": options}
    if kind is DummyWrapper:
        values["ENGINE"] = "django.db.backends.dummy"
    connections["other"] = kind(values, "other")
    try:
        yield
    finally:
        connections["other"] = kept


def test_a_database_without_transactions_is_an_error() -> None:
    with database(WithoutTransactions):
        assert "The database 'other' cannot roll back" in only(messages.NO_ROLLBACK)


def test_a_database_that_makes_myisam_tables_is_an_error() -> None:
    with database(LikeMySQL, init_command="SET default_storage_engine=MYISAM"):
        assert "MyISAM" in only(messages.NO_ROLLBACK)
    with database(LikeMySQL, init_command="SET default_storage_engine=INNODB"):
        assert found() == []


def test_a_database_that_we_cannot_guard_is_a_warning() -> None:
    with database(OfAnotherVendor):
        assert "(oracle)" in only(messages.UNSUPPORTED_DATABASE)


def test_a_site_without_a_database_is_fine() -> None:
    with database(DummyWrapper):
        assert found() == []


@pytest.mark.parametrize(
    ("pool", "wanted", "size"), [(True, 5, 4), ({"min_size": 1}, 5, 4), ({"max_size": 2}, 3, 2)]
)
def test_more_connections_than_the_sites_pool_are_a_warning(
    pool: object, wanted: int, size: int
) -> None:
    with database(SQLiteWrapper, pool=pool):
        said = only(messages.MORE_THAN_POOL, SMOKETEST_MAX_CONNECTIONS=wanted)
        assert f"more than the {size} of" in said
        assert found(SMOKETEST_MAX_CONNECTIONS=size) == []


def test_a_pool_is_not_compared_with_an_unusable_number() -> None:
    with database(SQLiteWrapper, pool=True):
        only(messages.SETTING_CHECKS["SMOKETEST_MAX_CONNECTIONS"], SMOKETEST_MAX_CONNECTIONS="many")


def test_no_check_connects_to_a_database() -> None:
    # pytest-django blocks every connection of a test that does not ask for one.
    for kind in (SQLiteWrapper, LikeMySQL, WithoutTransactions, OfAnotherVendor):
        with database(kind):
            found()
            assert connections["other"].connection is None


def test_a_database_that_cannot_even_be_made_is_left_to_djangos_own_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {**connections.settings["other"], "ENGINE": "no.such.engine"}
    monkeypatch.setitem(connections.settings, "third", wrong)
    assert databases.check_databases() == []


def look_into(*aliases: str) -> list[CheckMessage]:
    return [
        message
        for message in checks.run_checks(databases=aliases)
        if message.id == messages.TABLES_WITHOUT_TRANSACTIONS.id
    ]


def test_tables_without_transactions_are_named_where_databases_are_looked_into(
    mysql: Databases, outside: Outside
) -> None:
    for number in range(6):
        engine = "Aria TRANSACTIONAL=0" if number else "MyISAM"
        outside(f"CREATE TABLE leftover_{number} (id integer) ENGINE={engine}")
    assert checks.run_checks() == []
    [message] = look_into("default", "other")
    assert "'default'" in message.msg
    assert "(leftover_0: MyISAM, leftover_1: Aria, " in message.msg
    assert "and 1 more)" in message.msg


def test_database_with_transactions_in_every_table_is_not_warned_of(vendor: str) -> None:
    assert look_into("default", "other") == []
