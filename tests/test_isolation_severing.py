"""A connection is taken from a test that was cut off, wherever the test stands with it.

The server may not answer any more. Then nobody can tell it to roll back, but the thread
must not wait for it: it would be stuck for as long as the network is, and the test could
not be started again when the server is back.
"""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
from django.conf import settings
from django.db import connections
from django.db.utils import OperationalError

from smoketest import SmokeTest, isolation, scheduling, timeouts
from smoketest.exceptions import Refused
from smoketest.options import Options
from smoketest.results import Outcome
from tests.conftest import Outside
from tests.proxy import Proxy, proxy
from tests.test_hangs import settled
from tests.test_isolation import configured, wait_until_gone
from tests.testapp.models import Item

LIMIT = 0.5


@pytest.fixture(params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest) -> str:
    """The vendors whose databases are behind a network."""
    request.getfixturevalue(request.param)
    return str(request.param)


@pytest.fixture
def network(server: str) -> Iterator[Proxy]:
    """What is between here and the server."""
    entry = settings.DATABASES["default"]
    with proxy(entry["HOST"], int(entry["PORT"])) as made, configured(PORT=str(made.port)):
        yield made


def freezing_tests(network: Proxy, moment: str) -> list[SmokeTest]:
    """The last of the tests stops at its connection, at ``moment``."""

    class ATest(SmokeTest):
        def test_0_connects(self) -> None:
            Item.objects.count()

        def test_begin(self) -> None:
            network.freeze()
            Item.objects.count()

        test_connect = test_begin

        def test_query(self) -> None:
            Item.objects.create(name="smoke")
            network.freeze()
            Item.objects.count()

        def test_rollback(self) -> None:
            Item.objects.create(name="smoke")
            network.freeze()

    first = [ATest("test_0_connects")] if moment == "begin" else []
    return [*first, ATest(f"test_{moment}")]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["connect", "begin", "query", "rollback"])
def test_thread_ends_although_the_server_never_answers(moment: str, network: Proxy) -> None:
    options = Options(timeout=LIMIT, parallel=1)
    tests = freezing_tests(network, moment)

    results, _ = scheduling.execute(scheduling.Run(tests, options, monotonic() + 60))

    assert [one.outcome for one in results[:-1]] == [Outcome.PASSED] * (len(tests) - 1)
    assert results[-1].timed_out
    assert settled(lambda: timeouts.stuck() == [])


def test_connection_that_another_thread_had_before_is_cut(server: str, outside: Outside) -> None:
    """And at once: the server's own limit for an idle transaction is a minute away here."""
    lender = isolation.new_lender(1)
    sessions: list[isolation.Session] = []
    written, may_end = threading.Event(), threading.Event()

    def use(*, then_wait: bool) -> None:
        limits, deadline = isolation.Limits(1.0, 60.0), monotonic() + 60
        # What is refused in the end is the rollback, on a connection that was cut.
        with suppress(Refused), isolation.guarded_thread(limits, deadline, lender) as session:
            sessions.append(session)
            with isolation.rolled_back("a test"):
                Item.objects.create(name="smoke")
                if then_wait:
                    written.set()
                    may_end.wait(60)
        connections.close_all()

    first = threading.Thread(target=use, kwargs={"then_wait": False})
    first.start()
    first.join()
    second = threading.Thread(target=use, kwargs={"then_wait": True})
    second.start()
    assert written.wait(10)

    sessions[1].abandon("It is over its time.")

    wait_until_gone(outside, server)
    may_end.set()
    second.join()
    lender.close()


OTHERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


def write_and_lose_the_connection(server: str, outside: Outside) -> None:
    with isolation.rolled_back("a test"):
        Item.objects.create(name="smoke")
        for (session,) in outside(OTHERS[server]):
            outside(END[server].format(session))
        wait_until_gone(outside, server)


def test_connection_that_the_server_ends_before_the_rollback_is_named(
    server: str, outside: Outside
) -> None:
    limits = isolation.Limits(1.0, 60.0)
    lost = pytest.raises(Refused, match="'default' was lost before the end of the test")
    with isolation.guarded_thread(limits, monotonic() + 60), lost:
        write_and_lose_the_connection(server, outside)


def sockets() -> int:
    """How many sockets the process has open."""
    opened = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            opened += str(descriptor.readlink()).startswith("socket:")
    return opened


def test_connecting_that_is_given_up_leaves_no_descriptor(server: str) -> None:
    """And at once: until the garbage is collected, a site that is polled could run out of them."""
    options = {**settings.DATABASES["default"].get("OPTIONS", {}), "connect_timeout": 1}
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        configured(PORT=str(silent.getsockname()[1]), OPTIONS=options),
        isolation.guarded_thread(isolation.Limits()),
    ):
        before = sockets()
        gc.disable()
        try:
            with pytest.raises(OperationalError), isolation.rolled_back("a test"):
                Item.objects.count()
            assert sockets() == before
        finally:
            gc.enable()
