"""What the caller of a run has: the connections of this thread, before any is guarded."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .lending import Lender


def usable_connections() -> list[BaseDatabaseWrapper]:
    """This thread's connections, without those whose configuration is beyond use."""
    wrappers = []
    for alias in connections:
        try:
            wrappers.append(connections[alias])
        except ImproperlyConfigured:
            continue  # the test that uses it gets this error; the others need not
    return wrappers


def let_go() -> None:
    """Close this thread's connections, without those in a transaction of the caller's.

    What is wanted of one later opens it again.
    """
    for wrapper in usable_connections():
        # Where the caller commits by hand there may be something that is not committed.
        if wrapper.autocommit and not wrapper.in_atomic_block:
            wrapper.close()


def new_lender(most: int) -> Lender:
    """Return the connections of a run: at most ``most`` to a database, and one to SQLite."""
    wrappers = usable_connections()
    single = [wrapper.alias for wrapper in wrappers if wrapper.vendor == "sqlite"]
    return Lender(most, single, [wrapper.alias for wrapper in wrappers])


def must_run_inline() -> bool:
    """Whether tests can only see this thread's data on this very thread.

    That is so inside the caller's transaction (a project's own ``TestCase``),
    whose rows no other connection can see, and with SQLite in memory, where
    another connection may be another, empty database.
    """
    return any(
        wrapper.in_atomic_block or (wrapper.vendor == "sqlite" and wrapper.is_in_memory_db())  # type: ignore[attr-defined]
        for wrapper in usable_connections()
    )
