"""What the rollback costs: round trips to the server, and time beside Django's TestCase.

*Round trips* are counted by a proxy between the driver and the server, for tests of 0,
1 and 3 queries on a connection that is open already: the difference between a run of 20
such tests and one of 10, divided by 10. SQLite has none: it is a library.

*Time* is that of 1,000 tests of one query each, one after another, with two databases
declared: ours by the engine, Django's ``TestCase`` by unittest, in turn, medians.

The servers are those of the tests, see ``tests/servers.py``.
``python benchmarks/rollback.py [ROUNDS]``
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

TESTS = 1_000
ROUNDS = 5
QUERIES = (0, 1, 3)
VENDORS = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}


class CountingProxy:
    """Passes bytes to a server and back, and counts how often the server is asked."""

    def __init__(self, host: str, port: int) -> None:
        self.round_trips = 0
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._server)
            state = {"asked": False}
            for source, target, asks in ((client, server, True), (server, client, False)):
                arguments = (source, target, asks, state)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, asks: bool, state: dict[str, bool]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and not state["asked"]:
                    self.round_trips += 1
                state["asked"] = asks
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


# -- what the process of one vendor does


def measure(vendor: str, databases: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return the round trips per test, and the seconds of both kinds of tests."""
    import django
    from django.conf import settings

    settings.configure(
        DATABASES=databases,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
    )
    django.setup()
    ours, django_s = timed(rounds)
    return {"round_trips": round_trips(vendor), "ours": ours, "django": django_s}


def bodies(queries: int) -> dict[str, Any]:
    """Return the methods of a test class: each asks the database so often."""
    from django.db import connection

    def test(self: Any) -> None:
        for _ in range(queries):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

    return {f"test_{number}": test for number in range(TESTS)}


def run_ours(queries: int, tests: int) -> None:
    """Run ``tests`` smoke tests, one after another."""
    from smoketest import SmokeTest
    from smoketest.options import Options
    from smoketest.scheduling import Run, execute

    case = type("Ours", (SmokeTest,), bodies(queries))
    chosen = [case(f"test_{number}") for number in range(tests)]
    results, _ = execute(Run(chosen, Options(parallel=1), monotonic() + 600))
    if bad := [result.message for result in results if result.outcome != "passed"]:
        sys.exit(f"benchmark: a test did not pass: {bad[0]}")


def run_django(queries: int) -> None:
    """Run the same by Django's TestCase."""
    import unittest

    from django.test import TestCase

    case = type("Theirs", (TestCase,), bodies(queries) | {"databases": "__all__"})
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    if not result.wasSuccessful():
        sys.exit(f"benchmark: a TestCase did not pass: {result.errors[0][1]}")


def timed(rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round."""
    ours, theirs = [], []
    for number in range(rounds + 1):
        begin = perf_counter()
        run_ours(1, TESTS)
        between = perf_counter()
        run_django(1)
        if number:  # the first round compiles and connects
            ours.append(between - begin)
            theirs.append(perf_counter() - between)
    return ours, theirs


def round_trips(vendor: str) -> dict[int, float]:
    """Return the round trips of a test, by its number of queries."""
    if vendor == "sqlite":
        return {}
    from django.db import connections

    settings = [connections.settings[alias] for alias in ("default", "other")]
    proxy = CountingProxy(settings[0]["HOST"], int(settings[0]["PORT"]))
    for setting in settings:
        setting["HOST"], setting["PORT"] = "127.0.0.1", str(proxy.port)
    counted = {}
    for queries in QUERIES:
        totals = []
        for tests in (10, 20):
            before = proxy.round_trips
            run_ours(queries, tests)
            totals.append(proxy.round_trips - before)
        counted[queries] = (totals[1] - totals[0]) / 10
    return counted


# -- what the first process does


def main() -> None:
    """Measure vendor by vendor, each in a process of its own, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{rounds} rounds of {TESTS:,} tests of one query; medians of the ratios of each round\n")
    print(f"{'':12}{'smoketest':>12}{'TestCase':>12}{'ratio':>8}    round trips a test")
    for vendor, name in VENDORS.items():
        with databases_of(vendor) as databases:
            found = in_a_process_of_its_own(vendor, databases, rounds)
        ours, theirs = median(found["ours"]), median(found["django"])
        ratio = median(a / b for a, b in zip(found["ours"], found["django"], strict=True))
        trips = ", ".join(f"{n} queries: {count:g}" for n, count in found["round_trips"].items())
        print(f"{name:12}{ours:>10.3f} s{theirs:>10.3f} s{ratio:>7.2f} ×    {trips}")


def in_a_process_of_its_own(vendor: str, databases: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Call :func:`measure` there."""
    ended = subprocess.run(
        [sys.executable, __file__, "--vendor", vendor, json.dumps(databases), str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@contextmanager
def databases_of(vendor: str) -> Iterator[dict[str, Any]]:
    """Yield ``DATABASES`` with two aliases of ``vendor``."""
    if vendor == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            engine = "django.db.backends.sqlite3"
            yield {
                alias: {"ENGINE": engine, "NAME": os.path.join(folder, alias)}  # noqa: PTH118
                for alias in ("default", "other")
            }
        return
    from tests import servers

    start = servers.postgresql if vendor == "postgresql" else servers.mariadb
    with start() as server:
        yield {
            alias: {
                "ENGINE": f"django.db.backends.{vendor}",
                "NAME": "postgres" if vendor == "postgresql" else "information_schema",
                "HOST": server.host,
                "PORT": str(server.port),
                "USER": server.user,
                "PASSWORD": server.password,
            }
            for alias in ("default", "other")
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--vendor"]:
        print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))))
    else:
        main()
