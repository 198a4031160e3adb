"""A server that stops answering in the middle of a test: frozen, or behind a dead network.

It takes connections and says nothing. Whatever a run does about it, by any driver, must
not wait for it, and must not keep anybody else in the process waiting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from smoketest import errands
from tests.conftest import reachable
from tests.projects import Project
from tests.proxy import Proxy, proxy
from tests.test_isolation import configured
from tests.test_isolation_drivers import WITHOUT, installed

DRIVERS = {
    "psycopg": ("postgresql", ""),
    "psycopg2": ("postgresql", WITHOUT["psycopg2"]),
    "mysqlclient": ("mysql", ""),
    "pymysql": ("mysql", WITHOUT["pymysql"]),
}
MODULES = {"mysqlclient": "MySQLdb"}
"""Where the driver's module has another name."""


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each driver; the databases are its vendor's."""
    with reachable(installed(MODULES.get(request.param, request.param))):
        request.getfixturevalue(DRIVERS[request.param][0])
        yield str(request.param)


@pytest.fixture
def network(driver: str) -> Iterator[Proxy]:
    """What is between the project and its server."""
    entry = settings.DATABASES["default"]
    with proxy(entry["HOST"], int(entry["PORT"])) as made, configured(PORT=str(made.port)):
        yield made


@pytest.fixture
def project(driver: str, tmp_path: Path) -> Project:
    project = Project(tmp_path, DRIVERS[driver][1])
    for name in ("written", "frozen"):
        os.mkfifo(tmp_path / name)
    project.smoke(f"""
        from smoketest import SmokeTest, timeout
        from tests.testapp.models import Item

        class FirstTest(SmokeTest):
            @timeout(1)
            def test_writes_and_waits(self):
                Item.objects.create(name="smoke")
                open({str(tmp_path / "written")!r}, "w").close()
                open({str(tmp_path / "frozen")!r}).close()
                Item.objects.count()

        class SecondTest(SmokeTest):
            databases = ()

            def test_goes_on(self):
                sum(range(1000))
    """)
    return project


def test_a_server_that_freezes_in_the_middle_of_a_test_stops_nothing_else(
    network: Proxy, project: Project, tmp_path: Path
) -> None:
    arguments = ("--parallel=1", "--deadline=10", "--format=json")
    with project.start("django", "smoketest", *arguments) as process:
        (tmp_path / "written").open().close()
        network.freeze()
        (tmp_path / "frozen").open("w").close()
        out, err = process.communicate(timeout=60)

    assert process.returncode == 1, err
    hung, other = json.loads(out)["results"]
    assert hung["timed_out"]
    assert "Item.objects.count()" in hung["traceback"]
    assert other["outcome"] == "passed"


@pytest.mark.parametrize("driver", ["psycopg", "mysqlclient"], indirect=True)
def test_caller_with_a_session_gets_an_answer_although_nobody_can_look_it_up(
    network: Proxy, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    network.freeze()
    client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    response = client.get("/smoketest/?list=1")
    assert response.status_code == 200
    assert "the caller is taken for anonymous" in caplog.text
    network.stop()
    errands._late["the users"].join()
