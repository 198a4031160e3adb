"""Looks at the settings: at each by itself, at what it names, and at how they fit together."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from smoketest import conf
from smoketest.conf import SETTINGS, settings
from smoketest.discovery import app_labels, is_named
from smoketest.spelling import did_you_mean
from smoketest.testcases import SmokeTest

from .messages import (
    BAD_PROBE,
    BAD_RENDERER,
    FOREIGN_HOST,
    OPEN_DETAILS,
    PADDED_TOKEN,
    SETTING_CHECKS,
    SHORT_DEADLINE,
    SHORT_TOKEN,
    UNKNOWN_APP,
    UNKNOWN_CACHE,
    UNKNOWN_PERMISSION,
    UNKNOWN_SETTING,
)

SHORTEST_TOKEN = 16
"""Characters."""


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
            yield UNKNOWN_SETTING.message(name=name, near=did_you_mean(name, known))


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


def _padded_tokens() -> Iterator[CheckMessage]:
    # Of ASCII only: for what is beyond it, HTTP sends bytes, and strips none of them.
    padded = [token for token in settings.tokens if token != token.strip(string.whitespace)]
    if padded:
        yield PADDED_TOKEN.message(number=len(padded))


def _unknown_apps() -> Iterator[CheckMessage]:
    for name in settings.skip_apps:
        if not any(is_named(config, name) for config in apps.get_app_configs()):
            yield UNKNOWN_APP.message(name=name, near=did_you_mean(name, app_labels()))


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
        near = did_you_mean(label, labels)
        yield UNKNOWN_PERMISSION.message(permission=permission, label=label, near=near)


def _unknown_cache() -> Iterator[CheckMessage]:
    alias = settings.history_cache
    if settings.history and alias not in django_settings.CACHES:
        yield UNKNOWN_CACHE.message(alias=alias, near=did_you_mean(alias, django_settings.CACHES))


_TOGETHER = (
    (("SMOKETEST_PROBES",), _bad_probes),
    (("SMOKETEST_RENDERERS",), _bad_renderers),
    (("SMOKETEST_TOKENS",), _short_tokens),
    (("SMOKETEST_TOKENS",), _padded_tokens),
    (("SMOKETEST_SKIP_APPS",), _unknown_apps),
    (("SMOKETEST_DEADLINE", "SMOKETEST_TIMEOUT"), _short_deadline),
    (("SMOKETEST_ANONYMOUS", "SMOKETEST_TOKENS"), _open_details),
    (("SMOKETEST_HOST",), _foreign_host),
    (("SMOKETEST_PERMISSION",), _unknown_permission),
    (("SMOKETEST_HISTORY", "SMOKETEST_HISTORY_CACHE"), _unknown_cache),
)
"""The settings that a look needs, and the look; it is left out while one is unusable."""
