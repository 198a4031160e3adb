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


def test_finding_is_shown_with_its_id(one_check: list[Any]) -> None:
    [outcome] = outcomes("SystemChecks").values()
    assert outcome.startswith(
        "failed: The system checks found 1 at level WARNING or above: shop.W001: The kettle is cold"
    )
    assert one_check == [["default", "other"]]


def test_finding_below_the_level_passes() -> None:
    assert outcomes("SystemChecks", level="ERROR") == {"test_system_deploy": "passed"}


def test_silenced_finding_passes() -> None:
    with override_settings(SILENCED_SYSTEM_CHECKS=["shop.W001"]):
        assert outcomes("SystemChecks") == {"test_system_deploy": "passed"}
