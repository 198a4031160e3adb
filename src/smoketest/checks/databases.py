"""Looks at the databases: whether they can roll back, and have connections enough."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from smoketest.conf import settings
from smoketest.isolation.engines import tables_without_transactions

from .messages import MORE_THAN_POOL, NO_ROLLBACK, TABLES_WITHOUT_TRANSACTIONS, UNSUPPORTED_DATABASE

POOL_SIZE = 4
"""Connections in a pool of psycopg's when nothing else is said."""

_MOST_TABLES = 5
"""Tables that a message names."""

SUPPORTED_VENDORS = ("postgresql", "mysql", "sqlite")


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


def _without_transactions(alias: str) -> Iterator[CheckMessage]:
    with connections[alias].cursor() as cursor:
        tables = tables_without_transactions(cursor)
    if tables:
        shown = [f"{name}: {engine}" for name, engine in sorted(tables.items())[:_MOST_TABLES]]
        if len(tables) > _MOST_TABLES:
            shown.append(f"and {len(tables) - _MOST_TABLES} more")
        yield TABLES_WITHOUT_TRANSACTIONS.message(alias=alias, tables=", ".join(shown))
