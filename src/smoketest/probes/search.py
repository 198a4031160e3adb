"""Elasticsearch or OpenSearch is well."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from .http import get
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
        name = f"The search cluster at {where}"
        password = urlsplit(url).password
        secrets = [password, password and unquote(password)]
        answer = get(self, name, f"{url.rstrip('/')}/_cluster/health", secrets=secrets)
        if answer.status != 200:
            self.fail(
                f"{name} answered {answer.status} when asked for its health. The user may not ask,"
                " or there is no cluster. Look at user and password."
            )
        with self.explained(f"{name} does not tell its health", "Look what is there.", ValueError):
            health: dict[str, Any] = dict(json.loads(answer.text))
            return health
