"""Celery beat asks for a run, a real worker does it, and the history has the report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from smoketest import history, periodic
from smoketest.selection import Selection
from tests import servers
from tests.conftest import reachable
from tests.servers import _setpriv
from tests.test_history import on_redis
from tests.workers import CeleryProject

SETTINGS = """
CELERY_BROKER_URL = {broker!r}
CELERY_BEAT_SCHEDULE = {{
    "smoke tests": {{
        "task": "smoketest.periodic",
        "schedule": 1.0,
        "kwargs": {{"exclude_tags": ["network"]}},
        "options": {{"queue": "node", "expires": 30}},
    }},
}}
CACHES = {caches!r}
"""


@pytest.mark.slow
def test_what_beat_asks_for_is_in_the_history(tmp_path: Path) -> None:
    with reachable(servers.redis()) as redis:
        settings = SETTINGS.format(broker=redis.url("redis"), caches=on_redis(redis))
        project = CeleryProject(tmp_path, settings)
        smoke = (tmp_path / "shop" / "smoke.py").read_text()
        project.smoke(f"from smoketest import runs_on, tag\n{smoke}{WITH_TAGS}")
        words = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "project_celery", "beat"]
        words += ["-s", str(tmp_path / "schedule"), "-l", "INFO"]
        log = tmp_path / "node.log"
        with project.worker("node") as worker:
            worker.wait_for(" ready.")
            with subprocess.Popen(
                [*_setpriv("KILL", as_nobody=False), *words],
                env=project.environment(),
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as beat:
                worker.wait_for("succeeded in")
                beat.kill()
        assert "FAIL: " not in log.read_text()
        with override_settings(CACHES=on_redis(redis)):
            latest = history.latest(Selection(exclude_tags=("network",)), "worker")
        assert latest.passed
        assert {one.id.rpartition(".")[2] for one in latest.results} == {
            *("test_boils", "test_whistles", "test_in_a_worker"),
        }


WITH_TAGS = """
class OtherTest(SmokeTest):
    @tag("network")
    def test_far_away(self):
        self.fail("not selected")

    @runs_on("web")
    def test_in_a_page(self):
        self.fail("not here")

    @runs_on("worker")
    def test_in_a_worker(self):
        pass
"""


def test_a_word_alone_is_a_list_of_one() -> None:
    assert periodic.selection(tags="db") == Selection(tags=("db",))
    assert periodic.selection(labels=["shop", "stock"], patterns=["read"]) == Selection(
        labels=("shop", "stock"), patterns=("read",)
    )


def test_a_word_that_a_schedule_cannot_have_is_refused() -> None:
    with pytest.raises(TypeError, match="timeout"):
        periodic.selection(timeout=5)  # type: ignore[call-arg]
