"""System checks: each finds its hazard, and says what to do; but one, they connect to nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.dummy.base import DatabaseWrapper as DummyWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from django.db.backends.sqlite3.features import DatabaseFeatures
from django.test import override_settings

from smoketest import checks
from smoketest.checks import CHECKS, Check
from smoketest.conf import SETTINGS
from tests.conftest import Databases, Outside

TOKEN = "a-token-0123456789"


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


def found(**settings: Any) -> list[CheckMessage]:
    """Return what ``manage.py check`` finds of ours under ``settings``."""
    with override_settings(**settings):
        return [
            message
            for message in django_checks.run_checks()
            if str(message.id).startswith("smoketest.")
        ]


def only(check: Check, **settings: Any) -> str:
    """Return the sentence and hint of the one message there is, which is of ``check``."""
    (message,) = found(**settings)
    assert (message.id, message.level) == (check.id, check.level)
    assert f"See {check.page}" in str(message.hint)
    return f"{message.msg} {message.hint}"


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


def test_the_defaults_are_fine() -> None:
    assert found() == []


def test_every_check_has_an_id_of_its_own() -> None:
    assert [id for id, times in Counter(check.id for check in CHECKS).items() if times > 1] == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_has_an_id_of_its_level_a_sentence_and_a_hint(check: Check) -> None:
    letter = {django_checks.ERROR: "E", django_checks.WARNING: "W"}[check.level]
    assert re.fullmatch(rf"smoketest\.{letter}\d{{3}}", check.id)
    assert re.search(r"[.!}]$", check.sentence)
    assert check.hint.endswith(".")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_value_of_the_wrong_type_is_an_error_of_its_setting(setting: Any) -> None:
    said = only(checks.SETTING_CHECKS[setting.name], **{setting.name: object()})
    assert f"{setting.name} is" in said
    assert f"It must be {setting.kind.name}" in said
    assert f"Write, for example, {setting.name} = " in said
    assert said.count("Write, for example") == 1


def test_a_string_instead_of_a_list_is_an_error() -> None:
    skip_apps = checks.SETTING_CHECKS["SMOKETEST_SKIP_APPS"]
    assert "list of its letters" in only(skip_apps, SMOKETEST_SKIP_APPS="auth")


def test_tokens_as_a_string_are_an_error_that_does_not_repeat_them() -> None:
    said = only(checks.SETTING_CHECKS["SMOKETEST_TOKENS"], SMOKETEST_TOKENS=TOKEN)
    assert TOKEN not in said


def test_a_short_token_is_an_error_that_does_not_repeat_it() -> None:
    said = only(checks.SHORT_TOKEN, SMOKETEST_TOKENS=[TOKEN, "x" * 15])
    assert "x" * 15 not in said
    assert found(SMOKETEST_TOKENS=["x" * 16]) == []


def test_a_setting_that_does_not_exist_is_a_warning_with_the_nearest_name() -> None:
    said = only(checks.UNKNOWN_SETTING, SMOKETEST_SKIP_APP=["auth"])
    assert "Did you mean 'SMOKETEST_SKIP_APPS'?" in said


@pytest.mark.parametrize(
    "name", ["auth", "django.contrib.auth", "django.contrib.auth.apps.AuthConfig"]
)
def test_an_app_to_skip_may_be_named_in_each_way(name: str) -> None:
    assert found(SMOKETEST_SKIP_APPS=[name]) == []


def test_an_unknown_app_to_skip_is_a_warning_with_the_nearest_name() -> None:
    said = only(checks.UNKNOWN_APP, SMOKETEST_SKIP_APPS=["auht"])
    assert "names 'auht'" in said
    assert "Did you mean 'auth'?" in said


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        ("no.such.Probe", "No module named"),
        ("django.http.HttpRequest", "is no class derived from"),
        (("django.http.nothing", {"a": 1}), "cannot be imported"),
    ],
)
def test_a_probe_that_is_none_is_an_error(probe: object, reason: str) -> None:
    assert reason in only(checks.BAD_PROBE, SMOKETEST_PROBES=[probe])


def test_a_probe_that_is_a_smoke_test_is_fine() -> None:
    assert found(SMOKETEST_PROBES=["smoketest.SmokeTest"]) == []


@pytest.mark.parametrize("path", ["no.such.Renderer", "django.http.HttpRequest", "json"])
def test_a_renderer_that_is_none_is_an_error(path: str) -> None:
    assert repr(path) in only(checks.BAD_RENDERER, SMOKETEST_RENDERERS=[path])


def test_a_renderer_is_fine() -> None:
    assert found(SMOKETEST_RENDERERS=["smoketest.renderers.text.TextRenderer"]) == []


def test_a_deadline_shorter_than_a_time_out_is_a_warning() -> None:
    said = only(checks.SHORT_DEADLINE, SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT=7.5)
    assert "(5 s)" in said
    assert "(7.5 s)" in said
    assert found(SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT=5) == []


def test_settings_are_not_compared_while_one_of_them_is_unusable() -> None:
    only(checks.SETTING_CHECKS["SMOKETEST_TIMEOUT"], SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT="7")


def test_details_for_everybody_are_a_warning() -> None:
    only(checks.OPEN_DETAILS, SMOKETEST_ANONYMOUS="details")


def test_details_with_tokens_or_debug_are_fine() -> None:
    assert found(SMOKETEST_ANONYMOUS="details", SMOKETEST_TOKENS=[TOKEN]) == []
    assert found(SMOKETEST_ANONYMOUS="details", DEBUG=True) == []


@pytest.mark.parametrize("host", ["smoke.example", "smoke.example:8000", "SMOKE.example"])
def test_a_host_that_is_allowed_is_fine(host: str) -> None:
    assert found(SMOKETEST_HOST=host, ALLOWED_HOSTS=["smoke.example"]) == []


def test_a_host_that_is_not_allowed_is_a_warning() -> None:
    said = only(checks.FOREIGN_HOST, SMOKETEST_HOST="other.example:80", ALLOWED_HOSTS=["a.example"])
    assert "'other.example:80'" in said


def test_with_debug_and_no_allowed_hosts_the_local_ones_are_fine() -> None:
    assert found(SMOKETEST_HOST="localhost:8000", ALLOWED_HOSTS=[], DEBUG=True) == []


def test_a_permission_of_an_unknown_app_is_a_warning_with_the_nearest_name() -> None:
    said = only(checks.UNKNOWN_PERMISSION, SMOKETEST_PERMISSION="auht.view_user")
    assert "Did you mean 'auth'?" in said
    assert found(SMOKETEST_PERMISSION="auth.view_user") == []


def test_a_database_without_transactions_is_an_error() -> None:
    with database(WithoutTransactions):
        assert "The database 'other' cannot roll back" in only(checks.NO_ROLLBACK)


def test_a_database_that_makes_myisam_tables_is_an_error() -> None:
    with database(LikeMySQL, init_command="SET default_storage_engine=MYISAM"):
        assert "MyISAM" in only(checks.NO_ROLLBACK)
    with database(LikeMySQL, init_command="SET default_storage_engine=INNODB"):
        assert found() == []


def test_a_database_that_we_cannot_guard_is_a_warning() -> None:
    with database(OfAnotherVendor):
        assert "(oracle)" in only(checks.UNSUPPORTED_DATABASE)


def test_a_cache_that_does_not_exist_is_an_error_with_the_nearest_alias() -> None:
    said = only(checks.UNKNOWN_CACHE, SMOKETEST_HISTORY_CACHE="defaults")
    assert "Did you mean 'default'?" in said
    assert found(SMOKETEST_HISTORY_CACHE="defaults", SMOKETEST_HISTORY=0) == []


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
        said = only(checks.MORE_THAN_POOL, SMOKETEST_MAX_CONNECTIONS=wanted)
        assert f"more than the {size} of" in said
        assert found(SMOKETEST_MAX_CONNECTIONS=size) == []


def test_a_pool_is_not_compared_with_an_unusable_number() -> None:
    with database(SQLiteWrapper, pool=True):
        only(checks.SETTING_CHECKS["SMOKETEST_MAX_CONNECTIONS"], SMOKETEST_MAX_CONNECTIONS="many")


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
    assert checks.check_databases() == []


# -- what only the database knows


def look_into(*aliases: str) -> list[CheckMessage]:
    return [
        message
        for message in django_checks.run_checks(databases=aliases)
        if message.id == checks.TABLES_WITHOUT_TRANSACTIONS.id
    ]


def test_tables_without_transactions_are_named_where_databases_are_looked_into(
    mysql: Databases, outside: Outside
) -> None:
    for number in range(6):
        engine = "Aria TRANSACTIONAL=0" if number else "MyISAM"
        outside(f"CREATE TABLE leftover_{number} (id integer) ENGINE={engine}")
    assert django_checks.run_checks() == []
    [message] = look_into("default", "other")
    assert "'default'" in message.msg
    assert "(leftover_0: MyISAM, leftover_1: Aria, " in message.msg
    assert "and 1 more)" in message.msg


def test_database_with_transactions_in_every_table_is_not_warned_of(vendor: str) -> None:
    assert look_into("default", "other") == []
