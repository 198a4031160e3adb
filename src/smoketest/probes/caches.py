"""The caches keep what they are given."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal
from uuid import uuid4

from django.conf import settings
from django.core.cache import caches

from .subjects import Probe, chosen

_SECONDS = 30
"""After which the key goes by itself, should the process die between set and delete."""


class Caches(Probe):
    """Each cache stores a value, gives the same back, and deletes it.

    The key is unique, ``smoketest-`` and 32 digits. It is deleted; only where the cache
    stops answering in between does it stay, for 30 seconds.
    """

    _leaves = "nothing; a key `smoketest-…` for 30 seconds where the cache fails in between"
    aliases: Collection[str] | Literal["__all__"] = "__all__"
    """Aliases of ``CACHES`` to look at."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The aliases."""
        return chosen(cls.aliases, settings.CACHES, "CACHES")

    def check_cache(self, alias: str) -> None:
        """A value is stored, read back, compared and deleted."""
        key, value = f"smoketest-{uuid4().hex}", uuid4().hex
        with self.explained(
            f"Cache {alias!r} does not answer", f"Start its server, or correct CACHES[{alias!r}]."
        ):
            cache = caches[alias]
            # What the end of a request does: this thread has a connection of its own.
            self.addCleanup(cache.close)
            cache.set(key, value, timeout=_SECONDS)
            try:
                kept = cache.get(key)
            finally:
                cache.delete(key)
            left = cache.get(key)
        self._compare(alias, value, kept, left)

    def _compare(self, alias: str, value: str, kept: object, left: object) -> None:
        if kept is None:
            self.fail(
                f"Cache {alias!r} stores nothing: a key was missing right after it was set. The"
                " backend is a dummy, its server is down or full. Look at the backend and LOCATION"
                f" of CACHES[{alias!r}]."
            )
        if kept != value:
            self.fail(
                f"Cache {alias!r} gave back another value than the one stored. Two sites may share"
                f" it, or its serializer is broken. Give CACHES[{alias!r}] a KEY_PREFIX of its own."
            )
        if left is not None:
            self.fail(
                f"Cache {alias!r} still has a key that was deleted. Its replicas may lag behind."
                " Let reads and writes go to the same server."
            )
