"""Redis answers, and lets us in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import unquote, urlsplit

from .sources import value_from
from .subjects import Probe, listed


class Redis(Probe):
    """Each Redis or Valkey server accepts the connection, the password, and a ``PING``."""

    abstract = True
    _extra = "redis"
    urls: Collection[str] = ()
    """``redis://user:password@host:6379/0``, ``rediss://…`` or ``unix://…``; or where that is
    kept: ``"setting:REDIS_URL"``, ``"variable:REDIS_URL"``, ``"file:PATH"``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The servers."""
        return listed(cls.urls, "urls")

    def check_redis(self, source: str) -> None:
        """The server answers a PING."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise self.missing("redis") from error
        url = value_from(source)
        with self.explained(
            f"Redis at {_where(url)} does not answer",
            "Start the server, or correct host, port, user and password.",
            (redis.RedisError, OSError, ValueError),
            _secrets(url),
        ):
            client = redis.Redis.from_url(
                url,
                socket_timeout=self.patience,
                socket_connect_timeout=self.patience,
                retry=Retry(NoBackoff(), 0),
            )
            with client:
                client.ping()


def _where(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def _secrets(url: str) -> list[str | None]:
    password = urlsplit(url).password
    return [password, password and unquote(password)]
