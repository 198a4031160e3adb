"""Looks at the smoke modules for assert statements that Python leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage

from smoketest import asserts

from .messages import ASSERTS_REMOVED


def check_asserts(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look for assert statements in smoke modules, without importing them, where Python has none.

    Each module is imported by a run only, which looks at each of its tests.
    """
    if not asserts.are_removed():
        return []
    return [
        ASSERTS_REMOVED.message(place=place)
        for config in apps.get_app_configs()
        for place in asserts.places(f"{config.name}.smoke")
    ]
