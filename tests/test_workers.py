"""The smoke tests on Celery's workers: every verdict, every message, and nothing left."""

from __future__ import annotations

import importlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis
from celery import Celery  # type: ignore[import-untyped]
from celery import _state as celery_state  # what is current, to put it back
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from smoketest import conf, runner, workers
from smoketest.exceptions import InvalidSelection
from smoketest.fleet import ANSWER, Expectation
from smoketest.results import Report
from smoketest.selection import Selection
from tests import servers
from tests.conftest import MakeApp, reachable
from tests.servers import Server
from tests.workers import CeleryProject

EVERYTHING = Selection()
BOILS = "shop.smoke.KettleTest.test_boils"
WHISTLES = "shop.smoke.KettleTest.test_whistles"
PATIENCE = 10.0
"""Seconds that a busy machine may need beyond a limit; without the limit it takes for ever."""


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with reachable(servers.redis()) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq_server() -> Iterator[Server]:
    with reachable(servers.rabbitmq()) as server:
        yield server


@dataclass
class Site:
    """A project whose workers can be started, and this process as the one that asks."""

    project: CeleryProject
    app: Celery
    contents: Callable[[], Any]
    """Everything in the broker, the result backend and the cache."""

    def ask(self, deadline: float = 15.0, **expectation: Any) -> Report:
        return workers.ask(EVERYTHING, conf.options(deadline=deadline), Expectation(**expectation))

    @contextmanager
    def started(self, **nodes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Workers called ``NAME@kettle``, with arguments of ``CeleryProject.worker``."""
        with ExitStack() as stack:
            started = {
                name: stack.enter_context(self.project.worker(f"{name}@kettle", **arguments))
                for name, arguments in nodes.items()
            }
            for worker in started.values():
                worker.wait_for(" ready.")
            yield started


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_server")  # type: ignore[no-any-return]


@pytest.fixture(params=["backend", "cache"])
def way_back(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["direct", "lent"])
def route(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(
    broker: Server, way_back: str, route: str, redis_server: Server, tmp_path: Path
) -> Iterator[Site]:
    with made(broker, redis_server, tmp_path, way_back, route) as site:
        yield site


@contextmanager
def made(
    broker: Server, store: Server, folder: Path, way_back: str = "cache", route: str = "lent"
) -> Iterator[Site]:
    """A site with that broker; its results and its cache are in Redis."""
    kind = "redis" if broker == store else "amqp"
    values = {
        "broker_url": broker.url(kind),
        "worker_direct": route == "direct",
        "task_routes": {"smoketest.*": {"exchange": "elsewhere", "routing_key": "elsewhere"}},
        "result_backend": store.url("redis") + "1" if way_back == "backend" else None,
    }
    cache = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": store.url("redis") + "2",
    }
    lines = [f"CELERY_{name.upper()} = {value!r}" for name, value in values.items()]
    lines += [f"CACHES = {{'default': {cache!r}}}", "SMOKETEST_RELEASE = 'today'"]
    client = redis.Redis(port=store.port, password=store.password)
    with application(values) as app, override_settings(CACHES={"default": cache}):
        project = CeleryProject(folder, "\n".join(lines))
        yield Site(project, app, lambda: contents(client, broker if kind == "amqp" else None))
        caches["default"].close()
    client.flushall()
    client.close()


@contextmanager
def application(values: Mapping[str, Any]) -> Iterator[Celery]:
    """Celery's application of this process."""
    before = celery_state._tls.current_app, celery_state.default_app
    app = Celery("kettle")
    app.set_default()  # for all threads, as where Celery finds DJANGO_SETTINGS_MODULE
    app.conf.update(values)
    try:
        yield app
    finally:
        app.close()
        celery_state._set_current_app(before[0])
        celery_state.set_default_app(before[1])


def contents(client: redis.Redis, rabbitmq: Server | None) -> Any:
    keys: list[Any] = []
    for number in range(3):
        client.select(number)
        keys.append(sorted((key, client.type(key)) for key in client.scan_iter()))
        keys[-1] += [sorted(client.smembers(k)) for k, kind in keys[-1] if kind == b"set"]
    client.select(0)
    if rabbitmq is None:
        return keys
    return keys, [servers.rabbitmq_objects(rabbitmq, kind) for kind in ("queues", "exchanges")]


def outcomes(report: Report) -> dict[tuple[str, str], str]:
    return {(one.node.removesuffix("@kettle"), one.id): one.label for one in report.results}


def problem(report: Report, node: str) -> str:
    wanted = (f"{node}@kettle", ANSWER)
    [found] = [one.message for one in report.results if (one.node, one.id) == wanted]
    return found


@pytest.mark.slow
def test_every_pool_runs_the_tests_and_nothing_is_left(site: Site) -> None:
    with site.started(prefork={}, threads={"pool": "threads"}, solo={"pool": "solo"}):
        site.app.control.ping(timeout=0.5)  # what Celery itself makes at its first use
        before = site.contents()
        report = site.ask(nodes=["prefork@kettle"])
        assert site.contents() == before
    assert (report.passed, report.exit_status) == (True, 0)
    assert outcomes(report) == {
        (node, test): "passed"
        for node in ("prefork", "solo", "threads")
        for test in (BOILS, WHISTLES)
    }
    assert [(node.name, node.role, node.release) for node in report.nodes] == [
        (f"{name}@kettle", "worker", "today") for name in ("prefork", "solo", "threads")
    ]


# Each pair of them meets here; all that can be had together do so in the test above.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("broker", "way_back", "route"),
    [
        ("redis", "backend", "direct"),
        ("redis", "cache", "lent"),
        ("rabbitmq", "backend", "lent"),
        ("rabbitmq", "cache", "direct"),
    ],
    indirect=True,
)
def test_busy_killed_and_old_nodes_are_told_apart_and_nothing_is_left(site: Site) -> None:
    project = site.project
    with site.started(busy={}, killed={}, old={"old": True}, well={}) as nodes:
        site.app.send_task("busy", [str(project.folder)], queue="busy@kettle", ignore_result=True)
        project.wait_until_begun()
        site.app.control.ping(timeout=0.5)  # what Celery itself makes at its first use
        before = site.contents()

        def kill() -> None:
            project.wait_until_begun()
            nodes["killed"].kill()

        killer = threading.Thread(target=kill)
        killer.start()
        start = monotonic()
        report = site.ask(8.0, nodes=["absent@kettle", "well@kettle"])
        took = monotonic() - start
        killer.join()
        after = site.contents()
        project.end()
        nodes["busy"].wait_for("Discarding revoked task")
        at_last = site.contents()
    assert took < 8.0 + PATIENCE
    assert report.exit_status == 1
    assert outcomes(report) == {
        ("absent", ANSWER): "errored",
        ("busy", ANSWER): "errored",
        ("killed", ANSWER): "errored",
        ("old", ANSWER): "errored",
        ("well", BOILS): "passed",
        ("well", WHISTLES): "passed",
    }
    assert problem(report, "busy").startswith(
        "The worker is busy: no answer before the deadline. It answers a ping"
    )
    assert problem(report, "killed").startswith(
        "The worker is gone: it answered a ping at first, and no more."
    )
    assert problem(report, "old").startswith(
        "The worker runs an older release that does not know smoketest:"
    )
    assert problem(report, "absent").startswith(
        "The worker is gone: it is one of the expected nodes"
    )
    assert "smoketest." not in str(after)
    assert _without(after, "killed") == _without(before, "killed")
    assert _without(at_last, "killed") == _without(before, "killed")


def _without(contents: Any, node: str) -> str:
    """What is not the dead node's own, which the broker has still or no more."""
    return str([line for line in _flat(contents) if node not in str(line)])


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list) or (isinstance(value, tuple) and isinstance(value[0], list)):
        return [leaf for one in value for leaf in _flat(one)]
    return [value]


@pytest.fixture
def shop(redis_server: Server, tmp_path: Path) -> Iterator[Site]:
    """A site on Redis, with a result backend."""
    with made(redis_server, redis_server, tmp_path, "backend", "direct") as site:
        yield site


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_run_leaves_no_thread_and_no_connection_in_the_process_of_a_pool(
    shop: Site, pool: str
) -> None:
    with shop.started(one={"pool": pool}):
        shop.ask()  # what Celery itself opens at its first use
        before = shop.project.left_open(shop.app, "one@kettle")
        assert shop.ask().passed
        after = shop.project.left_open(shop.app, "one@kettle")
    assert after == before
    assert after["databases"] == []


@pytest.mark.slow
def test_hard_limit_of_celery_ends_what_no_deadline_does(shop: Site) -> None:
    """A test that holds the interpreter lock: its process is killed, and another one made."""
    shop.project.smoke(
        """
        import os
        import re

        from smoketest import SmokeTest

        class KettleTest(SmokeTest):
            def test_boils(self):
                pass

            def test_whistles(self):
                if os.environ["NODE"] == "stubborn@kettle":
                    re.match("(a+)+$", "a" * 50 + "b")
        """
    )
    with shop.started(stubborn={}, well={}) as nodes:
        report = shop.ask(5.0)
        nodes["stubborn"].wait_for("Hard time limit")
        again = workers.ask(Selection(patterns=("boils",)), conf.options(deadline=15.0))
    assert outcomes(report)[("well", WHISTLES)] == "passed"
    assert problem(report, "stubborn").startswith("The worker is busy:")
    assert outcomes(again) == {("stubborn", BOILS): "passed", ("well", BOILS): "passed"}


@pytest.mark.slow
def test_two_workers_of_one_name_are_said_to_be(shop: Site) -> None:
    with (
        shop.project.worker("twin@kettle", pool="threads") as one,
        shop.project.worker("twin@kettle", pool="threads", log="other") as other,
    ):
        one.wait_for(" ready.")
        other.wait_for(" ready.")
        before = shop.contents()
        report = shop.ask(5.0)
        after = shop.contents()
    [result] = report.results
    assert result.message.startswith("Several workers have this name")
    assert after == before


@pytest.mark.slow
def test_two_who_ask_at_once_both_get_their_answers(site: Site) -> None:
    reports: list[Report] = []
    with site.started(one={"concurrency": 2}, two={"pool": "threads", "concurrency": 2}):
        site.app.control.ping(timeout=0.5)  # what Celery itself makes at its first use
        before = site.contents()
        threads = [
            threading.Thread(target=lambda: reports.extend(site.ask() for _ in range(3)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = site.contents()
    assert [(report.passed, len(report.results)) for report in reports] == [(True, 4)] * 6
    assert after == before


def down(port: int, scheme: str) -> str:
    """The address of a broker that is not there."""
    return f"{scheme}://guest:hunter2@127.0.0.1:{port}//"


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_broker_that_is_down_errs_within_the_deadline_without_its_password(scheme: str) -> None:
    port = servers.free_port()
    values = {"broker_url": down(port, scheme), "result_backend": "file:///tmp"}
    start = monotonic()
    with application(values):
        report = workers.ask(EVERYTHING, conf.options(deadline=5.0))
    assert monotonic() - start < 5.0 + PATIENCE
    [result] = report.results
    assert (report.exit_status, result.id, result.outcome) == (1, ANSWER, "errored")
    assert result.message.startswith(f"Celery's broker at 127.0.0.1:{port} does not answer: ")
    assert result.message.endswith(
        "No worker can be asked without it. Start it, or correct broker_url."
    )
    assert "hunter2" not in str(report)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_broker_that_says_nothing_errs_within_the_deadline(scheme: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        values = {"broker_url": down(listening.getsockname()[1], scheme)}
        start = monotonic()
        with application(values | {"result_backend": "file:///tmp"}):
            report = workers.ask(EVERYTHING, conf.options(deadline=1.0))
    assert monotonic() - start < 1.0 + PATIENCE
    [result] = report.results
    assert "did not answer within 1 s. It is overloaded, or its network is cut." in result.message


def test_no_worker_at_all_is_never_a_pass(redis_server: Server) -> None:
    values = {"broker_url": redis_server.url("redis"), "result_backend": redis_server.url("redis")}
    with application(values):
        report = workers.ask(EVERYTHING, conf.options(deadline=2.0))
    assert report.exit_status == 1
    [result] = report.results
    assert result.message.startswith("0 nodes answered, and 1 node must.")


@pytest.mark.parametrize("backend", ["LocMemCache", "DummyCache"])
@pytest.mark.parametrize("url", [None, "rpc://"])
def test_cache_that_is_not_shared_is_refused(backend: str, url: str | None) -> None:
    kind = "locmem.LocMemCache" if backend == "LocMemCache" else "dummy.DummyCache"
    cache = {"default": {"BACKEND": f"django.core.cache.backends.{kind}"}}
    values = {"broker_url": down(1, "redis"), "result_backend": url}
    with (
        application(values),
        override_settings(CACHES=cache),
        pytest.raises(ImproperlyConfigured, match=f"'default' is a {backend}") as caught,
    ):
        workers.ask(EVERYTHING, conf.options())
    assert 'Set result_backend to Redis or a database, or let CACHES["default"]' in str(
        caught.value
    )


def test_process_without_an_application_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_state._tls, "current_app", None)
    monkeypatch.setattr(celery_state, "default_app", None)
    with pytest.raises(ImproperlyConfigured, match="no Celery application was made"):
        workers.ask(EVERYTHING, conf.options())


def test_missing_celery_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    with pytest.raises(ImproperlyConfigured, match=r'pip install "django-smoketest\[celery\]"'):
        workers.ask(EVERYTHING, conf.options())


def test_tasks_can_be_imported_without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other task queues import a module of this name from each app."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "smoketest.tasks", raising=False)
    assert not hasattr(importlib.import_module("smoketest.tasks"), "run")
    monkeypatch.delitem(sys.modules, "smoketest.tasks")


def test_unknown_label_is_refused_before_anybody_is_asked() -> None:
    values = {"broker_url": down(1, "redis"), "result_backend": "file:///tmp"}
    with application(values), pytest.raises(InvalidSelection, match="nonsense"):
        workers.ask(Selection(labels=("nonsense",)), conf.options())


def test_smoke_test_that_asks_the_workers_is_refused(make_app: MakeApp) -> None:
    make_app(
        "kettle",
        {
            "smoke.py": """
            from smoketest import SmokeTest, conf, workers
            from smoketest.selection import Selection

            class AskTest(SmokeTest):
                def test_asks(self):
                    workers.ask(Selection(), conf.options())
            """
        },
    )
    [result] = runner.run(Selection(labels=("kettle",))).results
    assert "asked for the smoke tests: a run inside a run" in result.message
