"""Settings and environment variables: there, missing, or filled in by nobody."""

from __future__ import annotations

import pytest
from django.test import override_settings

from tests.probes.running import outcomes

SECRET = "hunter2-hunter2"


def setting(value: object) -> str:
    with override_settings(API_KEY=value):
        return outcomes("Settings", names=["API_KEY"])["test_setting_API_KEY"]


@pytest.mark.parametrize("value", [SECRET, "", 0, False, [], "secret-of-the-kettle"])
def test_setting_with_a_value_passes(value: object) -> None:
    assert setting(value) == "passed"


def test_setting_that_is_none_fails() -> None:
    assert setting(None).startswith("failed: The setting API_KEY is None.")


def test_setting_that_is_missing_fails() -> None:
    got = outcomes("Settings", names=["API_KEY"])
    assert got["test_setting_API_KEY"].startswith("failed: The setting API_KEY is missing.")


@pytest.mark.parametrize(
    "value",
    [
        "changeme",
        "CHANGE-ME-please",
        "<key>",
        "${KEY}",
        "{{ key }}",
        "xxxx",
        "TODO",
        "your-key",
        "...",
        "password",
        f"django-insecure-{SECRET}",
    ],
)
def test_placeholder_fails_and_is_not_shown(value: str) -> None:
    outcome = setting(value)
    assert outcome.startswith("failed: The setting API_KEY has the value of a placeholder.")
    assert SECRET not in outcome


def test_variable_with_a_value_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "eu-west-1")
    assert outcomes("Environment", variables=["REGION"]) == {"test_variable_REGION": "passed"}
    assert outcomes("Environment", variables={"REGION": r"eu-\w+-\d"}) == {
        "test_variable_REGION": "passed"
    }


def test_variable_that_is_missing_or_empty_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGION", raising=False)
    monkeypatch.setenv("ZONE", "")
    got = outcomes("Environment", variables=["REGION", "ZONE"])
    assert got["test_variable_REGION"].startswith(
        "failed: The environment variable REGION is missing."
    )
    assert got["test_variable_ZONE"].startswith("failed: The environment variable ZONE is empty.")


def test_variable_that_does_not_match_fails_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    [outcome] = outcomes("Environment", variables={"TOKEN": "[0-9]+"}).values()
    assert outcome.startswith("failed: The environment variable TOKEN does not match '[0-9]+'.")
    assert SECRET not in outcome
