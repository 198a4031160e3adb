"""System checks: nothing found, something found, and what is silenced."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.checks.registry import registry
from django.test import override_settings

from tests.conftest import Databases
from tests.probes.running import outcomes


@pytest.fixture(autouse=True)
def one_check(sqlite: Databases, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Only one system check is registered; it says which databases it was given."""
    given: list[Any] = []

    def check(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[Any]:
        given.append(databases)
        return [checks.Warning("The kettle is cold.", id="shop.W001")]

    monkeypatch.setattr(registry, "registered_checks", set())
    monkeypatch.setattr(registry, "deployment_checks", {check})
    return given


def test_finding_is_named_in_the_first_line_and_told_below(one_check: list[Any]) -> None:
    [outcome] = outcomes("SystemChecks").values()
    first, second = outcome.splitlines()
    assert first.startswith(
        "failed: The system checks found 1 at level WARNING or above: shop.W001. Each is"
    )
    assert second == "shop.W001: The kettle is cold."
    assert one_check == [["default", "other"]]


def test_of_many_findings_ten_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(app_configs: Any, **kwargs: Any) -> list[Any]:
        return [checks.Warning("Cold.", id=f"shop.W{n:03}") for n in range(12)]

    monkeypatch.setattr(registry, "deployment_checks", {check})
    [outcome] = outcomes("SystemChecks").values()
    first, *others = outcome.splitlines()
    assert "shop.W009 and 2 more. Each" in first
    assert len(others) == 10


def test_finding_below_the_level_passes() -> None:
    assert outcomes("SystemChecks", level="ERROR") == {"test_system_deploy": "passed"}


def test_silenced_finding_passes() -> None:
    with override_settings(SILENCED_SYSTEM_CHECKS=["shop.W001"]):
        assert outcomes("SystemChecks") == {"test_system_deploy": "passed"}
