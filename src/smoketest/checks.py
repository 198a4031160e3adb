"""The system checks: one for each setting, and one for each hazard that can be known.

No check connects to a database, except that of tables, which runs where Django is told
to look into them (``--database``). :data:`CHECKS` has all of them, for the reference.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http.request import split_domain_port, validate_host
from django.utils.connection import ConnectionDoesNotExist
from django.utils.module_loading import import_string

from smoketest import conf
from smoketest.conf import SETTINGS, Setting, settings
from smoketest.discovery import app_labels, is_named
from smoketest.isolation.mysql import tables_without_transactions
from smoketest.testcases import SmokeTest

DOCUMENTATION = "https://django-smoketest.readthedocs.io/en/stable/reference/checks.html"

SHORTEST_TOKEN = 16
"""Characters."""

POOL_SIZE = 4
"""Connections in a pool of psycopg's when nothing else is said."""

_MOST_TABLES = 5
"""Tables that a message names."""

SUPPORTED_VENDORS = ("postgresql", "mysql", "sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, as the reference describes it."""

    id: str
    level: int
    """``django.core.checks.ERROR`` or ``WARNING``."""
    sentence: str
    """What is wrong; words in braces are filled in."""
    hint: str
    """What to do about it."""

    @property
    def page(self) -> str:
        """Where the reference has it."""
        return f"{DOCUMENTATION}#{self.id.lower().replace('.', '-')}"

    def message(self, **words: object) -> CheckMessage:
        """Return the message about one thing that is wrong, with ``words`` in the braces."""
        sentence, hint = self.sentence.format(**words), self.hint.format(**words)
        return CheckMessage(self.level, sentence, f"{hint} See {self.page}", id=self.id)


def _of_setting(number: int, setting: Setting[Any]) -> Check:
    return Check(
        id=f"smoketest.E{number:03}",
        level=checks.ERROR,
        sentence=f"{setting.name} must be {setting.kind.name}.",
        hint=setting.remedy,
    )


NUMBERS = (*range(1, 16), *range(31, 100))
"""Of the checks of the settings: what lies between belongs to hazards."""

SETTING_CHECKS: dict[str, Check] = {
    setting.name: _of_setting(number, setting)
    for number, setting in zip(NUMBERS, SETTINGS, strict=False)
}
"""smoketest.E001 to smoketest.E015 and those from smoketest.E031 on, in the order of the
settings' reference. A new setting stands last there, so that no id ever changes."""

BAD_PROBE = Check(
    id="smoketest.E016",
    level=checks.ERROR,
    sentence="SMOKETEST_PROBES names {path!r}, which {reason}.",
    hint="Name a class derived from smoketest.SmokeTest by its dotted path.",
)
BAD_RENDERER = Check(
    id="smoketest.E017",
    level=checks.ERROR,
    sentence="SMOKETEST_RENDERERS names something that is no renderer: {reason}",
    hint="Name a class by its dotted path that has format, media_type, charset and render().",
)
SHORT_TOKEN = Check(
    id="smoketest.E018",
    level=checks.ERROR,
    sentence="{number} of the SMOKETEST_TOKENS is shorter than {least} characters, "
    "so it can be guessed.",
    hint='Make one with python -c "import secrets; print(secrets.token_urlsafe(32))".',
)
NO_ROLLBACK = Check(
    id="smoketest.E019",
    level=checks.ERROR,
    sentence="The database {alias!r} cannot roll back ({reason}), so what a smoke test writes "
    "there would stay.",
    hint="Use an engine with transactions, or keep every test away from it with the "
    "attribute 'databases'.",
)
UNKNOWN_CACHE = Check(
    id="smoketest.E020",
    level=checks.ERROR,
    sentence="SMOKETEST_HISTORY_CACHE names {alias!r}, but CACHES has no such alias, so no run "
    "is remembered.{near}",
    hint="Name an alias of CACHES.",
)
UNKNOWN_SETTING = Check(
    id="smoketest.W001",
    level=checks.WARNING,
    sentence="{name} is no setting of django-smoketest, so it has no effect.{near}",
    hint="Correct the name, or remove the setting.",
)
UNKNOWN_APP = Check(
    id="smoketest.W002",
    level=checks.WARNING,
    sentence="SMOKETEST_SKIP_APPS names {name!r}, but no app in INSTALLED_APPS is called "
    "that, so nothing is left out.{near}",
    hint="Name the app by its module path, its label or the path of its AppConfig.",
)
SHORT_DEADLINE = Check(
    id="smoketest.W003",
    level=checks.WARNING,
    sentence="SMOKETEST_DEADLINE ({deadline:g} s) is shorter than SMOKETEST_TIMEOUT "
    "({timeout:g} s), so the run ends before a test that hangs is over.",
    hint="Raise the deadline, or lower the time-out.",
)
OPEN_DETAILS = Check(
    id="smoketest.W004",
    level=checks.WARNING,
    sentence='SMOKETEST_ANONYMOUS is "details" and there are no SMOKETEST_TOKENS, so everybody '
    "who finds the URL reads messages and tracebacks.",
    hint="Add a token, and show strangers a summary.",
)
FOREIGN_HOST = Check(
    id="smoketest.W005",
    level=checks.WARNING,
    sentence="SMOKETEST_HOST is {host!r}, which ALLOWED_HOSTS does not admit, so every request "
    "of self.client is answered by 400.",
    hint="Name a host of ALLOWED_HOSTS, or leave SMOKETEST_HOST out.",
)
MORE_THAN_POOL = Check(
    id="smoketest.W006",
    level=checks.WARNING,
    sentence="A run may hold {connections} connections to the database {alias!r} "
    "(SMOKETEST_MAX_CONNECTIONS), more than the {pool} of the site's own pool, "
    "and they come on top of these.",
    hint="Lower SMOKETEST_MAX_CONNECTIONS, or see that the server admits the sum.",
)
UNSUPPORTED_DATABASE = Check(
    id="smoketest.W007",
    level=checks.WARNING,
    sentence="The database {alias!r} is neither PostgreSQL nor MySQL, MariaDB or SQLite "
    "({vendor}), so only Django itself keeps a smoke test from committing there.",
    hint="Keep tests that use the driver directly away from it.",
)
UNKNOWN_PERMISSION = Check(
    id="smoketest.W008",
    level=checks.WARNING,
    sentence="SMOKETEST_PERMISSION is {permission!r}, but no app in INSTALLED_APPS has the "
    "label {label!r}, so only superusers have it.{near}",
    hint="Write it as 'app_label.codename'.",
)
TABLES_WITHOUT_TRANSACTIONS = Check(
    id="smoketest.W009",
    level=checks.WARNING,
    sentence="Tables of the database {alias!r} are of an engine without transactions ({tables}), "
    "so nothing would undo what is written to them. A smoke test that does is refused, except "
    "where a trigger or a procedure does it.",
    hint="Convert them (ALTER TABLE … ENGINE=InnoDB), or keep tests that write away from them.",
)

CHECKS: tuple[Check, ...] = (
    *SETTING_CHECKS.values(),
    BAD_PROBE,
    BAD_RENDERER,
    SHORT_TOKEN,
    NO_ROLLBACK,
    UNKNOWN_CACHE,
    UNKNOWN_SETTING,
    UNKNOWN_APP,
    SHORT_DEADLINE,
    OPEN_DETAILS,
    FOREIGN_HOST,
    MORE_THAN_POOL,
    UNSUPPORTED_DATABASE,
    UNKNOWN_PERMISSION,
    TABLES_WITHOUT_TRANSACTIONS,
)
"""Every check, in the order of the reference."""


def register() -> None:
    """Have ``manage.py check`` run the checks."""
    checks.register(check_settings)
    checks.register(check_together)
    checks.register(check_databases)
    checks.register(check_tables, checks.Tags.database)


def check_settings(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look at each setting by itself."""
    return [*_unusable(), *_unknown_settings()]


def check_together(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look at what the settings name, and whether they fit together."""
    unusable = {message.id for message in _unusable()}
    return [
        message
        for names, find in _TOGETHER
        if not any(SETTING_CHECKS[name].id in unusable for name in names)
        for message in find()
    ]


def check_databases(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look at the databases, without a connection."""
    found: list[CheckMessage] = []
    for wrapper in _wrappers():
        found += _without_rollback(wrapper)
        found += _smaller_pool(wrapper)
    return found


def check_tables(
    *,
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Ask those of the ``databases`` that may have tables without transactions for them.

    Django calls it with what ``manage.py check --database`` and ``migrate`` name.
    """
    found: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor == "mysql":
            found += _without_transactions(alias)
    return found


def _without_transactions(alias: str) -> Iterator[CheckMessage]:
    with connections[alias].cursor() as cursor:
        tables = tables_without_transactions(cursor)
    if tables:
        shown = [f"{name}: {engine}" for name, engine in sorted(tables.items())[:_MOST_TABLES]]
        if len(tables) > _MOST_TABLES:
            shown.append(f"and {len(tables) - _MOST_TABLES} more")
        yield TABLES_WITHOUT_TRANSACTIONS.message(alias=alias, tables=", ".join(shown))


def _unusable() -> Iterator[CheckMessage]:
    for setting in SETTINGS:
        try:
            setting.read()
        except ImproperlyConfigured as error:
            check = SETTING_CHECKS[setting.name]
            sentence = str(error).removesuffix(setting.remedy).strip()
            yield CheckMessage(check.level, sentence, f"{check.hint} See {check.page}", id=check.id)


def _unknown_settings() -> Iterator[CheckMessage]:
    known = [setting.name for setting in SETTINGS]
    for name in dir(django_settings):
        if name.startswith("SMOKETEST_") and name not in known:
            yield UNKNOWN_SETTING.message(name=name, near=_near(name, known))


def _near(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _bad_probes() -> Iterator[CheckMessage]:
    for probe in settings.probes:
        path = probe if isinstance(probe, str) else probe[0]
        reason = _why_no_probe(path)
        if reason:
            yield BAD_PROBE.message(path=path, reason=reason)


def _why_no_probe(path: str) -> str:
    try:
        found = import_string(path)
    except Exception as error:  # noqa: BLE001 - a foreign module may raise anything
        return f"cannot be imported: {type(error).__name__}: {error}".rstrip(".")
    if isinstance(found, type) and issubclass(found, SmokeTest):
        return ""
    return "is no class derived from smoketest.SmokeTest"


def _bad_renderers() -> Iterator[CheckMessage]:
    try:
        conf.renderers()
    except ImproperlyConfigured as error:
        yield BAD_RENDERER.message(reason=error)


def _short_tokens() -> Iterator[CheckMessage]:
    short = [token for token in settings.tokens if len(token) < SHORTEST_TOKEN]
    if short:
        yield SHORT_TOKEN.message(number=len(short), least=SHORTEST_TOKEN)


def _unknown_apps() -> Iterator[CheckMessage]:
    for name in settings.skip_apps:
        if not any(is_named(config, name) for config in apps.get_app_configs()):
            yield UNKNOWN_APP.message(name=name, near=_near(name, app_labels()))


def _short_deadline() -> Iterator[CheckMessage]:
    if settings.deadline < settings.timeout:
        yield SHORT_DEADLINE.message(deadline=settings.deadline, timeout=settings.timeout)


def _open_details() -> Iterator[CheckMessage]:
    if settings.anonymous == "details" and not settings.tokens and not django_settings.DEBUG:
        yield OPEN_DETAILS.message()


def _foreign_host() -> Iterator[CheckMessage]:
    host = settings.host
    allowed = list(django_settings.ALLOWED_HOSTS)
    if django_settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]  # as HttpRequest.get_host has it
    if host is not None and not validate_host(split_domain_port(host)[0], allowed):
        yield FOREIGN_HOST.message(host=host)


def _unknown_permission() -> Iterator[CheckMessage]:
    permission = settings.permission or ""
    label = permission.partition(".")[0]
    labels = [config.label for config in apps.get_app_configs()]
    if permission and label not in labels:
        near = _near(label, labels)
        yield UNKNOWN_PERMISSION.message(permission=permission, label=label, near=near)


def _unknown_cache() -> Iterator[CheckMessage]:
    alias = settings.history_cache
    if settings.history and alias not in django_settings.CACHES:
        yield UNKNOWN_CACHE.message(alias=alias, near=_near(alias, list(django_settings.CACHES)))


def _wrappers() -> Iterator[BaseDatabaseWrapper]:
    """Yield the database wrappers that can be made; Django's own checks tell of others."""
    for alias in connections:
        try:
            yield connections[alias]
        except (ConnectionDoesNotExist, ImproperlyConfigured):
            continue


def _without_rollback(wrapper: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    reason = _why_no_rollback(wrapper)
    if wrapper.settings_dict["ENGINE"] == "django.db.backends.dummy":
        return  # a site without a database: there is nothing to roll back
    if reason:
        yield NO_ROLLBACK.message(alias=wrapper.alias, reason=reason)
    elif wrapper.vendor not in SUPPORTED_VENDORS:
        yield UNSUPPORTED_DATABASE.message(alias=wrapper.alias, vendor=wrapper.vendor)


def _why_no_rollback(wrapper: BaseDatabaseWrapper) -> str:
    """Return why, as far as it can be known: most backends would have to ask the server."""
    if inspect.getattr_static(wrapper.features, "supports_transactions") is False:
        return f"its engine is {wrapper.settings_dict['ENGINE']}"
    options = wrapper.settings_dict.get("OPTIONS") or {}
    if wrapper.vendor == "mysql" and "myisam" in str(options.get("init_command", "")).lower():
        return "its init_command asks for MyISAM"
    return ""


def _smaller_pool(wrapper: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    pool = (wrapper.settings_dict.get("OPTIONS") or {}).get("pool")
    try:
        wanted = settings.max_connections
    except ImproperlyConfigured:
        return
    size = pool.get("max_size") if isinstance(pool, Mapping) else None
    if pool and wanted > (size or POOL_SIZE):
        yield MORE_THAN_POOL.message(
            alias=wrapper.alias, connections=wanted, pool=size or POOL_SIZE
        )


_TOGETHER = (
    (("SMOKETEST_PROBES",), _bad_probes),
    (("SMOKETEST_RENDERERS",), _bad_renderers),
    (("SMOKETEST_TOKENS",), _short_tokens),
    (("SMOKETEST_SKIP_APPS",), _unknown_apps),
    (("SMOKETEST_DEADLINE", "SMOKETEST_TIMEOUT"), _short_deadline),
    (("SMOKETEST_ANONYMOUS", "SMOKETEST_TOKENS"), _open_details),
    (("SMOKETEST_HOST",), _foreign_host),
    (("SMOKETEST_PERMISSION",), _unknown_permission),
    (("SMOKETEST_HISTORY", "SMOKETEST_HISTORY_CACHE"), _unknown_cache),
)
"""The settings that a look needs, and the look; it is left out while one is unusable."""
