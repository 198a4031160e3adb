"""Tasks for the probe of tasks; imported with the settings beside it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from tests.probes.tasks_settings import _PACKAGE

task: Any = importlib.import_module(_PACKAGE).task


@task  # type: ignore[untyped-decorator]
def ping() -> None:
    Path(os.environ["SMOKETEST_TEST_PINGED"]).touch()


@task  # type: ignore[untyped-decorator]
def broken() -> None:
    raise LookupError("no water")


@task(backend="lazy")  # type: ignore[untyped-decorator]
def never() -> None:
    raise AssertionError("nobody runs it")
