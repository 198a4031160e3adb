"""The workers by the command and by the endpoint: what is printed, streamed and refused."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from smoketest.fleet import ANSWER
from tests import servers
from tests.conftest import reachable
from tests.servers import Server
from tests.test_workers import BOILS, WHISTLES, Site, application, down, made

TOKEN = "a-token-of-32-characters-for-us!"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with reachable(servers.redis()) as server:
        yield server


@pytest.fixture(scope="module")
def kettle(redis_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one worker, which lasts for all tests."""
    with (
        made(redis_server, redis_server, tmp_path_factory.mktemp("kettle")) as site,
        site.started(one={"pool": "threads", "concurrency": 2}),
    ):
        yield site


@pytest.fixture
def authorized() -> Iterator[Client]:
    with override_settings(SMOKETEST_TOKENS=[TOKEN]):
        yield Client(headers=AUTHORIZED)


def test_command_prints_one_verdict_over_all_workers(kettle: Site) -> None:
    before = kettle.contents()
    done = kettle.project.command("--workers", "--format", "json", "--deadline", "10")
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"], report["tests_passed"]) == (0, "PASS", 2)
    assert {(one["node"], one["id"]) for one in report["results"]} == {
        ("one@kettle", BOILS),
        ("one@kettle", WHISTLES),
    }
    assert kettle.contents() == before


@pytest.mark.slow
def test_command_says_which_expected_worker_is_gone_and_exits_with_1(kettle: Site) -> None:
    with kettle.project.set(SMOKETEST_EXPECTED_NODES=["one@kettle", "two@kettle"]):
        done = kettle.project.command("--workers", "-v2", "--deadline", "10")
    assert done.returncode == 1
    assert "one@kettle ... ok" in done.stdout
    assert "two@kettle ... ERROR" in done.stdout
    assert "The worker is gone: it is one of the expected nodes" in done.stdout


@pytest.mark.slow
def test_command_runs_a_selection_and_spares_who_is_beyond_the_number(kettle: Site) -> None:
    with kettle.project.set(SMOKETEST_EXPECTED_NODES=["two@kettle"]):
        words = ["--workers", "--at-least", "1", "-k", "boils", "--deadline", "10"]
        done = kettle.project.command(*words, "--format", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["tests_passed"]) == (0, 1)
    assert report["warned_tests"] == [ANSWER]


@pytest.mark.slow
def test_command_expects_a_number_of_workers(kettle: Site) -> None:
    done = kettle.project.command("--workers", "--expect-nodes", "2", "--deadline", "10")
    assert done.returncode == 1
    assert "1 node answered, and 2 nodes must." in done.stdout


@pytest.mark.slow
def test_command_waits_for_a_worker_that_starts_late(kettle: Site) -> None:
    """It asks a second time, when the worker is up: the first answer of all starts it."""
    project = kettle.project
    words = ["--workers", "--wait", "60", "--expect-nodes", "2", "--deadline", "10"]
    with project.start("django", "smoketest", *words, "-v2") as process:
        assert process.stdout is not None
        assert "one@kettle ... ok" in process.stdout.readline()
        with project.worker("late@kettle", pool="threads"):
            out, _ = process.communicate(timeout=90)
    assert process.returncode == 0, out
    assert "late@kettle ... ok" in out


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_command_with_a_report_and_leaves_nothing(
    kettle: Site, number: signal.Signals
) -> None:
    project = kettle.project
    with project.worker("killed@kettle", pool="threads") as held:
        held.wait_for(" ready.")
        before = kettle.contents()
        words = ["--workers", "--deadline", "60", "--format", "json"]
        with project.start("django", "smoketest", *words) as process:
            project.wait_until_begun()
            os.kill(process.pid, number)
            out, _ = process.communicate(timeout=30)
        after = kettle.contents()
        project.end()
    report = json.loads(out)
    assert process.returncode == 3
    assert "The worker had not answered when the run was interrupted." in out
    assert ("one@kettle", BOILS) in {(one["node"], one["id"]) for one in report["results"]}
    assert after == before


def test_label_that_only_workers_would_not_know_is_wrong_usage(kettle: Site) -> None:
    done = kettle.project.command("nonsense", "--workers")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown label 'nonsense'" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--isolate", "--workers"], "--isolate starts processes"),
        (["--at-least", "1"], "--at-least is about a fleet of nodes"),
        (["--expect-nodes", "1"], "--expect-nodes is about a fleet of nodes"),
        (["--expect-release", "x"], "--expect-release is about a fleet of nodes"),
        (["--workers", "--at-least", "0"], "--at-least is 0, and must be a number above 0."),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        call_command("smoketest", *words, stdout=io.StringIO())
    assert caught.value.returncode == 2


def test_broker_that_is_down_is_status_1_in_the_command() -> None:
    out = io.StringIO()
    values = {"broker_url": down(servers.free_port(), "redis"), "result_backend": "file:///tmp"}
    with application(values), pytest.raises(SystemExit) as caught:
        call_command("smoketest", "--workers", "--deadline", "5", stdout=out)
    assert caught.value.code == 1
    assert "Celery's broker at 127.0.0.1:" in out.getvalue()


def answer(client: Client, query: str) -> Any:
    response: Any = client.get(f"/smoketest/?{query}")
    body = response.getvalue() if response.streaming else response.content
    return response.status_code, body.decode()


def test_endpoint_answers_with_one_report_of_all_workers(kettle: Site, authorized: Client) -> None:
    before = kettle.contents()
    status, body = answer(authorized, "workers=1&format=json&deadline=10")
    report = json.loads(body)
    assert (status, report["tests_passed"], report["tests_failed"]) == (200, 2, 0)
    assert kettle.contents() == before


def test_endpoint_streams_results_as_the_workers_answer(kettle: Site, authorized: Client) -> None:
    status, body = answer(authorized, "workers=1&format=ndjson&deadline=10")
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert {(one["node"], one["id"]) for one in lines if "outcome" in one} == {
        ("one@kettle", BOILS),
        ("one@kettle", WHISTLES),
    }
    assert lines[-1]["status"] == "PASS"


@pytest.mark.parametrize("anonymous", ["details", "summary", "verdict", "deny"])
@pytest.mark.parametrize("debug", [True, False])
def test_endpoint_refuses_to_ask_workers_for_others(anonymous: str, debug: bool) -> None:
    """Nobody is asked: without a broker anything else than a refusal would be an error."""
    settings = {"SMOKETEST_ANONYMOUS": anonymous, "DEBUG": debug}
    values = {"broker_url": down(1, "redis"), "result_backend": "file:///tmp"}
    with application(values), override_settings(**settings):
        status, body = answer(Client(), "workers=1&format=json")
    assert status == 403
    assert json.loads(body)["status"] == "FAIL"


def test_endpoint_answers_500_when_the_broker_is_down(authorized: Client) -> None:
    values = {"broker_url": down(servers.free_port(), "redis"), "result_backend": "file:///tmp"}
    with application(values):
        status, body = answer(authorized, "workers=1&format=json&deadline=5")
    report = json.loads(body)
    assert (status, report["errored_tests"]) == (500, [ANSWER])
    assert "does not answer" in body


def test_endpoint_answers_400_for_an_unknown_label(authorized: Client) -> None:
    values = {"broker_url": down(1, "redis"), "result_backend": "file:///tmp"}
    with application(values):
        for form in ("json", "ndjson"):
            status, body = answer(authorized, f"workers=1&format={form}&test=nonsense")
            assert (status, "Unknown label 'nonsense'" in body) == (400, True)
