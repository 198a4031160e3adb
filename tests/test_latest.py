"""``?latest=1``, and who adds to the history: requests, the command, and what runs periodically."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, override_settings

from smoketest import history, periodic, renderers
from smoketest.exceptions import InvalidSelection
from smoketest.past import AGE
from smoketest.results import Outcome, Report, TestResult
from smoketest.selection import Selection
from tests.conftest import MakeApp
from tests.projects import Project
from tests.test_history import caches_of, files, locmem

ALL = Selection()
TOKEN = "a-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "the-key-of-the-bank-0123"
SMOKE = f"""
    from smoketest import SmokeTest, tag

    class ShopTest(SmokeTest):
        def test_good(self): pass

        @tag("mail")
        def test_bad(self):
            self.fail("the key is {SECRET}")
"""


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with override_settings(
        CACHES=locmem(),
        SMOKETEST_TOKENS=[TOKEN],
        SMOKETEST_RELEASE="7",
        BANK_API_KEY=SECRET,
    ):
        cache.clear()
        yield


@pytest.fixture
def shop(make_app: MakeApp) -> Path:
    return make_app("shop", {"smoke.py": SMOKE})


def get(query: str = "", headers: Mapping[str, str] = BEARER) -> Any:
    return Client().get(f"/smoketest/?{query}", headers=dict(headers))


def stored(*, ago: float = 5.0, passed: bool = True, role: str = "web", **values: Any) -> Report:
    """Remember a run of the whole selection that ended ``ago`` seconds ago."""
    outcome = Outcome.PASSED if passed else Outcome.FAILED
    result = TestResult(id="shop.smoke.T.test_it", outcome=outcome, message="why")
    started_at = datetime.now(UTC) - timedelta(seconds=ago)
    report = Report.from_results(
        [result], selected=1, started_at=started_at, role=role, node="web-9", **values
    )
    history.record(report, ALL)
    return report


# -- the answer


@pytest.mark.usefixtures("shop")
def test_it_answers_with_the_last_run_and_runs_nothing() -> None:
    ran = get("format=json").json()
    response = get("format=json&latest=1")
    answer = response.json()
    assert response.status_code == 500
    for name in ("status", "started_at", "failed_tests", "results", "pid", "node", "release"):
        assert answer[name] == ran[name], name
    assert answer["cached"] is True
    assert answer["age"] > 0
    assert [past["status"] for past in answer["recent"]] == ["FAIL"]
    # Nothing was run, so there is still one.
    assert len(history.recent(ALL, "web")) == 1


def test_a_pass_is_200_with_its_age_in_every_format() -> None:
    stored(ago=100)
    for renderer in renderers.RENDERERS:
        response = get(f"latest=1&format={renderer.format}")
        assert response.status_code == 200, renderer.format
        # Prometheus computes it from the time at which the run ended.
        age = "smoketest_run_cached 1.0" if renderer.format == "prometheus" else "100."
        assert age in response.content.decode(), renderer.format


@pytest.mark.parametrize("name", renderers.formats())
def test_where_nothing_is_known_it_is_503_in_every_format(name: str) -> None:
    response = get(f"latest=1&format={name}")
    assert response.status_code == 503
    if name != "prometheus":
        assert "The last run is not known" in response.content.decode()


def test_a_run_that_is_too_old_is_no_pass() -> None:
    stored(ago=100)
    assert get("latest=1").status_code == 200
    response = get("latest=1&max-age=60&format=json")
    assert response.status_code == 500
    assert response.json()["errored_tests"] == [AGE]
    assert response.json()["status"] == "FAIL"


@pytest.mark.parametrize("name", ["nagios", "health", "prometheus", "junit", "tap", "text"])
def test_an_hour_is_too_old_in_every_format_that_a_machine_reads(name: str) -> None:
    stored(ago=3700)
    response = get(f"latest=1&format={name}")
    id = 'classname="smoketest.history" name="age"' if name == "junit" else AGE
    assert id in response.content.decode()
    assert response.status_code == (200 if name == "prometheus" else 500)


def test_the_last_run_of_a_worker_is_asked_for_by_its_role() -> None:
    stored(role="worker")
    assert get("latest=1").status_code == 503
    assert get("latest=1&role=worker").status_code == 200
    with override_settings(SMOKETEST_ROLE="worker"):
        assert get("latest=1").status_code == 200


@pytest.mark.usefixtures("shop")
def test_each_selection_has_its_last_run() -> None:
    get()
    assert get("latest=1&tag=mail").status_code == 503
    get("exclude-tag=mail")
    assert get("latest=1&exclude-tag=mail").status_code == 200
    assert get("latest=1").status_code == 500


# -- who may see what


def test_a_stranger_sees_of_the_last_run_what_they_see_of_any() -> None:
    stored(passed=False, release="6")
    answer = get("latest=1&format=json", {}).json()
    assert answer["failed_tests"] == ["shop.smoke.T.test_it"]
    assert (answer["node"], answer["release"]) == ("", "")
    assert "why" not in json.dumps(answer)
    assert [(one["node"], one["release"]) for one in answer["recent"]] == [("", "")]
    with override_settings(SMOKETEST_ANONYMOUS="verdict"):
        assert get("latest=1&format=json", {}).json() == {"status": "FAIL"}
    with override_settings(SMOKETEST_ANONYMOUS="deny"):
        assert get("latest=1", {}).status_code == 403


@pytest.mark.usefixtures("shop")
def test_what_is_kept_has_no_secret() -> None:
    get()
    assert SECRET not in json.dumps(history.latest(ALL, "web").to_dict())
    assert "the key is" in json.dumps(history.latest(ALL, "web").to_dict())


# -- who adds to it


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "headers", "runs"),
    [
        ("", {}, 1),
        ("failfast=1", {}, 0),
        ("timeout=5", {}, 0),
        ("", {"X-Prometheus-Scrape-Timeout-Seconds": "5"}, 0),
        ("failfast=1", BEARER, 1),
    ],
    ids=str,
)
def test_a_stranger_cannot_put_a_failure_there_that_others_would_not_have(
    query: str, headers: Mapping[str, str], runs: int
) -> None:
    get(query, headers)
    assert len(history.recent(ALL, "web")) == runs


def test_a_scrape_that_passes_counts_whatever_its_limit(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": SMOKE.replace("self.fail", "str")})
    get("format=prometheus", {"X-Prometheus-Scrape-Timeout-Seconds": "20"})
    assert len(history.recent(ALL, "web")) == 1


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("headers", "runs"), [({}, 0), (BEARER, 1)], ids=str)
def test_a_stranger_cannot_fill_the_cache_with_selections(
    headers: Mapping[str, str], runs: int
) -> None:
    get("tag=mail", headers)
    assert len(history.recent(Selection(tags=("mail",)), "web")) == runs


@pytest.mark.usefixtures("shop")
def test_a_stream_is_remembered_as_well() -> None:
    response = get("format=ndjson")
    assert b"test_bad" in b"".join(response.streaming_content)
    assert len(history.recent(ALL, "web")) == 1


@pytest.mark.usefixtures("shop")
def test_the_page_shows_the_runs_up_to_its_own() -> None:
    stored(ago=60, release="6")
    text = get("format=html").content.decode()
    assert "Not passing since" in text
    assert "1 run." in text
    assert '<span class="spoken">new release </span>7' in text


@pytest.mark.usefixtures("shop")
def test_the_command_adds_to_it() -> None:
    with pytest.raises(SystemExit):
        call_command("smoketest", "--tag", "mail", stdout=io.StringIO())
    (past,) = history.recent(Selection(tags=("mail",)), "")
    assert (past.status, past.release, past.role) == ("FAIL", "7", "")


def test_the_command_says_the_same_where_the_cache_is_down(tmp_path: Path) -> None:
    name = "django.core.cache.backends.redis.RedisCache"
    settings = f"CACHES = {caches_of(name, 'redis://127.0.0.1:1/')!r}"
    project = Project(tmp_path, settings)
    project.smoke(SMOKE)
    done = project.command("--format", "text")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL\ntest classes: 1\ntests run: 2\n")
    assert "The history of the smoke tests is not available" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_server_answers_with_what_the_command_ran(tmp_path: Path, server: str) -> None:
    settings = f"""
        SMOKETEST_ANONYMOUS = "details"
        CACHES = {files(tmp_path)!r}
    """
    project = Project(tmp_path, settings)
    project.smoke(SMOKE.replace("self.fail", "str"))
    with project.served_by(server) as served:
        status, text = served.get("/smoketest/?latest=1")
        assert (status, text.splitlines()[0]) == (503, "FAIL")
        assert project.command().returncode == 0
        status, text = served.get("/smoketest/?latest=1&format=json")
        report = json.loads(text)
        assert (status, report["status"], report["cached"]) == (200, "PASS", True)
        assert report["tests_passed"] == 2
        assert "role" not in report
        assert report["pid"] not in served.workers()


# -- periodically


@pytest.mark.usefixtures("shop")
def test_what_runs_periodically_is_logged_and_remembered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "smoketest")
    report = periodic.run(Selection(labels=("shop",)), "worker")
    assert not report.passed
    assert "test_bad failed" in caplog.text
    assert "FAIL: 1 passed, 1 failed" in caplog.text
    (past,) = history.recent(Selection(labels=("shop",)), "worker")
    assert past == report.as_past()
    assert SECRET not in caplog.text


@pytest.mark.usefixtures("shop")
def test_a_word_that_is_unknown_is_an_error_of_the_task() -> None:
    with pytest.raises(InvalidSelection, match="Did you mean 'shop'"):
        periodic.run(Selection(labels=("shops",)), "worker")
