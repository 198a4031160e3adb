"""What the house makes of the settings: options, limits and the release."""

from __future__ import annotations

import pytest
from django.test import override_settings

from smoketest import conf
from smoketest.options import Options


@pytest.fixture(autouse=True)
def _no_release_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in conf.RELEASE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_without_settings_the_options_are_the_engines_defaults() -> None:
    assert conf.options() == Options()


def test_the_release_is_the_setting_before_any_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMIT", "9f1c2ab")
    with override_settings(SMOKETEST_RELEASE="2026.11"):
        assert conf.options().release == "2026.11"


def test_the_release_is_the_first_variable_that_is_not_blank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELEASE", " ")
    monkeypatch.setenv("GIT_COMMIT", "9f1c2ab\n")
    monkeypatch.setenv("GITHUB_SHA", "other")
    assert conf.options().release == "9f1c2ab"


def test_overrides_of_options_may_go_upwards() -> None:
    assert conf.options(deadline=300.0, failfast=True) == Options(deadline=300.0, failfast=True)


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(TypeError, match="deadlien"):
        conf.options(deadlien=3)


def test_limits_asked_for_from_outside_only_go_downwards() -> None:
    lower = conf.lowered(Options(timeout=10, deadline=25), timeout=3, deadline=5)
    assert (lower.timeout, lower.timeout_ceiling, lower.deadline) == (3, 3, 5)
    higher = conf.lowered(Options(timeout=10, deadline=25), timeout=60, deadline=600)
    assert (higher.timeout, higher.timeout_ceiling, higher.deadline) == (10, 60, 25)


def test_limits_not_asked_for_stay_as_they_are() -> None:
    assert conf.lowered(Options()) == Options()


def test_a_ceiling_is_never_raised() -> None:
    assert conf.lowered(Options(timeout_ceiling=2), timeout=8).timeout_ceiling == 2
