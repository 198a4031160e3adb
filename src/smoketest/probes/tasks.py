"""The backends of ``TASKS`` are set up, and what is put into them is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterable
from importlib import import_module
from typing import Any, Literal

from django.core.checks import ERROR
from django.core.exceptions import ImproperlyConfigured

from .subjects import Probe, chosen, listed

Part = tuple[str, str]

_ROUND_TRIP = """
import sys, time
import django
django.setup()
from django.utils.module_loading import import_string
result = import_string(sys.argv[1]).enqueue()
while not result.is_finished:
    time.sleep(0.1)
    result.refresh()
if result.status != "SUCCESSFUL":
    sys.exit("; ".join(error.exception_class_path for error in result.errors) or result.status)
"""


class Tasks(Probe):
    """Each backend of Django's tasks can be used, and each task named comes back.

    For Django 6.0 and later, and for ``django-tasks`` before. A task is put into its queue
    by a process of its own (``sys.executable``, with ``DJANGO_SETTINGS_MODULE``), because
    what this one writes to a database is rolled back and no worker would see it. That is
    not undone, so name tasks that change nothing. One that no worker takes stays in its
    queue.
    """

    _leaves = "with `tasks`: what these do, their results, and those that no worker takes"
    aliases: Collection[str] | Literal["__all__"] = "__all__"
    """Aliases of ``TASKS`` to look at."""
    tasks: Collection[str] = ()
    """Dotted paths of tasks that take no arguments: ``["shop.tasks.ping"]``. Their backends
    must keep results."""

    @classmethod
    def subjects(cls) -> Iterable[Part]:
        """The backends, and the tasks."""
        for alias in chosen(cls.aliases, _backends().settings, "TASKS"):
            yield f"backend {alias}", alias
        for task in listed(cls.tasks, "tasks"):
            yield f"task {task}", task

    def check_tasks(self, part: Part) -> None:
        """The backend can be used; the task comes back."""
        label, name = part
        if label.startswith("backend "):
            self._backend(name)
        else:
            self._round_trip(name)

    def _backend(self, alias: str) -> None:
        with self.explained(
            f"The task backend {alias!r} cannot be used", f"Correct TASKS[{alias!r}]."
        ):
            backend = _backends()[alias]
            found = [message for message in backend.check() if message.level >= ERROR]
        if found:
            self.fail(
                f"The task backend {alias!r} is not set up: {found[0].msg}."
                f" Its own check says so. Correct TASKS[{alias!r}]."
            )

    def _round_trip(self, task: str) -> None:
        with self.explained(
            f"The task {task} did not come back",
            "No worker took it, or it takes too long. Look at the workers and their log.",
            (OSError, subprocess.TimeoutExpired),
        ):
            done = subprocess.run(
                [sys.executable, "-c", _ROUND_TRIP, task],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
                text=True,
                errors="replace",
                timeout=self.patience,
                check=False,
            )
        if done.returncode:
            why = done.stderr.strip().rpartition("\n")[2][:200]
            self.fail(
                f"The task {task} failed: {why}. It was put into its queue without arguments."
                " Look at the workers' log."
            )


def _environment() -> dict[str, str]:
    """Return what a new process needs to find this project's modules."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _backends() -> Any:
    """Return the handler of the backends: Django's, or that of the backport."""
    for package in ("django.tasks", "django_tasks"):
        try:
            return import_module(package).task_backends
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
    raise ImproperlyConfigured(
        "The probe needs Django's tasks, which this version does not have. They came with"
        " Django 6.0. Update it, or run: pip install django-tasks"
    )
