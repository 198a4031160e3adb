"""Which guard fits a backend: a vendor's own, or the general one."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from django.db.backends.base.base import BaseDatabaseWrapper

from .adoption import Owner
from .guard import GuardedConnection

# Imported where used: a project has the driver of its own vendor only.
_GUARDS = {
    "mysql": ("mysql", "MySQLGuard"),
    "postgresql": ("postgresql", "PostgreSQLGuard"),
    "sqlite": ("sqlite", "SQLiteGuard"),
}


def adopt(wrapper: BaseDatabaseWrapper, owner: Owner) -> GuardedConnection:
    """Guard ``wrapper`` for ``owner``, without any traffic, and return it."""
    original = type(wrapper)
    wrapper.__class__ = _guarded_class(original)  # type: ignore[arg-type]
    guarded = cast(GuardedConnection, wrapper)
    guarded.come_under(owner, original)
    return guarded


@cache
def _guarded_class(original: type[BaseDatabaseWrapper]) -> type[GuardedConnection]:
    """Return the guarded subclass of a backend's ``DatabaseWrapper``."""
    bases = (_guard_of(original.vendor), original)
    return type(f"Guarded{original.__name__}", bases, {})


def _guard_of(vendor: str) -> type[GuardedConnection]:
    module, name = _GUARDS.get(vendor, ("unknown", "UnknownGuard"))
    guard: type[GuardedConnection] = getattr(import_module(f"{__package__}.{module}"), name)
    return guard
