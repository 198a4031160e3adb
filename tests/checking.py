"""What ``manage.py check`` finds of ours, under settings that a test names."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.test import override_settings

from smoketest.checks import Check


def found(**settings: Any) -> list[CheckMessage]:
    """Return what ``manage.py check`` finds of ours under ``settings``."""
    with override_settings(**settings):
        return [
            message for message in checks.run_checks() if str(message.id).startswith("smoketest.")
        ]


def only(check: Check, **settings: Any) -> str:
    """Return the sentence and hint of the one message there is, which is of ``check``."""
    (message,) = found(**settings)
    assert (message.id, message.level) == (check.id, check.level)
    assert f"See {check.page}" in str(message.hint)
    return f"{message.msg} {message.hint}"
