"""Elasticsearch or OpenSearch is well."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from .sources import value_from
from .subjects import Probe, listed

_LEVELS = ("red", "yellow", "green")


class Search(Probe):
    """Each cluster of Elasticsearch or OpenSearch says by HTTP that it is well."""

    abstract = True
    _extra = "search"
    urls: Collection[str] = ()
    """``https://user:password@host:9200``; or where that is kept: ``"setting:SEARCH_URL"``,
    ``"variable:SEARCH_URL"``, ``"file:PATH"``."""
    min_status: str = "yellow"
    """The least that passes: ``"yellow"`` (all is there, not all is replicated) or ``"green"``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The clusters."""
        return listed(cls.urls, "urls")

    def check_cluster(self, source: str) -> None:
        """The cluster is well."""
        url = value_from(source)
        where = urlsplit(url).netloc.rpartition("@")[2]
        health = self._health(url, where)
        status = health.get("status")
        if status not in _LEVELS or _LEVELS.index(status) < _LEVELS.index(self.min_status):
            self.fail(
                f"The search cluster at {where} is {status!r}, with"
                f" {health.get('unassigned_shards')} shards unassigned. The probe asks for"
                f" {self.min_status!r}. Look for nodes that are away or disks that are full."
            )

    def _health(self, url: str, where: str) -> dict[str, Any]:
        try:
            import httpx
        except ImportError as error:
            raise self.missing("httpx") from error
        password = urlsplit(url).password
        with self.explained(
            f"The search cluster at {where} does not tell its health",
            "Look whether it is up, and at user and password.",
            (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError),
            [password, password and unquote(password)],
        ):
            answer = httpx.get(f"{url.rstrip('/')}/_cluster/health", timeout=self.patience)
            answer.raise_for_status()
            health: dict[str, Any] = dict(answer.json())
            return health
