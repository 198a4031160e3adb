"""Fixtures: the servers that the probes ask, started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smoketest.probes import Probe
from tests import servers
from tests.conftest import reachable


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Server]:
    """A Redis server that asks for a password."""
    with reachable(servers.redis()) as server:
        yield server


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[servers.Server]:
    """A memcached."""
    with reachable(servers.memcached()) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[servers.Server]:
    """A RabbitMQ server."""
    with reachable(servers.rabbitmq()) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes wait a moment for an answer, far below the limit of their test.

    A low limit would be both, and what is left of it is not enough on a busy machine.
    """
    monkeypatch.setattr(Probe, "patience", 0.2)


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    return servers.free_port()
