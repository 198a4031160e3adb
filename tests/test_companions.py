"""Beside what production sites run: monitoring agents and other people's backends.

Agents put proxies around the driver's connection and replace methods of threads; backends
send statements of their own. Each is the real one, in a process of its own, because it
changes the whole process; what they would send goes to a port that nobody listens on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NOWHERE = "http://key@127.0.0.1:9/1"
ROOT = Path(__file__).resolve().parent.parent

SMOKE = """
import threading

from django.db import connection
from smoketest import SmokeTest
from tests.testapp.models import Item


class WriteTest(SmokeTest):
    def test_written(self):
        Item.objects.create(name="written")
        self.assertEqual(Item.objects.get(name="written").name, "written")

    async def test_awaited(self):
        await Item.objects.acreate(name="awaited")

    def test_on_a_thread(self):
        failures = []
        def write():
            try:
                Item.objects.create(name="on a thread")
            except Exception as error:
                failures.append(error)
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        self.assertEqual(failures, [])


class EndTest(SmokeTest):
    def test_commit(self):
        Item.objects.create(name="committed")
        connection.commit()

    def test_commit_by_statement(self):
        Item.objects.create(name="committed by a statement")
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")

    def test_commit_by_the_driver(self):
        Item.objects.create(name="committed by the driver")
        connection.connection.commit()

    def test_commit_by_a_cursor_of_the_driver(self):
        Item.objects.create(name="committed by the driver's cursor")
        connection.connection.cursor().execute("COMMIT")
"""
# First of all, as gunicorn's workers of that class do.
PATCHED = """
from gevent import monkey; monkey.patch_all()
from django.core.management import execute_from_command_line as execute
import sys; execute(["django", *sys.argv[1:]])
"""
GREENLETS = {
    "gevent": PATCHED,
    "eventlet": PATCHED.replace(
        "from gevent import monkey; monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"
    ),
}
"""What makes greenlets of all threads, with the script that runs the command so."""
WRITES = {"test_written", "test_awaited", "test_on_a_thread"}


@dataclass(frozen=True)
class Companion:
    """What a site has besides us, and the settings that it takes."""

    needs: str
    """The module without which it is not installed."""
    settings: str = ""
    engines: Mapping[str, str] | None = None
    """Instead of Django's backend, by the vendor."""


COMPANIONS = {
    "sentry": Companion(
        "sentry_sdk",
        f"import sentry_sdk; sentry_sdk.init({NOWHERE!r}, traces_sample_rate=1.0)",
    ),
    "elastic": Companion(
        "elasticapm",
        f"""
        INSTALLED_APPS = [*INSTALLED_APPS, "elasticapm.contrib.django"]
        ELASTIC_APM = {{"SERVER_URL": {NOWHERE!r}, "SERVICE_NAME": "shop",
                        "CLOUD_PROVIDER": "none", "CENTRAL_CONFIG": False}}
        """,
    ),
    "opentelemetry": Companion(
        "opentelemetry.instrumentation.psycopg",
        """
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
        from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
        PsycopgInstrumentor().instrument(enable_commenter=True)
        SQLite3Instrumentor().instrument()
        """,
    ),
    "prometheus": Companion(
        "django_prometheus",
        engines={
            "sqlite": "django_prometheus.db.backends.sqlite3",
            "postgresql": "django_prometheus.db.backends.postgresql",
            "mysql": "django_prometheus.db.backends.mysql",
        },
    ),
    "tenants": Companion(
        "django_tenants",
        """
        DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
        SHARED_APPS, TENANT_APPS, TENANT_MODEL = INSTALLED_APPS, ["shop"], "testapp.Item"
        """,
        engines={"postgresql": "django_tenants.postgresql_backend"},
    ),
}


@pytest.mark.parametrize("name", COMPANIONS)
def test_tests_write_and_leave_nothing_beside(
    name: str, vendor: str, outside: Any, tmp_path: Path
) -> None:
    companion = COMPANIONS[name]
    pytest.importorskip(companion.needs)
    if companion.engines is not None and vendor not in companion.engines:
        pytest.skip(f"{name} has no backend for {vendor}")

    results = run_beside(companion, vendor, tmp_path)

    passed = {test for test, result in results.items() if result["outcome"] == "passed"}
    assert passed == WRITES, {test: result["message"] for test, result in results.items()}
    assert all(result["outcome"] == "errored" for result in results.values() if result["message"])
    assert outside("SELECT name FROM testapp_item") == []


@pytest.mark.parametrize("name", GREENLETS)
def test_among_greenlets_async_tests_alone_are_refused(
    name: str, vendor: str, outside: Any, tmp_path: Path
) -> None:
    pytest.importorskip(name)
    if vendor == "mysql":
        pytest.skip("mysqlclient waits in C, and nobody else runs meanwhile")

    results = run_beside(Companion(name), vendor, tmp_path, ("-c", GREENLETS[name]))

    passed = {test for test, result in results.items() if result["outcome"] == "passed"}
    assert passed == WRITES - {"test_awaited"}
    assert (
        f"{name} has made greenlets of this process's threads"
        in (results["test_awaited"]["message"])
    )
    assert outside("SELECT name FROM testapp_item") == []


def run_beside(
    companion: Companion, vendor: str, folder: Path, python: Sequence[str] = ("-m", "django")
) -> dict[str, dict[str, Any]]:
    """The results of a run beside ``companion``, by the last part of their ids."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "smoke.py").write_text(SMOKE)
    (folder / "beside.py").write_text(
        "from tests.settings import *\n"
        "INSTALLED_APPS = [*INSTALLED_APPS, 'shop']\n"
        "DATABASES = {'default': DATABASES['default']}\n" + dedent(companion.settings)
    )
    done = subprocess.run(
        [sys.executable, *python, "smoketest", "shop", "--format", "json"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "PYTHONDEVMODE": "",  # agents leave sockets open, and ours is not to judge
            "DJANGO_SETTINGS_MODULE": "beside",
            "SMOKETEST_TEST_DATABASES": json.dumps(databases(companion, vendor)),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["results"]
    return {result["id"].rpartition(".")[2]: result for result in found}


def databases(companion: Companion, vendor: str) -> dict[str, Any]:
    """The test's databases, by the backend of ``companion`` if it has one."""
    engine = (companion.engines or {}).get(vendor)
    default = dict(json.loads(os.environ["SMOKETEST_TEST_DATABASES"])["default"])
    return {"default": {**default, "ENGINE": engine or default["ENGINE"]}}
