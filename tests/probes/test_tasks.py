"""Tasks: a backend that runs them, one that keeps them, and one that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from tests.probes import tasks_settings
from tests.probes.running import outcomes

TASKS = "tests.probes.tasks"


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backends are those of the settings with tasks, here and in new processes."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", tasks_settings.__name__)
    with override_settings(TASKS=tasks_settings.TASKS):
        yield


def probed(task: str, **attributes: object) -> str:
    got = outcomes("Tasks", tasks=[f"{TASKS}.{task}"], aliases=[], **attributes)
    [outcome] = got.values()
    return outcome


def test_backends_that_can_be_used_pass() -> None:
    assert outcomes("Tasks") == {
        "test_tasks_backend_default": "passed",
        "test_tasks_backend_lazy": "passed",
    }


def test_backend_that_cannot_be_imported_fails() -> None:
    with override_settings(TASKS={"default": {"BACKEND": "no.such.Backend"}}):
        [outcome] = outcomes("Tasks").values()
    assert outcome.startswith("failed: The task backend 'default' cannot be used: InvalidTask")


def test_task_that_comes_back_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKETEST_TEST_PINGED", str(tmp_path / "pinged"))
    assert probed("ping", timeout=60) == "passed"
    assert (tmp_path / "pinged").exists()


def test_task_that_fails_is_told_by_its_error() -> None:
    outcome = probed("broken", timeout=60)
    assert outcome.startswith("failed: The task tests.probes.tasks.broken failed: ")
    assert "LookupError" in outcome


@pytest.mark.slow
def test_task_that_nobody_runs_fails_in_its_time() -> None:
    outcome = probed("never", timeout=3)
    assert outcome.startswith("failed: The task tests.probes.tasks.never did not come back: ")


def test_without_tasks_in_django_the_message_names_the_backport(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "django.tasks", None)
        without.setitem(sys.modules, "django_tasks", None)
        [outcome] = outcomes("Tasks").values()
    assert outcome.endswith("run: pip install django-tasks")
