"""Celery: a worker that is up, busy and gone, a broker that is down, and beat."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.probes.celery_app import app
from tests.probes.running import outcomes
from tests.servers import Server, process

APP = "tests.probes.celery_app.app"
NODE = "celery@kettle"
ROOT = Path(__file__).parent.parent.parent
CELERY = [sys.executable, "-W", "ignore", "-m", "celery", "--workdir", ROOT]
CELERY += ["-A", "tests.probes.celery_app"]


@pytest.fixture
def broker(redis_server: Server) -> Iterator[str]:
    """The application uses the Redis server."""
    url = redis_server.url("redis")
    before = app.conf.broker_url, app.conf.result_backend
    app.conf.broker_url = app.conf.result_backend = url
    os.environ["SMOKETEST_TEST_BROKER"] = url
    yield url
    del os.environ["SMOKETEST_TEST_BROKER"]
    app.conf.broker_url, app.conf.result_backend = before


@contextmanager
def worker(folder: Path) -> Iterator[None]:
    """A worker with one process for its tasks."""
    command = [*CELERY, "worker", "-c", "1", "-n", NODE, "-Q", "celery", "-l", "INFO"]
    with process(command, folder / "worker.log", "ready.", "QUIT", as_nobody=False):
        yield


@pytest.mark.slow
def test_worker_that_is_up_busy_and_gone(broker: str, tmp_path: Path) -> None:
    attributes = {"app": APP, "nodes": [NODE], "tasks": ["ping", "broken"]}
    with worker(tmp_path):
        up = outcomes("Celery", **attributes)
        app.send_task("busy", [30], ignore_result=True)
        busy = outcomes("Celery", **attributes)
    gone = outcomes("Celery", **attributes)
    assert up.pop("test_celery_task_broken").startswith(
        "failed: The Celery task broken did not come back: LookupError: no water."
    )
    assert up == {
        "test_celery_broker": "passed",
        "test_celery_worker_celery_kettle": "passed",
        "test_celery_queue_celery": "passed",
        "test_celery_task_ping": "passed",
    }
    assert busy["test_celery_worker_celery_kettle"] == "passed"
    assert "task ping did not come back: TimeoutError" in busy["test_celery_task_ping"]
    assert gone["test_celery_broker"] == "passed"
    assert gone["test_celery_worker_celery_kettle"].startswith(
        f"failed: Celery had no answer from the worker {NODE}."
    )
    assert "takes messages from the queue 'celery'; 0 workers" in gone["test_celery_queue_celery"]


@pytest.mark.slow
def test_queue_without_a_worker_fails(broker: str, tmp_path: Path) -> None:
    with worker(tmp_path):
        got = outcomes("Celery", app=APP, queues=["celery", "mail"])
    assert got["test_celery_queue_celery"] == "passed"
    assert got["test_celery_queue_mail"].endswith("Start a worker with -Q mail.")
    assert got["test_celery_worker"] == "passed"


def test_broker_that_is_down_fails_without_its_password(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"redis://:hunter2@127.0.0.1:{closed_port}/"
    monkeypatch.setattr(app.conf, "broker_url", url)
    got = outcomes("Celery", app=APP)
    assert got["test_celery_broker"].startswith(
        f"failed: Celery's broker at 127.0.0.1:{closed_port} does not answer: OperationalError"
    )
    assert "hunter2" not in str(got)


@pytest.mark.slow
def test_beat_that_is_alive_passes_and_one_that_is_gone_fails(broker: str, tmp_path: Path) -> None:
    schedule = tmp_path / "schedule"
    command = [*CELERY, "beat", "-s", str(schedule), "--pidfile", "", "-l", "DEBUG"]
    probe = {"app": APP, "queues": [], "beat_schedule": schedule}
    assert "beat has no schedule: FileNotFound" in outcomes("Celery", **probe)["test_celery_beat"]
    with process(command, tmp_path / "beat.log", "Ticking", "TERM", as_nobody=False):
        assert outcomes("Celery", **probe)["test_celery_beat"] == "passed"
    for file in tmp_path.glob("schedule*"):
        os.utime(file, (1, 1))
    assert "It does so every 180 s" in outcomes("Celery", **probe)["test_celery_beat"]


def test_what_is_no_application_is_an_error_in_words() -> None:
    [outcome] = outcomes("Celery", app="tests.settings").values()
    assert "'tests.settings' is 'module', and no Celery application" in outcome


def test_missing_celery_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    [outcome] = outcomes("Celery", app=APP).values()
    assert outcome.endswith('Run: pip install "django-smoketest[celery]"')
