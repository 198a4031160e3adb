"""Every ``SMOKETEST_*`` setting: its default, what it may be, and how to read it.

The body of :class:`Settings` is the table from which the system checks and the
reference are made. A setting is read when it is used, so ``override_settings``
works, and an unusable value raises ``ImproperlyConfigured`` there and nowhere else.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, cast, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from smoketest.options import ROLES, Options, Probe
from smoketest.renderers import Renderer

T = TypeVar("T")

ANONYMOUS_CHOICES = ("details", "summary", "verdict", "deny")
"""What a caller without credentials may get, from everything to nothing."""

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


class Unusable(Exception):
    """Why a value will not do, as half a sentence; it may be empty."""


FAILURE_STATUSES = range(400, 600)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What the value of a setting may be."""

    name: str
    """In words that complete "it must be …"."""
    clean: Callable[[Any], T]
    """Return the value as the engine takes it, or raise :class:`Unusable` with the reason."""


class Setting(Generic[T]):
    """One setting, read and validated each time that it is looked at."""

    name: str

    def __init__(
        self,
        default: object,
        kind: Kind[T],
        *,
        example: str,
        description: str,
        secret: bool = False,
    ) -> None:
        self.default = default
        self.kind = kind
        self.example = example
        """A good value, as it is written in a settings file."""
        self.description = description
        self.secret = secret
        """Whether a message may not repeat the value."""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = f"SMOKETEST_{attribute.upper()}"

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Setting[T] | T:
        return self if instance is None else self.read()

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(
            f"{self.name} cannot be set here: this object only reads Django's settings. "
            "Set it in the settings file, or in a test with override_settings()."
        )

    def read(self) -> T:
        """Return the present value; raise ``ImproperlyConfigured`` where it is unusable."""
        value = getattr(django_settings, self.name, self.default)
        try:
            return self.kind.clean(value)
        except Unusable as error:
            raise ImproperlyConfigured(self.complaint(value, error)) from None

    def complaint(self, value: object, reason: Unusable) -> str:
        """Say what ``value`` is, why it will not do, and what to write instead."""
        shown = f"of type {type(value).__name__} (not shown)" if self.secret else repr(value)
        because = f": {reason}" if str(reason) else ""
        return f"{self.name} is {shown}. It must be {self.kind.name}{because}. {self.remedy}"

    @property
    def remedy(self) -> str:
        """What to write instead of a value that is unusable."""
        return (
            f"Write, for example, {self.name} = {self.example}, "
            f"or leave it out for the default, {self.default!r}."
        )


def _listed(value: object) -> tuple[Any, ...]:
    if isinstance(value, str | bytes):
        raise Unusable("one string alone would be taken for a list of its letters")
    if not isinstance(value, list | tuple | set | frozenset):
        raise Unusable(f"this is of type {type(value).__name__}")
    return tuple(value)


def _strings(value: object) -> tuple[str, ...]:
    items = _listed(value)
    for item in items:
        if not isinstance(item, str):
            raise Unusable(f"one of its items is of type {type(item).__name__}")
        if not item.strip():
            raise Unusable("one of its items is an empty string")
    return items


def _probe(item: object) -> Probe:
    match item:
        case str() if item.strip():
            return item
        case (str() as path, Mapping() as attributes) if path.strip():
            if all(isinstance(name, str) for name in attributes):
                return path, dict(attributes)
    raise Unusable(f"one of its items, of type {type(item).__name__}, is neither")


def _probes(value: object) -> tuple[Probe, ...]:
    return tuple(_probe(item) for item in _listed(value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f"this is of type {type(value).__name__}")
    # More than TIMEOUT_MAX (some 292 years), and no lock can be waited for so long.
    if not math.isfinite(value) or value > threading.TIMEOUT_MAX:
        raise Unusable("this is no length of time that can be waited")
    return float(value)


def _seconds(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise Unusable("nothing can be done in no time")
    return number


def _seconds_or_none_at_all(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise Unusable("this is less than nothing")
    return number


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"this is of type {type(value).__name__}")
    if value < 1:
        raise Unusable("with fewer than 1 no test could run")
    return value


def _count_or_zero(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"this is of type {type(value).__name__}")
    if value < 0:
        raise Unusable("this is less than nothing")
    return value


def _failure_status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"this is of type {type(value).__name__}")
    if value not in FAILURE_STATUSES:
        raise Unusable("whoever asks has to see the failure by the status")
    return int(value)


def _anonymous(value: object) -> str:
    if isinstance(value, str) and value in ANONYMOUS_CHOICES:
        return value
    near = get_close_matches(str(value).lower(), ANONYMOUS_CHOICES, n=1)
    raise Unusable(f"did you mean {near[0]!r}?" if near else "")


def _role(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in ROLES):
        return value
    near = get_close_matches(str(value).lower(), ROLES, n=1)
    raise Unusable(f"did you mean {near[0]!r}?" if near else "")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unusable(f"this is of type {type(value).__name__}")
    if not value.strip():
        raise Unusable("this is empty")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _permission(value: object) -> str | None:
    if value is not None and not all(_text(value).partition(".")):
        raise Unusable("app label and codename are joined by a dot")
    return _text_or_none(value)


def _host(value: object) -> str | None:
    if value is not None and any(character in "/@ \t\r\n" for character in _text(value)):
        raise Unusable("scheme, path and user do not belong to it")
    return _text_or_none(value)


STRINGS = Kind("a list of strings that are not empty", _strings)
PROBES = Kind("a list of dotted paths, or of pairs (path, {attribute: value})", _probes)
SECONDS = Kind("a number of seconds above 0", _seconds)
SECONDS_OR_ZERO = Kind("a number of seconds, 0 or more", _seconds_or_none_at_all)
COUNT = Kind("a whole number, 1 or more", _count)
COUNT_OR_ZERO = Kind("a whole number, 0 or more", _count_or_zero)
TEXT = Kind("a string that is not empty", _text)
FAILURE_STATUS = Kind("an HTTP status between 400 and 599", _failure_status)
ROLE = Kind("None or one of " + ", ".join(map(repr, ROLES)), _role)
ANONYMOUS = Kind("one of " + ", ".join(map(repr, ANONYMOUS_CHOICES)), _anonymous)
TEXT_OR_NONE = Kind("None or a string that is not empty", _text_or_none)
PERMISSION = Kind("None or a permission as 'app_label.codename'", _permission)
HOST = Kind("None or a host name, with its port where it needs one", _host)


class Settings:
    """The settings, one attribute each: ``settings.timeout`` is ``SMOKETEST_TIMEOUT``.

    Reading an attribute raises ``ImproperlyConfigured`` where its value is unusable.
    """

    skip_apps = Setting(
        [],
        STRINGS,
        example='["shop"]',
        description="Apps left out, by module path, AppConfig path or label.",
    )
    probes = Setting(
        [],
        PROBES,
        example='["ops.probes.DiskProbe", ("ops.probes.MailProbe", {"timeout": 3})]',
        description="Ready-made or foreign SmokeTest classes to run as well.",
        secret=True,
    )
    timeout = Setting(
        10,
        SECONDS,
        example="10",
        description="Seconds for one test that names no limit of its own.",
    )
    deadline = Setting(
        25,
        SECONDS,
        example="25",
        description="Seconds for a whole run; below the usual 30 of an application server.",
    )
    parallel = Setting(
        16,
        COUNT,
        example="16",
        description="Tests at the same time; 1 is one after the other.",
    )
    max_connections = Setting(
        4,
        COUNT,
        example="4",
        description="Connections that a run may hold at one time to one database"
        " (SQLite: always 1); they are the run's own, never from the site's pool.",
    )
    lock_timeout = Setting(
        2,
        SECONDS,
        example="2",
        description="Seconds that a test may wait for a database lock.",
    )
    tokens = Setting(
        [],
        STRINGS,
        example='[os.environ["SMOKETEST_TOKEN"]]',
        description="Bearer tokens, each at least 16 characters; several for rotation.",
        secret=True,
    )
    anonymous = Setting(
        "summary",
        ANONYMOUS,
        example='"verdict"',
        description="What a caller without credentials may get.",
    )
    permission = Setting(
        None,
        PERMISSION,
        example='"auth.view_user"',
        description="Permission that a logged-in user needs to see everything;"
        " None asks for an active member of the staff.",
    )
    fail_status = Setting(
        500,
        FAILURE_STATUS,
        example="503",
        description="HTTP status of a run that does not pass.",
    )
    cache_seconds = Setting(
        0,
        SECONDS_OR_ZERO,
        example="5",
        description="Seconds for which a finished report answers the same selection again;"
        " a failing one for at most 1.",
    )
    release = Setting(
        None,
        TEXT_OR_NONE,
        example='"2026.11.2"',
        description="Release to report; else that of the first environment variable"
        " that usually has it.",
    )
    host = Setting(
        None,
        HOST,
        example='"shop.example"',
        description="Host for self.client; else one that ALLOWED_HOSTS admits.",
    )
    renderers = Setting(
        [],
        STRINGS,
        example='["ops.renderers.SlackRenderer"]',
        description="Dotted paths of further renderers.",
    )
    role = Setting(
        None,
        ROLE,
        example='"worker"',
        description="What requests and the command count as, for tests with runs_on; None is"
        " 'web' for a request and every test for the command, and a task is always 'worker'.",
    )
    expected_nodes = Setting(
        [],
        STRINGS,
        example='["celery@worker1", "celery@worker2"]',
        description="Names of the Celery workers that must answer when the workers are asked.",
    )
    history = Setting(
        50,
        COUNT_OR_ZERO,
        example="50",
        description="Recent runs that are remembered of each selection; 0 remembers none.",
    )
    history_cache = Setting(
        "default",
        TEXT,
        example='"default"',
        description="Alias in CACHES of the cache that remembers them.",
    )


settings = Settings()

SETTINGS: tuple[Setting[Any], ...] = tuple(
    value for value in vars(Settings).values() if isinstance(value, Setting)
)
"""Every setting, in the order of the reference."""


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
