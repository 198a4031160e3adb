"""Each check of the settings finds its hazard, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from smoketest.checks import messages
from smoketest.conf import SETTINGS
from tests.checking import found, only

TOKEN = "a-token-0123456789"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_value_of_the_wrong_type_is_an_error_of_its_setting(setting: Any) -> None:
    said = only(messages.SETTING_CHECKS[setting.name], **{setting.name: object()})
    assert f"{setting.name} is" in said
    assert f"It must be {setting.kind.name}" in said
    assert f"Write, for example, {setting.name} = " in said
    assert said.count("Write, for example") == 1


def test_a_string_instead_of_a_list_is_an_error() -> None:
    skip_apps = messages.SETTING_CHECKS["SMOKETEST_SKIP_APPS"]
    assert "list of its letters" in only(skip_apps, SMOKETEST_SKIP_APPS="auth")


def test_tokens_as_a_string_are_an_error_that_does_not_repeat_them() -> None:
    said = only(messages.SETTING_CHECKS["SMOKETEST_TOKENS"], SMOKETEST_TOKENS=TOKEN)
    assert TOKEN not in said


def test_a_short_token_is_an_error_that_does_not_repeat_it() -> None:
    said = only(messages.SHORT_TOKEN, SMOKETEST_TOKENS=[TOKEN, "x" * 15])
    assert "x" * 15 not in said
    assert found(SMOKETEST_TOKENS=["x" * 16]) == []


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r\n", f" {TOKEN}", f"{TOKEN}\t"])
def test_a_token_with_white_space_around_it_is_an_error_that_does_not_repeat_it(token: str) -> None:
    said = only(messages.PADDED_TOKEN, SMOKETEST_TOKENS=["b" * 16, token])
    assert said.startswith("1 of the SMOKETEST_TOKENS begins or ends with white space")
    assert TOKEN not in said
    assert found(SMOKETEST_TOKENS=[token.strip()]) == []


def test_a_setting_that_does_not_exist_is_a_warning_with_the_nearest_name() -> None:
    said = only(messages.UNKNOWN_SETTING, SMOKETEST_SKIP_APP=["auth"])
    assert "Did you mean 'SMOKETEST_SKIP_APPS'?" in said


@pytest.mark.parametrize(
    "name", ["auth", "django.contrib.auth", "django.contrib.auth.apps.AuthConfig"]
)
def test_an_app_to_skip_may_be_named_in_each_way(name: str) -> None:
    assert found(SMOKETEST_SKIP_APPS=[name]) == []


def test_an_unknown_app_to_skip_is_a_warning_with_the_nearest_name() -> None:
    said = only(messages.UNKNOWN_APP, SMOKETEST_SKIP_APPS=["auht"])
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
    assert reason in only(messages.BAD_PROBE, SMOKETEST_PROBES=[probe])


def test_a_probe_that_is_a_smoke_test_is_fine() -> None:
    assert found(SMOKETEST_PROBES=["smoketest.SmokeTest"]) == []


@pytest.mark.parametrize("path", ["no.such.Renderer", "django.http.HttpRequest", "json"])
def test_a_renderer_that_is_none_is_an_error(path: str) -> None:
    assert repr(path) in only(messages.BAD_RENDERER, SMOKETEST_RENDERERS=[path])


def test_a_renderer_is_fine() -> None:
    assert found(SMOKETEST_RENDERERS=["smoketest.renderers.text.TextRenderer"]) == []


def test_a_deadline_shorter_than_a_time_out_is_a_warning() -> None:
    said = only(messages.SHORT_DEADLINE, SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT=7.5)
    assert "(5 s)" in said
    assert "(7.5 s)" in said
    assert found(SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT=5) == []


def test_settings_are_not_compared_while_one_of_them_is_unusable() -> None:
    only(messages.SETTING_CHECKS["SMOKETEST_TIMEOUT"], SMOKETEST_DEADLINE=5, SMOKETEST_TIMEOUT="7")


def test_details_for_everybody_are_a_warning() -> None:
    only(messages.OPEN_DETAILS, SMOKETEST_ANONYMOUS="details")


def test_details_with_tokens_or_debug_are_fine() -> None:
    assert found(SMOKETEST_ANONYMOUS="details", SMOKETEST_TOKENS=[TOKEN]) == []
    assert found(SMOKETEST_ANONYMOUS="details", DEBUG=True) == []


@pytest.mark.parametrize("host", ["smoke.example", "smoke.example:8000", "SMOKE.example"])
def test_a_host_that_is_allowed_is_fine(host: str) -> None:
    assert found(SMOKETEST_HOST=host, ALLOWED_HOSTS=["smoke.example"]) == []


def test_a_host_that_is_not_allowed_is_a_warning() -> None:
    said = only(
        messages.FOREIGN_HOST, SMOKETEST_HOST="other.example:80", ALLOWED_HOSTS=["a.example"]
    )
    assert "'other.example:80'" in said


def test_with_debug_and_no_allowed_hosts_the_local_ones_are_fine() -> None:
    assert found(SMOKETEST_HOST="localhost:8000", ALLOWED_HOSTS=[], DEBUG=True) == []


def test_a_permission_of_an_unknown_app_is_a_warning_with_the_nearest_name() -> None:
    said = only(messages.UNKNOWN_PERMISSION, SMOKETEST_PERMISSION="auht.view_user")
    assert "Did you mean 'auth'?" in said
    assert found(SMOKETEST_PERMISSION="auth.view_user") == []


def test_a_cache_that_does_not_exist_is_an_error_with_the_nearest_alias() -> None:
    said = only(messages.UNKNOWN_CACHE, SMOKETEST_HISTORY_CACHE="defaults")
    assert "Did you mean 'default'?" in said
    assert found(SMOKETEST_HISTORY_CACHE="defaults", SMOKETEST_HISTORY=0) == []
