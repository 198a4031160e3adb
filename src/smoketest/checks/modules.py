"""Looks at the smoke modules, without importing them, for what Python would leave out.

That is assert statements where it is optimized, and files in the shadow of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage

from smoketest import asserts
from smoketest.recorder import relative_path

from .messages import ASSERTS_REMOVED, SHADOWED


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


def check_shadows(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look for smoke modules that are never run, because another has the same name."""
    return [
        SHADOWED.message(
            module=f"{config.name}.smoke",
            used=relative_path(str(used)),
            shadowed=relative_path(str(shadowed)),
        )
        for config in apps.get_app_configs()
        for used, shadowed in _shadows(config)
    ]


def _shadows(config: AppConfig) -> Iterator[tuple[Path, Path]]:
    """Yield what Python imports as the app's ``smoke``, with each thing that it passes over."""
    folders = list(getattr(config.module, "__path__", ()))
    spec = PathFinder.find_spec(f"{config.name}.smoke", folders)
    if spec is None or spec.origin is None:
        return  # there is none, or folders without an __init__.py alone, which are all looked at
    used = Path(spec.origin)
    for folder in map(Path, folders):
        module, package = folder / "smoke.py", folder / "smoke"
        if module != used and module.is_file():
            yield used, module
        if package != used.parent and package.is_dir() and any(package.rglob("*.py")):
            yield used, package
