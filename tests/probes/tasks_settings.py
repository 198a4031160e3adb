"""The settings of the tests, with backends for tasks: one that runs them, one that does not."""

from __future__ import annotations

import importlib.util

from tests.settings import *  # noqa: F403

_PACKAGE = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"

TASKS = {
    "default": {"BACKEND": f"{_PACKAGE}.backends.immediate.ImmediateBackend"},
    "lazy": {"BACKEND": f"{_PACKAGE}.backends.dummy.DummyBackend"},
}
