"""The table of the settings: the system checks and the reference are made from it."""

from __future__ import annotations

from typing import Any

from .kinds import (
    ANONYMOUS,
    COUNT,
    COUNT_OR_ZERO,
    FAILURE_STATUS,
    HOST,
    PERMISSION,
    PROBES,
    ROLE,
    SECONDS,
    SECONDS_OR_ZERO,
    STRINGS,
    TEXT,
    TEXT_OR_NONE,
)
from .setting import Setting


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
        example='["smoketest.probes.Databases", ("smoketest.probes.Disk", {"path": "/srv"})]',
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
