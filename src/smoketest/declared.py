"""The databases that a test declares: what may be used, and what is no such declaration."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from django.db import connections
from django.test import SimpleTestCase

from smoketest import isolation
from smoketest.marks import is_collection_of_words
from smoketest.spelling import did_you_mean


def usable(databases: Any) -> Collection[str] | Literal["__all__"]:
    """Return what a test may use; nothing, where :func:`check` finds an error in it."""
    if databases == "__all__" or is_collection_of_words(databases):
        return databases  # type: ignore[no-any-return]
    return ()


def mark(cls: type[SimpleTestCase]) -> None:
    """Make aliases of the ``databases`` of ``cls``, as other runners need them, of ``alias:ro``."""
    databases: Any = cls.databases
    if is_collection_of_words(databases) and any(name.endswith(":ro") for name in databases):
        cls.databases = isolation.marked(databases)  # type: ignore[assignment]


def check(test: SimpleTestCase) -> None:
    """Raise ``TypeError`` or ``ValueError`` where ``test`` names no databases that there are."""
    databases: Any = test.databases
    if databases == "__all__":
        return
    if not is_collection_of_words(databases):
        example = repr({databases}) if isinstance(databases, str) else '{"default"}'
        raise TypeError(
            f"{test.id()} has databases = {databases!r}, which is no set of aliases. A test "
            "declares what it may use by the names that DATABASES has. "
            f'Write databases = {example}, or "__all__" for every one.'
        )
    known, _ = isolation.aliases(databases)
    if unknown := sorted(known - set(connections)):
        raise ValueError(
            f"{test.id()} names {unknown[0]!r} in its `databases`, and settings.DATABASES has no "
            f"such alias. It has {', '.join(map(repr, connections))}."
            f"{did_you_mean(unknown[0], connections)}"
        )
