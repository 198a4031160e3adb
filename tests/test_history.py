"""The last runs are remembered, whatever the cache is, and are never in the way."""

from __future__ import annotations

import json
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings

from smoketest import errands, history, runner
from smoketest.history import NothingKnown
from smoketest.options import Options
from smoketest.past import AGE, RELEASE
from smoketest.results import Node, Outcome, Report, TestResult
from smoketest.selection import Selection
from tests import servers
from tests.conftest import MakeApp, Outside, reachable

ALL = Selection()
SECRET = "a-password-of-the-cache"
KINDS = ["locmem", "files", "database", "redis", "memcached"]


@pytest.fixture(autouse=True)
def _own_memory() -> Iterator[None]:
    """Give each test a cache in memory that nobody has written to."""
    with override_settings(CACHES=locmem()):
        cache.clear()
        yield


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Server]:
    with reachable(servers.redis()) as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[servers.Server]:
    with reachable(servers.memcached()) as server:
        yield server


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Let the default cache be of each kind."""
    kind = str(request.param)
    with configured(kind, request, tmp_path):
        yield kind


def configured(kind: str, request: pytest.FixtureRequest, folder: Path) -> ExitStack:
    stack = ExitStack()
    if kind == "files":
        stack.enter_context(override_settings(CACHES=files(folder)))
    if kind == "redis":
        stack.enter_context(override_settings(CACHES=on_redis(request.getfixturevalue("redis"))))
    if kind == "memcached":
        server = request.getfixturevalue("memcached")
        name = "django.core.cache.backends.memcached.PyMemcacheCache"
        location = f"{server.host}:{server.port}"
        stack.enter_context(override_settings(CACHES=caches_of(name, location)))
    if kind == "database":
        request.getfixturevalue("sqlite")
        stack.enter_context(in_database())
    cache.clear()
    return stack


def locmem() -> dict[str, Any]:
    return caches_of("django.core.cache.backends.locmem.LocMemCache", "history")


def files(folder: Path) -> dict[str, Any]:
    return caches_of("django.core.cache.backends.filebased.FileBasedCache", str(folder / "cache"))


def on_redis(server: servers.Server) -> dict[str, Any]:
    return caches_of("django.core.cache.backends.redis.RedisCache", server.url("redis"))


def caches_of(backend: str, location: str) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "LOCATION": location}}


class in_database(override_settings):  # noqa: N801 - it is called as its parent is
    """A cache in the database, in a table that is made for it and dropped by the fixture."""

    def __init__(self) -> None:
        name = "django.core.cache.backends.db.DatabaseCache"
        super().__init__(CACHES=caches_of(name, "smoke_cache"))

    def enable(self) -> None:
        super().enable()
        call_command("createcachetable", verbosity=0)


def report(*outcomes: Outcome, ago: float = 1.0, duration: float = 0.5, **values: Any) -> Report:
    """Return a report that ended ``ago`` seconds ago."""
    results = [
        TestResult(id=f"shop.smoke.T.test_{number}", outcome=outcome)
        for number, outcome in enumerate(outcomes or (Outcome.PASSED,))
    ]
    started_at = datetime.now(UTC) - timedelta(seconds=ago + duration)
    values = {"started_at": started_at, "duration": duration, "node": "web-1"} | values
    return Report.from_results(results, selected=len(results), **values)


FAILING = (Outcome.PASSED, Outcome.FAILED, Outcome.ERRORED)


# -- what is remembered


def test_a_run_is_remembered_in_every_kind_of_cache(backend: str) -> None:
    written = report(*FAILING, release="7", role="web")
    history.record(written, ALL)
    (past,) = history.recent(ALL, "web")
    assert past == written.as_past()
    assert (past.status, past.tests, past.failed) == ("FAIL", 3, 2)
    assert past.names == ("shop.smoke.T.test_1", "shop.smoke.T.test_2")
    latest = history.latest(ALL, "web")
    assert replace(latest, cached=False, age=0.0, recent=()) == written
    assert latest.cached
    assert latest.recent == (past,)
    assert 1.0 <= latest.age < 3600


def test_the_ring_has_the_last_runs_in_their_order_in_every_kind_of_cache(backend: str) -> None:
    with override_settings(SMOKETEST_HISTORY=3):
        for number in range(8):
            history.record(report(ago=80 - number, release=str(number)), ALL)
        assert [past.release for past in history.recent(ALL, "")] == ["5", "6", "7"]
        assert history.latest(ALL, "").release == "7"


def test_each_selection_has_its_own_runs() -> None:
    tagged = Selection(tags=("db", "mail"))
    history.record(report(*FAILING), tagged)
    assert history.recent(ALL, "") == ()
    assert len(history.recent(Selection(tags=("mail", "db")), "")) == 1
    with pytest.raises(NothingKnown):
        history.latest(Selection(labels=("db", "mail")), "")


def test_a_run_of_one_role_says_nothing_of_the_other() -> None:
    history.record(report(role="worker"), ALL)
    assert history.recent(ALL, "web") == ()
    with pytest.raises(NothingKnown):
        history.latest(ALL, "web")
    assert history.latest(ALL, "worker").passed


def test_a_run_of_every_test_covers_each_role() -> None:
    history.record(report(ago=9, role="web"), ALL)
    history.record(report(*FAILING, ago=5), ALL)
    assert [past.role for past in history.recent(ALL, "web")] == ["web", ""]
    assert not history.latest(ALL, "web").passed
    history.record(report(ago=1, role="web"), ALL)
    assert history.latest(ALL, "web").passed


@pytest.mark.parametrize(
    "written",
    [
        report(nodes=(Node(name="web-1", passed=True),)),
        report(interrupted=True),
    ],
    ids=["a fleet's", "interrupted"],
)
def test_what_says_nothing_of_this_site_is_not_remembered(written: Report) -> None:
    history.record(written, ALL)
    assert history.recent(ALL, "") == ()


def test_0_switches_it_off_whatever_the_cache_is() -> None:
    with override_settings(SMOKETEST_HISTORY=0, SMOKETEST_HISTORY_CACHE="no such"):
        history.record(report(), ALL)
        assert history.recent(ALL, "") == ()
        with pytest.raises(NothingKnown, match="SMOKETEST_HISTORY is 0"):
            history.latest(ALL, "")
    assert history.recent(ALL, "") == ()


def test_the_cache_is_the_one_that_the_setting_names() -> None:
    other = caches_of("django.core.cache.backends.locmem.LocMemCache", "other")["default"]
    with override_settings(CACHES=locmem() | {"other": other}, SMOKETEST_HISTORY_CACHE="other"):
        caches["other"].clear()
        history.record(report(), ALL)
        assert len(history.recent(ALL, "")) == 1
    assert history.recent(ALL, "") == ()


# -- never a pass by mistake


def test_nothing_stored_is_not_known() -> None:
    with pytest.raises(NothingKnown, match="Run the tests once"):
        history.latest(ALL, "web")


def test_a_run_that_is_too_old_does_not_pass_and_says_so() -> None:
    history.record(report(ago=100), ALL)
    assert history.latest(ALL, "").passed
    latest = history.latest(ALL, "", max_age=90)
    assert not latest.passed
    assert latest.results[0].id == AGE
    assert "ended 0:01:40 ago, and one that is older than 0:01:30 says nothing" in (
        latest.results[0].message
    )
    assert latest.counts.errored == 1
    assert latest.exit_status == 1


def test_by_default_an_hour_is_too_old() -> None:
    history.record(report(ago=3700), ALL)
    assert not history.latest(ALL, "").passed
    assert history.latest(ALL, "", max_age=4000).passed


def test_a_clock_that_is_ahead_makes_no_run_fresh() -> None:
    history.record(report(ago=-1000), ALL)
    latest = history.latest(ALL, "")
    assert not latest.passed
    assert "by the clock of its node" in latest.results[0].message


@override_settings(SMOKETEST_RELEASE="8")
def test_a_run_of_another_release_is_a_warning() -> None:
    history.record(report(release="7"), ALL)
    latest = history.latest(ALL, "")
    assert latest.passed
    assert latest.counts.warned == 1
    assert latest.results[0].id == RELEASE
    assert "'7'" in latest.results[0].message
    assert "'8'" in latest.results[0].message


@pytest.mark.parametrize("release", ["8", ""])
@override_settings(SMOKETEST_RELEASE="8")
def test_a_run_of_the_same_or_no_release_is_none(release: str) -> None:
    history.record(report(release=release), ALL)
    assert history.latest(ALL, "").counts.warned == 0


def test_an_older_pass_does_not_stand_in_for_a_report_that_is_lost() -> None:
    history.record(report(ago=50), ALL)
    history.record(report(*FAILING, ago=1), ALL)
    place = history._place(ALL, "")
    cache.delete(f"{place}.report.2")
    assert len(history.recent(ALL, "")) == 2
    with pytest.raises(NothingKnown, match="ended with FAIL, but its report is not in the cache"):
        history.latest(ALL, "")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", "text", None, 5, {"a": 1}, ()),
        *((1.0, b"no zlib"), (1.0, zlib.compress(b"{}")), (1.0, zlib.compress(b"[1]"))),
        *((1.0, zlib.compress(b"text")), ("1", b""), json.dumps({"passed": True}), "[]", "5"),
    ],
    ids=repr,
)
def test_what_nobody_can_read_is_as_if_it_was_not_there(value: object) -> None:
    history.record(report(), ALL)
    place = history._place(ALL, "")
    for kind in ("report", "entry"):
        for slot in range(50):
            cache.set(f"{place}.{kind}.{slot}", value)
    assert history.recent(ALL, "") == ()
    with pytest.raises(NothingKnown):
        history.latest(ALL, "")


def test_a_verdict_is_kept_where_the_results_alone_would_pass() -> None:
    history.record(replace(report(), passed=False), ALL)
    assert not history.latest(ALL, "").passed


# -- many processes


def test_a_counter_that_was_lost_loses_no_order() -> None:
    for number in range(5):
        history.record(report(ago=50 - number, release=str(number)), ALL)
    cache.delete(f"{history._place(ALL, '')}.number")
    history.record(report(ago=1, release="5"), ALL)
    assert [one.release for one in history.recent(ALL, "")] == ["1", "2", "3", "4", "5"]
    assert history.latest(ALL, "").release == "5"


@pytest.mark.parametrize("kind", ["redis", "memcached", "locmem"])
def test_runs_that_end_at_the_same_time_are_all_remembered(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with configured(kind, request, tmp_path):
        together = threading.Barrier(8)

        def record(number: int) -> None:
            together.wait()
            history.record(report(release=str(number)), ALL)

        threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        releases = {past.release for past in history.recent(ALL, "")}
        assert releases == {str(number) for number in range(8)}


# -- databases


SMOKE = """
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    class ShopTest(SmokeTest):
        def test_writes(self):
            Item.objects.create(name="smoke")
"""


@pytest.mark.usefixtures("vendor")
def test_a_run_is_recorded_in_the_database_though_its_tests_are_rolled_back(
    make_app: MakeApp, outside: Outside
) -> None:
    make_app("shop", {"smoke.py": SMOKE})
    with in_database():
        ran = runner.run(options=Options(role="web"))
        history.record(ran, ALL)
        assert outside("SELECT name FROM testapp_item") == []
        # The counter, the entry, and the report.
        assert outside("SELECT COUNT(*) FROM smoke_cache") == [(3,)]
        assert history.latest(ALL, "web").passed


@pytest.mark.usefixtures("vendor")
def test_nothing_that_is_written_expires_before_its_time(outside: Outside) -> None:
    """Nor the counter, of which this backend would make something of five minutes."""
    with in_database():
        history.record(report(), ALL)
        history.record(report(), ALL)
        later = datetime.now(UTC) + timedelta(days=89)
        rows = outside(f"SELECT COUNT(*) FROM smoke_cache WHERE expires > '{later:%Y-%m-%d}'")
        assert rows == [(5,)]


@pytest.mark.usefixtures("vendor")
def test_inside_the_callers_transaction_nothing_is_recorded(outside: Outside) -> None:
    with in_database():
        with transaction.atomic():
            history.record(report(), ALL)
        assert outside("SELECT COUNT(*) FROM smoke_cache") == [(0,)]


@pytest.mark.usefixtures("vendor")
def test_inside_the_callers_transaction_the_last_run_can_be_read() -> None:
    with in_database():
        history.record(report(), ALL)
        with transaction.atomic():
            assert history.latest(ALL, "").passed


@pytest.mark.usefixtures("vendor")
def test_a_broken_connection_of_the_caller_does_not_matter() -> None:
    """It is closed under its feet, as by a test that was cut off."""
    with in_database():
        connection.ensure_connection()
        connection.connection.close()
        history.record(report(), ALL)
        assert history.latest(ALL, "").passed
        connection.connection = None


# -- a cache that is down


def test_a_cache_that_refuses_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    location = f"redis://:{SECRET}@127.0.0.1:{servers.free_port()}/"
    with override_settings(
        CACHES=caches_of("django.core.cache.backends.redis.RedisCache", location)
    ):
        check_unavailable(caplog)
    assert "Connection refused" in caplog.text


class Talkative(BaseCache):
    """A cache whose errors name its address, with the password."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        raise ConnectionError(f"no answer from {location}")


def test_the_warning_has_no_password(caplog: pytest.LogCaptureFixture) -> None:
    location = f"redis://:{SECRET}@cache.example/0"
    with override_settings(CACHES=caches_of("tests.test_history.Talkative", location)):
        check_unavailable(caplog)
    assert "no answer from redis://:" in caplog.text
    assert SECRET not in caplog.text


def test_a_redis_that_dies_is_neither_a_pass_nor_an_error_of_the_run(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMOKETEST_TEST_REDIS", raising=False)
    with reachable(servers.redis()) as server, override_settings(CACHES=on_redis(server)):
        history.record(report(), ALL)
        assert history.latest(ALL, "").passed
    with override_settings(CACHES=on_redis(server)):
        check_unavailable(caplog)


def test_a_cache_that_hangs_is_waited_for_once_and_a_moment(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        location = f"redis://127.0.0.1:{silent.getsockname()[1]}/"
        with override_settings(
            CACHES=caches_of("django.core.cache.backends.redis.RedisCache", location)
        ):
            check_unavailable(caplog)
        assert caplog.text.count(f"within {errands.PATIENCE:g} s") == 1
        assert caplog.text.count("an earlier access has not come back yet") == 2
        peer, _ = silent.accept()
        peer.close()
    errands._late["the cache"].join()


@pytest.mark.parametrize(
    "settings",
    [
        {"SMOKETEST_HISTORY_CACHE": "no such"},
        {"CACHES": caches_of("no.such.Backend", "")},
        {"CACHES": caches_of("django.core.cache.backends.db.DatabaseCache", "no_such_table")},
    ],
    ids=["alias", "backend", "table"],
)
@pytest.mark.usefixtures("sqlite")
def test_a_cache_that_is_not_there_costs_a_warning(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(**settings):
        check_unavailable(caplog)


@pytest.mark.parametrize("name", ["SMOKETEST_HISTORY", "SMOKETEST_HISTORY_CACHE"])
def test_an_unusable_setting_does_not_cost_a_run_its_report(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(**{name: object()}):
        history.record(report(), ALL)
        assert history.recent(ALL, "") == ()
    assert f"{name} is" in caplog.text


def check_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    history.record(report(), ALL)
    assert history.recent(ALL, "") == ()
    with pytest.raises(NothingKnown, match="could not be read; the log has the reason"):
        history.latest(ALL, "")
    warnings = [one for one in caplog.records if one.name == "smoketest"]
    assert len(warnings) == 3
    assert all("history of the smoke tests is not available" in one.message for one in warnings)


# -- the values


def test_the_past_travels_with_the_report() -> None:
    past = report(*FAILING).as_past()
    written = replace(report(), recent=(past, past))
    assert Report.from_dict(json.loads(json.dumps(written.to_dict()))) == written
