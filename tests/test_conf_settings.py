"""Settings are read at use, and an unusable one says what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from smoketest import conf
from smoketest.conf import settings

TOKEN = "a-token-that-nobody-may-read"


def test_the_table_has_the_settings_and_defaults_of_the_contract() -> None:
    assert {setting.name: setting.default for setting in conf.SETTINGS} == {
        "SMOKETEST_SKIP_APPS": [],
        "SMOKETEST_PROBES": [],
        "SMOKETEST_TIMEOUT": 10,
        "SMOKETEST_DEADLINE": 25,
        "SMOKETEST_PARALLEL": 16,
        "SMOKETEST_MAX_CONNECTIONS": 4,
        "SMOKETEST_LOCK_TIMEOUT": 2,
        "SMOKETEST_TOKENS": [],
        "SMOKETEST_ANONYMOUS": "summary",
        "SMOKETEST_PERMISSION": None,
        "SMOKETEST_FAIL_STATUS": 500,
        "SMOKETEST_CACHE_SECONDS": 0,
        "SMOKETEST_RELEASE": None,
        "SMOKETEST_HOST": None,
        "SMOKETEST_RENDERERS": [],
        "SMOKETEST_ROLE": None,
        "SMOKETEST_EXPECTED_NODES": [],
        "SMOKETEST_HISTORY": 50,
        "SMOKETEST_HISTORY_CACHE": "default",
    }


def test_a_setting_is_read_each_time_it_is_used() -> None:
    with override_settings(SMOKETEST_TIMEOUT=3):
        assert settings.timeout == 3
    assert settings.timeout == 10


def test_a_list_arrives_as_a_tuple_that_nobody_can_change() -> None:
    with override_settings(SMOKETEST_SKIP_APPS=["shop"]):
        assert settings.skip_apps == ("shop",)


def test_a_setting_cannot_be_changed_through_the_object() -> None:
    with pytest.raises(AttributeError, match="override_settings"):
        settings.timeout = 3


@pytest.mark.parametrize(
    ("attribute", "value", "because"),
    [
        ("skip_apps", "shop", "list of its letters"),
        ("skip_apps", [1], "one of its items is of type int"),
        ("skip_apps", None, "this is of type NoneType"),
        ("skip_apps", [" "], "empty string"),
        ("probes", "a.B", "list of its letters"),
        ("probes", [("a.B", 1)], "type tuple, is neither"),
        ("probes", [("a.B", {1: 2})], "type tuple, is neither"),
        ("probes", [""], "type str, is neither"),
        ("timeout", "10", "this is of type str"),
        ("timeout", True, "this is of type bool"),
        ("timeout", 0, "no time"),
        ("timeout", float("nan"), "can be waited"),
        ("deadline", float("inf"), "can be waited"),
        ("deadline", 1e300, "can be waited"),
        ("deadline", None, "this is of type NoneType"),
        ("parallel", 1.5, "this is of type float"),
        ("parallel", 0, "no test could run"),
        ("parallel", True, "this is of type bool"),
        ("max_connections", 0, "no test could run"),
        ("lock_timeout", -1, "no time"),
        ("tokens", TOKEN, "list of its letters"),
        ("tokens", [""], "empty string"),
        ("tokens", [TOKEN.encode()], "one of its items is of type bytes"),
        ("anonymous", "Summery", "did you mean 'summary'"),
        ("anonymous", None, "'deny'"),
        ("anonymous", ["details"], "'deny'"),
        ("permission", "view_user", "joined by a dot"),
        ("permission", 5, "this is of type int"),
        ("fail_status", 200, "see the failure"),
        ("fail_status", 600, "see the failure"),
        ("fail_status", "500", "this is of type str"),
        ("cache_seconds", -1, "less than nothing"),
        ("cache_seconds", None, "this is of type NoneType"),
        ("release", 7, "this is of type int"),
        ("release", "", "this is empty"),
        ("host", "https://shop.example", "scheme, path and user"),
        ("renderers", "a.B", "list of its letters"),
        ("role", "Workers", "did you mean 'worker'? Write"),
        ("role", "", "None or one of 'web', 'worker'"),
        ("role", ["web"], "None or one of 'web', 'worker'"),
        ("history", -1, "less than nothing"),
        ("history", True, "this is of type bool"),
        ("history", 5.5, "this is of type float"),
        ("history_cache", None, "this is of type NoneType"),
        ("history_cache", "", "this is empty"),
    ],
)
def test_an_unusable_value_is_named_with_its_reason_and_a_remedy(
    attribute: str, value: object, because: str
) -> None:
    name = f"SMOKETEST_{attribute.upper()}"
    with (
        override_settings(**{name: value}),
        pytest.raises(ImproperlyConfigured) as caught,
    ):
        getattr(settings, attribute)
    message = str(caught.value)
    assert message.startswith(f"{name} is ")
    assert because in message
    assert f"Write, for example, {name} = " in message


@pytest.mark.parametrize("value", [TOKEN, [TOKEN, 1], {TOKEN: 1}])
def test_a_complaint_about_tokens_never_repeats_one(value: object) -> None:
    with override_settings(SMOKETEST_TOKENS=value), pytest.raises(ImproperlyConfigured) as caught:
        settings.tokens  # noqa: B018
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("setting", conf.SETTINGS, ids=lambda setting: setting.name)
def test_the_example_of_each_setting_is_a_value_that_it_takes(
    setting: conf.Setting[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOKETEST_TOKEN", TOKEN)
    value = eval(setting.example, {"os": __import__("os")})
    with override_settings(**{setting.name: value}):
        setting.read()


@pytest.mark.parametrize("setting", conf.SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_has_one_sentence_of_description(setting: conf.Setting[Any]) -> None:
    assert setting.description.endswith(".")
    assert setting.description.count(". ") == 0


def test_probes_are_paths_or_paths_with_attributes() -> None:
    with override_settings(SMOKETEST_PROBES=["a.B", ("c.D", {"url": "x"}), ["e.F", {}]]):
        assert settings.probes == ("a.B", ("c.D", {"url": "x"}), ("e.F", {}))
