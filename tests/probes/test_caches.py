"""Caches: those that keep what they are given, and those that do not."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from tests.probes.running import outcomes
from tests.servers import Server

BACKENDS = "django.core.cache.backends"


class Forged(LocMemCache):
    """Gives back something else."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return "forged" if super().get(*args, **kwargs) else None


class Sticky(LocMemCache):
    """Deletes nothing."""

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return False


def probed(backend: str, location: str = "") -> str:
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": location}}):
        return outcomes("Caches")["test_cache_default"]


def test_memory_passes_and_keeps_no_key() -> None:
    backend = f"{BACKENDS}.locmem.LocMemCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": "probed"}}):
        assert outcomes("Caches") == {"test_cache_default": "passed"}
        assert not caches["default"]._cache  # type: ignore[attr-defined]


def test_redis_passes_and_keeps_no_key(redis_server: Server) -> None:
    import redis

    url = redis_server.url("redis")
    assert probed(f"{BACKENDS}.redis.RedisCache", url) == "passed"
    with redis.Redis.from_url(url) as client:
        assert client.keys("*smoketest-*") == []


def test_memcached_passes(memcached_server: Server) -> None:
    location = f"{memcached_server.host}:{memcached_server.port}"
    assert probed(f"{BACKENDS}.memcached.PyMemcacheCache", location) == "passed"


def test_memcached_that_is_down_fails(closed_port: int) -> None:
    outcome = probed(f"{BACKENDS}.memcached.PyMemcacheCache", f"127.0.0.1:{closed_port}")
    assert outcome.startswith("failed: Cache 'default' ")


def test_redis_that_is_down_fails_without_its_password(closed_port: int) -> None:
    url = f"redis://user:hunter2hunter2@127.0.0.1:{closed_port}/"
    outcome = probed(f"{BACKENDS}.redis.RedisCache", url)
    assert outcome.startswith("failed: Cache 'default' does not answer: ConnectionError: ")
    assert "hunter2" not in outcome


def test_redis_with_another_password_fails_without_it(redis_server: Server) -> None:
    url = f"redis://:{quote('hunter2 hunter2')}@127.0.0.1:{redis_server.port}/"
    outcome = probed(f"{BACKENDS}.redis.RedisCache", url)
    assert outcome.startswith("failed: Cache 'default' does not answer: AuthenticationError: ")
    assert "hunter2" not in outcome


def test_cache_that_stores_nothing_fails() -> None:
    outcome = probed(f"{BACKENDS}.dummy.DummyCache")
    assert outcome.startswith("failed: Cache 'default' stores nothing")


def test_cache_that_gives_back_another_value_fails() -> None:
    outcome = probed(f"{__name__}.Forged")
    assert outcome.startswith("failed: Cache 'default' gave back another value")


def test_cache_that_does_not_delete_fails() -> None:
    outcome = probed(f"{__name__}.Sticky")
    assert outcome.startswith("failed: Cache 'default' still has a key that was deleted")
