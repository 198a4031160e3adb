"""Where the answer of a worker waits until whoever asked takes it.

It is put there by the task itself, which has no result in Celery's own sense. So
nothing is stored for a message that expires or that is taken too late, and a caller
opens no subscription for a result.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from smoketest.exceptions import SmokeTestError

Letter = dict[str, Any]
"""``{"report": …}`` or ``{"problem": …}``, JSON-ready."""

CACHE = "default"
"""The alias of the cache that carries letters where Celery has no result backend."""

NOT_SHARED = ("LocMemCache", "DummyCache")
"""Django's caches that another process does not see."""

NOT_KEPT = ("DisabledBackend", "RPCBackend")
"""Celery's result backends that keep nothing, or keep it in a queue of the process that
sent the message, where others of its results may be."""


class Unreachable(SmokeTestError):
    """Letters can be neither put nor taken; the message has the cause."""


class Letterbox(Protocol):
    """Letters, each by the id of the message that it answers."""

    name: str
    """What :func:`named` makes it from again, in another process."""

    def put(self, id: str, letter: Letter) -> None:
        """Leave ``letter``."""

    def collect(self, ids: Iterable[str]) -> dict[str, Letter]:
        """Return those letters that are there."""

    def forget(self, ids: Iterable[str]) -> None:
        """Take all of them out, whether they are there or not."""


def choose(app: Any) -> Letterbox:
    """Return the letterbox for an application; raise ``ImproperlyConfigured`` without any."""
    if type(app.backend).__name__ not in NOT_KEPT:
        return ResultBackend(app)
    kind = type(caches[CACHE]).__name__
    if kind in NOT_SHARED:
        raise ImproperlyConfigured(
            f"The workers' reports have no way back: Celery has no result backend that keeps"
            f" results, and the cache {CACHE!r} is a {kind}, which other processes do not see."
            ' Set result_backend to Redis or a database, or let CACHES["default"] be one'
            " that the workers share, such as RedisCache."
        )
    return SharedCache()


def named(name: str, app: Any) -> Letterbox:
    """Return the letterbox of that name, as whoever asked has chosen it."""
    return SharedCache() if name == SharedCache.name else ResultBackend(app)


class ResultBackend:
    """Celery's result backend."""

    name = "backend"

    def __init__(self, app: Any) -> None:
        self._backend = app.backend

    def put(self, id: str, letter: Letter) -> None:
        """Leave ``letter``; unless it is taken, for as long as ``result_expires`` says."""
        self._backend.store_result(id, letter, "SUCCESS")

    def collect(self, ids: Iterable[str]) -> dict[str, Letter]:
        """Return those letters that are there."""
        with _explained("Celery's result backend"):
            return {id: _opened(meta) for id, meta in self._stored(ids)}

    def _stored(self, ids: Iterable[str]) -> Iterator[tuple[str, Letter]]:
        for id in ids:
            meta = self._backend.get_task_meta(id, cache=False)
            if meta["status"] in FINAL:
                yield id, meta

    def forget(self, ids: Iterable[str]) -> None:
        """Take all of them out."""
        with _explained("Celery's result backend"):
            # Files and django-db raise where there is nothing to take out.
            for id, _ in self._stored(ids):
                self._backend.forget(id)


FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


def _opened(meta: Letter) -> Letter:
    """Return the letter in a result; what Celery itself has put there is a problem."""
    result = meta["result"]
    if meta["status"] == "SUCCESS" and isinstance(result, dict):
        return result
    return {"failure": type(result).__name__, "problem": f"{type(result).__name__}: {result}"}


class SharedCache:
    """A cache of Django's that the workers share."""

    name = "cache"
    seconds = 60
    """For how long a letter is kept that nobody takes."""

    def put(self, id: str, letter: Letter) -> None:
        """Leave ``letter``."""
        # memcached takes no more than 1 MB, and a report is mostly repetition.
        packed = zlib.compress(json.dumps(letter).encode())
        caches[CACHE].set(self._key(id), packed, self.seconds)

    def collect(self, ids: Iterable[str]) -> dict[str, Letter]:
        """Return those letters that are there."""
        keys = {self._key(id): id for id in ids}
        with _explained(f"The cache {CACHE!r}"):
            found = caches[CACHE].get_many(list(keys))
        return {keys[key]: json.loads(zlib.decompress(packed)) for key, packed in found.items()}

    def forget(self, ids: Iterable[str]) -> None:
        """Take all of them out."""
        with _explained(f"The cache {CACHE!r}"):
            caches[CACHE].delete_many([self._key(id) for id in ids])

    def _key(self, id: str) -> str:
        return f"smoketest.workers.{id}"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Unreachable(
            f"{what}, by which the workers' reports come back, does not answer:"
            f" {type(error).__name__}: {error}. Start it, or correct its address."
        ) from error
