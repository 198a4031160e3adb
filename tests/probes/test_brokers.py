"""Redis, RabbitMQ and search clusters: up, down, and with the wrong password."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator

import pytest
from django.test import override_settings

from tests.probes.running import outcomes
from tests.probes.web import Web, served
from tests.servers import Server


def probed(probe: str, url: str, **attributes: object) -> str:
    [outcome] = outcomes(probe, urls=[url], **attributes).values()
    return outcome


def test_redis_that_lets_us_in_passes(redis_server: Server) -> None:
    with override_settings(REDIS_URL=redis_server.url("redis")):
        got = outcomes("Redis", urls=["setting:REDIS_URL"])
    assert got == {"test_redis_setting_REDIS_URL": "passed"}


def test_redis_with_another_password_fails_and_does_not_show_it(redis_server: Server) -> None:
    outcome = probed("Redis", f"redis://:hunter%322@127.0.0.1:{redis_server.port}/0")
    assert outcome.startswith(
        f"failed: Redis at 127.0.0.1:{redis_server.port} does not answer: AuthenticationError: "
    )
    assert "hunter" not in outcome


def test_redis_that_is_down_fails(closed_port: int) -> None:
    outcome = probed("Redis", f"redis://:hunter2@127.0.0.1:{closed_port}/0")
    assert "does not answer: ConnectionError" in outcome
    assert "hunter2" not in outcome


@pytest.mark.usefixtures("impatient")
def test_redis_that_says_nothing_fails_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/"
        assert "does not answer: TimeoutError" in probed("Redis", url)


def test_url_that_is_none_fails_and_is_not_shown() -> None:
    outcome = probed("Redis", "http://:hunter2@127.0.0.1/")
    assert "Redis at 127.0.0.1 does not answer: ValueError: " in outcome
    assert "hunter2" not in outcome


@pytest.mark.slow
def test_rabbitmq_that_lets_us_in_passes(rabbitmq_server: Server) -> None:
    assert probed("RabbitMQ", rabbitmq_server.url("amqp")) == "passed"


@pytest.mark.slow
def test_rabbitmq_with_another_password_fails_and_does_not_show_it(rabbitmq_server: Server) -> None:
    outcome = probed("RabbitMQ", f"amqp://guest:hunter2@127.0.0.1:{rabbitmq_server.port}/")
    assert "does not let us in: ProbableAuthenticationError: " in outcome
    assert "hunter2" not in outcome


@pytest.mark.slow
def test_rabbitmq_without_the_virtual_host_fails(rabbitmq_server: Server) -> None:
    outcome = probed("RabbitMQ", f"{rabbitmq_server.url('amqp')}nosuch")
    assert "does not let us in: " in outcome


def test_rabbitmq_that_is_down_fails(closed_port: int) -> None:
    outcome = probed("RabbitMQ", f"amqp://guest:hunter2@127.0.0.1:{closed_port}/")
    assert "does not let us in: AMQPConnectionError" in outcome
    assert "hunter2" not in outcome


@pytest.mark.usefixtures("impatient")
def test_rabbitmq_that_says_nothing_fails_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}/"
        assert "does not let us in: " in probed("RabbitMQ", url)


@pytest.fixture
def cluster() -> Iterator[Web]:
    """Answers as a cluster does whose replicas have no place to be."""
    with served() as web:
        health = {"cluster_name": "docs", "status": "yellow", "unassigned_shards": 5}
        web.answers["/_cluster/health"] = 200, {}, json.dumps(health).encode()
        yield web


def test_cluster_that_is_well_enough_passes(cluster: Web) -> None:
    assert probed("Search", cluster.url()) == "passed"


def test_cluster_that_is_less_than_asked_for_fails(cluster: Web) -> None:
    outcome = probed("Search", cluster.url(), min_status="green")
    assert "is 'yellow', with 5 shards unassigned. The probe asks for 'green'." in outcome


def test_cluster_that_is_no_cluster_fails(cluster: Web) -> None:
    cluster.answers["/_cluster/health"] = 200, {}, b"<html>"
    assert "does not tell its health: JSONDecodeError" in probed("Search", cluster.url())


def test_cluster_that_is_down_fails_without_its_password(closed_port: int) -> None:
    outcome = probed("Search", f"http://bob:hunter2@127.0.0.1:{closed_port}")
    assert "does not answer: ConnectError" in outcome
    assert "hunter2" not in outcome


def test_cluster_that_refuses_us_fails_without_its_password(cluster: Web) -> None:
    cluster.answers["/_cluster/health"] = 401, {}, b"{}"
    outcome = probed("Search", cluster.url().replace("//", "//bob:hunter2@"))
    assert "answered 401 when asked for its health" in outcome
    assert "hunter2" not in outcome


@pytest.mark.parametrize(
    ("probe", "library", "extra"),
    [("Redis", "redis", "redis"), ("RabbitMQ", "pika", "rabbitmq"), ("Search", "httpx", "search")],
)
def test_missing_library_names_the_extra(
    probe: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    outcome = probed(probe, "x://127.0.0.1/")
    assert outcome.endswith(f'Run: pip install "django-smoketest[{extra}]"')
