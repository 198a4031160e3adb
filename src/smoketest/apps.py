"""The app: in INSTALLED_APPS it adds the system checks and the command, nothing else."""

from __future__ import annotations

from django.apps import AppConfig


class SmokeTestConfig(AppConfig):
    """Registers the system checks; the view works without it."""

    name = "smoketest"
    verbose_name = "Smoke tests"

    def ready(self) -> None:
        """Register the system checks."""
        from smoketest import checks

        checks.register()
