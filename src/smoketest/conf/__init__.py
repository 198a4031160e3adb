"""Every ``SMOKETEST_*`` setting, and what the house makes of them.

``settings.timeout`` is the value of ``SMOKETEST_TIMEOUT`` at this moment. ``table`` has
each setting with its default, ``setting`` says how one is read, and ``kinds`` what its
value may be.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from smoketest.options import Options
from smoketest.renderers import Renderer

from .setting import Setting
from .table import SETTINGS, Settings, settings

__all__ = [
    "RELEASE_VARIABLES",
    "SETTINGS",
    "Setting",
    "Settings",
    "lowered",
    "options",
    "release",
    "renderers",
    "settings",
]

RELEASE_VARIABLES = (
    "SENTRY_RELEASE",
    "RELEASE",
    "RELEASE_VERSION",
    "GIT_COMMIT",
    "GIT_SHA",
    "COMMIT_SHA",
    "SOURCE_VERSION",
    "HEROKU_BUILD_COMMIT",
    "HEROKU_SLUG_COMMIT",
    "HEROKU_RELEASE_VERSION",
    "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA",
    "VERCEL_GIT_COMMIT_SHA",
    "KAMAL_VERSION",
    "FLY_IMAGE_REF",
    "GAE_VERSION",
    "K_REVISION",
    "CI_COMMIT_SHA",
    "GITHUB_SHA",
)
"""Environment variables that platforms put the release in: the first that is set counts.

What a person sets on purpose comes first, what a platform sets by itself last.
"""


def release() -> str:
    """Return the release to report, or ``""`` where nothing names it."""
    named = settings.release
    if named is not None:
        return named
    found = (os.environ.get(variable, "").strip() for variable in RELEASE_VARIABLES)
    return next(filter(None, found), "")


def renderers() -> tuple[Renderer, ...]:
    """Return one of each renderer that ``SMOKETEST_RENDERERS`` names.

    Raises ``ImproperlyConfigured`` where one cannot be imported or is no renderer.
    """
    return tuple(map(_renderer, settings.renderers))


def _renderer(path: str) -> Renderer:
    try:
        renderer = import_string(path)()
    except Exception as error:
        raise ImproperlyConfigured(
            f"SMOKETEST_RENDERERS names {path!r}, which cannot be imported and built: "
            f"{type(error).__name__}: {error}. "
            "Write the dotted path of a class that takes no argument, 'package.module.Class'."
        ) from error
    names = ("format", "media_type", "charset", "render")
    missing = [name for name in names if not hasattr(renderer, name)]
    if missing:
        raise ImproperlyConfigured(
            f"SMOKETEST_RENDERERS names {path!r}, which is no renderer: it lacks "
            f"{', '.join(missing)}. Write a class with these attributes, "
            "as those in smoketest.renderers."
        )
    return cast(Renderer, renderer)


def options(**overrides: Any) -> Options:
    """Return how to run by the settings, with ``overrides`` (fields of ``Options``) instead.

    Raises ``ImproperlyConfigured`` where a setting that counts is unusable.
    """
    return replace(
        Options(
            skip_apps=settings.skip_apps,
            probes=settings.probes,
            timeout=settings.timeout,
            deadline=settings.deadline,
            parallel=settings.parallel,
            max_connections=settings.max_connections,
            lock_timeout=settings.lock_timeout,
            role=settings.role or "",
            release=release(),
            host=settings.host,
        ),
        **overrides,
    )


def lowered(
    options: Options, *, timeout: float | None = None, deadline: float | None = None
) -> Options:
    """Return ``options`` with limits that are at most those asked for, never higher ones.

    ``timeout`` (seconds) becomes a ceiling too, so it also holds for a test that names a
    longer one of its own.
    """
    if timeout is not None:
        ceiling = min(timeout, options.timeout_ceiling or timeout)
        options = replace(options, timeout=min(timeout, options.timeout), timeout_ceiling=ceiling)
    if deadline is not None:
        options = replace(options, deadline=min(deadline, options.deadline))
    return options
