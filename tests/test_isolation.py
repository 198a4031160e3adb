"""Transactions of smoke tests: when they begin, what they cost, what is left of them."""

from __future__ import annotations

import io
import os
import re
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.test.runner import DiscoverRunner

from smoketest import SmokeTest, isolation, scheduling
from smoketest.exceptions import Refused
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from smoketest.timeouts import Stretch
from tests.conftest import Outside
from tests.databases import Database, pointed_at
from tests.proxy import Proxy, proxy
from tests.testapp.models import Item

SESSIONS = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()"
    ),
}
NAMES = "SELECT name FROM testapp_item ORDER BY name"


on_servers = pytest.mark.parametrize("vendor", ["postgresql", "mysql"], indirect=True)
"""SQLite has no connection that could be counted, killed or configured."""


def made(**methods: Callable[..., Any]) -> type[SmokeTest]:
    """A class of smoke tests."""
    return type("Made", (SmokeTest,), {**methods, "__test__": False})


def run(*classes: type[SmokeTest], **options: Any) -> list[TestResult]:
    """Run all tests of ``classes``, one after another on one worker."""
    loader = unittest.TestLoader()
    tests = [cls(name) for cls in classes for name in loader.getTestCaseNames(cls)]
    chosen = Options(**{"parallel": 1, "lock_timeout": 1.0, **options})
    deadline = time.monotonic() + chosen.deadline
    results, _ = scheduling.execute(scheduling.Run(cast(Any, tests), chosen, deadline))
    return results


def passed(*classes: type[SmokeTest], **options: Any) -> None:
    """Run ``classes``, and fail with the first traceback if not all of it passes."""
    for result in run(*classes, **options):
        assert result.outcome is Outcome.PASSED, result.traceback


def sessions(outside: Outside, vendor: str) -> int:
    """How many connections somebody has to `default`, besides the one that asks."""
    if vendor != "sqlite":
        return int(outside(SESSIONS[vendor])[0][0])
    path = os.path.realpath(connections.settings["default"]["NAME"])
    opened = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            opened += os.path.realpath(descriptor) == path
    return opened


def wait_until_gone(outside: Outside, vendor: str) -> None:
    """Return when nobody is connected; a server notices a closed connection a little later."""
    end = time.monotonic() + 5
    while sessions(outside, vendor):
        assert time.monotonic() < end, "a connection is left"
        time.sleep(0.01)


@contextmanager
def configured(**changes: Any) -> Iterator[None]:
    """Let `default` and `other` have other settings for as long as the block lasts."""
    entries = {
        alias: SimpleNamespace(settings={**settings.DATABASES[alias], **changes})
        for alias in ("default", "other")
    }
    with pointed_at(cast(dict[str, Database], entries)):
        yield


def insert(test: Any) -> None:
    Item.objects.create(name="smoke")


# -- when it begins, and what that costs


def test_untouched_database_gets_no_connection(vendor: str, outside: Outside) -> None:
    seen = []

    def test_nothing(self: SmokeTest) -> None:
        seen.append(sessions(outside, vendor))
        Item.objects.count()
        seen.append(sessions(outside, vendor))

    passed(made(test_nothing=test_nothing))
    assert seen == [0, 1]


def test_second_database_is_left_alone_where_only_the_first_is_used(
    postgresql: Any, outside: Outside
) -> None:
    seen = []

    def test_first(self: SmokeTest) -> None:
        Item.objects.count()
        seen.append(outside(SESSIONS["postgresql"], "other")[0][0])

    passed(made(test_first=test_first))
    assert seen == [0]


@pytest.fixture
def counting(vendor: str) -> Iterator[Proxy]:
    """Django's way to the server leads through a proxy."""
    entry = settings.DATABASES["default"]
    with (
        proxy(entry["HOST"], int(entry["PORT"])) as counter,
        configured(HOST="127.0.0.1", PORT=str(counter.port)),
    ):
        yield counter


@on_servers
@pytest.mark.parametrize("queries", [0, 1, 3])
def test_round_trips_are_the_queries_and_two_more(counting: Proxy, queries: int) -> None:
    counts = []

    def test_a_warm(self: SmokeTest) -> None:
        Item.objects.count()

    def test_b(self: SmokeTest) -> None:
        counts.append(counting.round_trips)
        for _ in range(queries):
            Item.objects.count()

    def test_c(self: SmokeTest) -> None:
        counts.append(counting.round_trips)

    passed(made(test_a_warm=test_a_warm, test_b=test_b, test_c=test_c))
    assert counts[1] - counts[0] == (queries + 2 if queries else 0)
    assert counting.connections == 1


def statement_time() -> str:
    """Seconds that a statement may take on MariaDB, or one that reads on MySQL."""
    is_mariadb = getattr(connection, "mysql_is_mariadb", True)
    return "@@max_statement_time" if is_mariadb else "@@max_execution_time / 1000"


def test_limits_are_the_transactions_own(vendor: str, outside: Outside) -> None:
    queries = {
        "postgresql": (
            "SELECT name, setting::int FROM pg_settings WHERE name IN"
            " ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')"
        ),
        "mysql": f"SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, {statement_time()}",
        "sqlite": "PRAGMA busy_timeout",
    }
    rows: list[Any] = []

    def test_limits(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute(queries[vendor])
            rows.extend(cursor.fetchall())

    passed(made(test_limits=test_limits), timeout=3)
    if vendor == "postgresql":
        limits = dict(rows)
        assert limits.pop("lock_timeout") == 1000
        assert len(limits) == 2
        assert all(0 < limit <= 3250 for limit in limits.values())  # a net below our own
    elif vendor == "mysql":
        assert rows[0][:2] == (1, 1)
        assert 0 < rows[0][2] <= 3.25
    else:
        assert rows == [(1000,)]


def test_wait_for_a_connection_is_no_part_of_the_duration(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, waits = threading.Event(), threading.Event()

    def pause(self: Stretch) -> None:
        really_pause(self)
        waits.set()

    def test_a(self: SmokeTest) -> None:
        Item.objects.count()
        holds.set()
        waits.wait(10)
        threading.Event().wait(0.2)

    def test_b(self: SmokeTest) -> None:
        holds.wait(10)
        Item.objects.count()

    really_pause = Stretch.pause
    monkeypatch.setattr(Stretch, "pause", pause)
    begin = time.monotonic()
    results = run(made(test_a=test_a), made(test_b=test_b), parallel=2, max_connections=1)
    total = time.monotonic() - begin
    assert [result.outcome for result in results] == [Outcome.PASSED] * 2
    assert results[1].duration <= total - 0.19


def test_deadline_says_what_waited_for_a_connection(vendor: str) -> None:
    holds, over = threading.Event(), threading.Event()

    def test_a(self: SmokeTest) -> None:
        Item.objects.count()
        holds.set()
        over.wait(10)

    def test_b(self: SmokeTest) -> None:
        holds.wait(10)
        Item.objects.count()

    try:
        results = run(
            made(test_a=test_a), made(test_b=test_b), parallel=2, max_connections=1, deadline=2.0
        )
    finally:
        over.set()
    # Or its own wait ends a moment before the run does.
    assert re.search("it waited for a connection|found no free connection", results[1].message)


def test_callbacks_of_a_commit_can_be_run_inside_the_test(vendor: str, outside: Outside) -> None:
    def test_commit(self: SmokeTest) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            transaction.on_commit(lambda: insert(self))
            self.assertFalse(Item.objects.exists())
        self.assertEqual(len(callbacks), 1)
        self.assertEqual(Item.objects.count(), 1)

    passed(made(test_commit=test_commit))
    assert outside(NAMES) == []


def test_wait_for_a_lock_ends_at_the_lock_timeout(
    vendor: str, outside: Outside, outside_connection: Callable[..., Any]
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('locked')")
    cursor = outside_connection().cursor()
    cursor.execute("BEGIN IMMEDIATE" if vendor == "sqlite" else "BEGIN")
    cursor.execute("UPDATE testapp_item SET name = 'held'")

    def test_waits(self: SmokeTest) -> None:
        Item.objects.update(name="smoke")

    [result] = run(made(test_waits=test_waits))
    cursor.execute("ROLLBACK")
    cursor.close()
    assert result.outcome is Outcome.ERRORED
    assert not result.timed_out
    assert 0.9 < result.duration < 4.5  # SQLite itself waits for 5 s
    assert outside(NAMES) == [("locked",)]


def test_kept_connection_is_the_same_for_every_test(vendor: str) -> None:
    seen = []

    def test_looks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            driver = connection.connection
            seen.append((id(driver), type(driver).__mro__, type(cursor.cursor).__mro__))

    passed(made(**{f"test_{number}": test_looks for number in range(5)}))
    assert len(seen) == 5
    assert len(set(seen)) == 1


@on_servers
def test_second_connection_that_a_test_has_made_is_closed(vendor: str, outside: Outside) -> None:
    def test_forgets(self: SmokeTest) -> None:
        Item.objects.count()
        del connections["default"]
        Item.objects.count()

    passed(made(test_forgets=test_forgets))
    wait_until_gone(outside, vendor)


def test_limit_of_a_short_test_does_not_stay_for_the_next(vendor: str) -> None:
    queries = {
        "postgresql": "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)",
        "mysql": f"SELECT {statement_time()}",
        "sqlite": "PRAGMA busy_timeout",
    }
    seen: list[float] = []

    def test_asks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute(queries[vendor])
            seen.append(float(cursor.fetchone()[0]))

    short, long = made(test_asks=test_asks), made(test_asks=test_asks)
    short.timeout = 0.5
    passed(long, short, long, timeout=5)
    first, second, third = seen
    assert second < first
    assert third == pytest.approx(first, rel=0.1)


def test_limit_that_a_test_sets_itself_does_not_stay_for_the_next(sqlite: Any) -> None:
    seen = []

    def test_a_sets(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 17")

    def test_b_asks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            seen.append(cursor.fetchone())

    passed(made(test_a_sets=test_a_sets, test_b_asks=test_b_asks))
    assert seen == [(1000,)]


# -- how far it reaches


def test_class_fixture_is_seen_by_each_test_and_gone_after_the_class(
    vendor: str, outside: Outside
) -> None:
    def set_up(cls: type[SmokeTest]) -> None:
        Item.objects.create(name="fixture")
        Item.objects.using("other").create(name="fixture")

    def test_sees_only_the_fixture(self: SmokeTest) -> None:
        for alias in ("default", "other"):
            names = Item.objects.using(alias).values_list("name", flat=True)
            self.assertEqual(list(names), ["fixture"])
            Item.objects.using(alias).create(name="smoke")
            Item.objects.using(alias).filter(name="fixture").delete()

    fixed = made(
        setUpClass=cast(Any, classmethod(set_up)),
        test_a=test_sees_only_the_fixture,
        test_b=test_sees_only_the_fixture,
    )

    def test_sees_nothing(self: SmokeTest) -> None:
        self.assertFalse(Item.objects.exists())

    passed(fixed, made(test_sees_nothing=test_sees_nothing))
    assert outside(NAMES) == outside(NAMES, "other") == []


@on_servers
def test_class_fixture_outlives_the_limit_of_one_test(vendor: str) -> None:
    def set_up(cls: type[SmokeTest]) -> None:
        Item.objects.create(name="fixture")

    def test_takes_longer(self: SmokeTest) -> None:
        time.sleep(1.2)  # the shortest limit of an idle transaction on MariaDB is 1 s
        self.assertTrue(Item.objects.filter(name="fixture").exists())

    slow = made(setUpClass=cast(Any, classmethod(set_up)), test_takes_longer=test_takes_longer)
    slow.timeout = 5
    passed(slow, timeout=0.3)


def test_error_in_one_test_leaves_the_class_fixture_whole(vendor: str, outside: Outside) -> None:
    def set_up(cls: type[SmokeTest]) -> None:
        Item.objects.create(name="fixture")

    def test_a_breaks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column FROM testapp_item")

    def test_b_works(self: SmokeTest) -> None:
        Item.objects.get(name="fixture")

    fixed = made(
        setUpClass=cast(Any, classmethod(set_up)),
        test_a_breaks=test_a_breaks,
        test_b_works=test_b_works,
    )
    assert [result.outcome for result in run(fixed)] == [Outcome.ERRORED, Outcome.PASSED]
    assert outside(NAMES) == []


def test_inside_the_callers_transaction_its_rows_are_seen_and_stay(
    vendor: str, outside: Outside
) -> None:
    def test_sees_them(self: SmokeTest) -> None:
        self.assertEqual(Item.objects.get().name, "callers")
        Item.objects.create(name="smoke")
        with transaction.atomic(durable=True):
            Item.objects.filter(name="smoke").update(name="changed")

    with transaction.atomic():
        Item.objects.create(name="callers")
        passed(made(test_sees_them=test_sees_them))
        assert connection.in_atomic_block
        assert list(Item.objects.values_list("name", flat=True)) == ["callers"]
        assert outside(NAMES) == []
    assert outside(NAMES) == [("callers",)]


def test_commit_inside_the_callers_transaction_is_refused(vendor: str, outside: Outside) -> None:
    def test_commits(self: SmokeTest) -> None:
        with connection.cursor() as cursor, self.assertRaisesMessage(Refused, "'COMMIT'"):
            cursor.execute("COMMIT")

    with transaction.atomic():
        Item.objects.create(name="callers")
        made(test_commits=test_commits)("test_commits").debug()
        assert outside(NAMES) == []
        transaction.set_rollback(True)
    assert outside(NAMES) == []


def test_caller_without_autocommit_keeps_what_it_has_not_committed(
    vendor: str, outside: Outside
) -> None:
    transaction.set_autocommit(False)
    try:
        Item.objects.create(name="callers")
        made(test_writes=insert)("test_writes").debug()
        assert not transaction.get_autocommit()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert outside(NAMES) == [("callers",)]


def by_unittest(cls: type[SmokeTest]) -> None:
    suite = unittest.TestLoader().loadTestsFromTestCase(cls)
    assert unittest.TextTestRunner(io.StringIO()).run(suite).wasSuccessful()


def by_debug(cls: type[SmokeTest]) -> None:
    cls("test_writes").debug()


def by_django(cls: type[SmokeTest]) -> None:
    suite = unittest.TestLoader().loadTestsFromTestCase(cls)
    result = cast(Any, DiscoverRunner(verbosity=0)).run_suite(suite, stream=io.StringIO())
    assert result.wasSuccessful()


def by_call(cls: type[SmokeTest]) -> None:
    result = unittest.TestResult()
    cls("test_writes")(result)
    assert result.wasSuccessful()


@pytest.mark.parametrize("way", [by_unittest, by_debug, by_django, by_call])
def test_nothing_is_left_by_any_runner(
    vendor: str, outside: Outside, way: Callable[[type[SmokeTest]], None]
) -> None:
    def set_up(cls: type[SmokeTest]) -> None:
        Item.objects.create(name="fixture")

    fixture = {} if way in (by_debug, by_call) else {"setUpClass": classmethod(set_up)}
    way(made(test_writes=insert, **cast(Any, fixture)))
    assert outside(NAMES) == []


@pytest.mark.parametrize("way", [by_unittest, by_debug])
def test_commit_is_refused_by_any_runner(
    vendor: str, outside: Outside, way: Callable[[type[SmokeTest]], None]
) -> None:
    def test_writes(self: SmokeTest) -> None:
        insert(self)
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")

    with pytest.raises(Exception, match=r"COMMIT|wasSuccessful"):
        way(made(test_writes=test_writes))
    assert outside(NAMES) == []


def test_database_that_is_not_declared_is_refused_by_name(vendor: str) -> None:
    def test_other(self: SmokeTest) -> None:
        Item.objects.using("other").exists()

    declared = made(test_other=test_other)
    declared.databases = {"default"}
    [result] = run(declared)
    assert result.outcome is Outcome.ERRORED
    assert "used the database 'other', which its `databases` does not name" in result.message


# -- when the connection breaks


@on_servers
@pytest.mark.parametrize("when", ["in a test", "between two tests"])
def test_killed_connection_hits_no_other_test(vendor: str, outside: Outside, when: str) -> None:
    ident = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}[vendor]
    kill = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}[vendor]
    idents = []

    def note(self: SmokeTest) -> None:
        insert(self)
        with connection.cursor() as cursor:
            cursor.execute(ident)
            idents.extend(cursor.fetchone())

    def test_a(self: SmokeTest) -> None:
        note(self)
        if when == "in a test":
            outside(kill.format(idents[-1]))
            self.assertTrue(Item.objects.exists())

    def test_b(self: SmokeTest) -> None:
        if when == "between two tests":
            outside(kill.format(idents[-1]))
        self.assertFalse(Item.objects.exists())

    results = run(made(test_a=test_a, test_b=test_b))
    first = Outcome.ERRORED if when == "in a test" else Outcome.PASSED
    assert [result.outcome for result in results] == [first, Outcome.PASSED], results[1].traceback
    assert outside(NAMES) == []
    wait_until_gone(outside, vendor)


def test_unreachable_database_fails_only_the_test_that_uses_it(vendor: str) -> None:
    if vendor == "sqlite":
        entry: dict[str, Any] = {"NAME": "/nowhere/at/all.sqlite3"}
    else:
        entry = {"PORT": "1"}

    def test_a_uses_it(self: SmokeTest) -> None:
        Item.objects.exists()

    def test_b_does_not(self: SmokeTest) -> None:
        pass

    with configured(**entry):
        results = run(made(test_a_uses_it=test_a_uses_it, test_b_does_not=test_b_does_not))
    assert [result.outcome for result in results] == [Outcome.ERRORED, Outcome.PASSED]
    assert "OperationalError" in results[0].message


# -- what is left of it


def test_run_leaves_no_connection_behind(vendor: str, outside: Outside) -> None:
    def test_fails(self: SmokeTest) -> None:
        insert(self)
        self.fail()

    def test_copies(self: SmokeTest) -> None:
        with connection.copy().cursor() as cursor:
            cursor.execute("SELECT 1")

    run(made(test_writes=insert, test_fails=test_fails, test_copies=test_copies), parallel=3)
    wait_until_gone(outside, vendor)


def state_of(wrapper: Any) -> dict[str, Any]:
    driver = wrapper.connection
    state = {
        "class": type(wrapper),
        "driver's class": type(driver),
        **{
            name: getattr(wrapper, name)
            for name in (
                "autocommit", "in_atomic_block", "commit_on_exit", "needs_rollback",
                "savepoint_ids", "run_on_commit", "execute_wrappers", "isolation_level",
            )
            if hasattr(wrapper, name)
        },
        "autocommit of the driver": (
            driver.get_autocommit() if wrapper.vendor == "mysql" else
            getattr(driver, "autocommit", None)
        ),
        **{
            f"{name} of the driver": getattr(driver, name)
            for name in ("isolation_level", "read_only", "cursor_factory", "in_transaction")
            if hasattr(driver, name)
        },
    }  # fmt: skip
    asked = {
        "sqlite": ["PRAGMA busy_timeout", "PRAGMA query_only", "PRAGMA foreign_keys"],
        "postgresql": [
            f"SHOW {name}"
            for name in ("lock_timeout", "statement_timeout", "transaction_read_only")
        ],
        "mysql": ["SELECT @@autocommit, @@innodb_lock_wait_timeout, @@sql_mode", SHOWN["mysql"]],
    }
    with wrapper.cursor() as cursor:
        for query in asked[wrapper.vendor]:
            cursor.execute(query)
            state[query] = cursor.fetchall()
    return state


def test_callers_connection_is_as_it_was(vendor: str, outside: Outside) -> None:
    wrapper = connections["default"]
    wrapper.ensure_connection()
    wrapper.execute_wrappers.append(lambda execute, *args: execute(*args))
    driver, before = wrapper.connection, state_of(wrapper)
    by_unittest(made(test_writes=insert))
    assert wrapper.connection is driver
    assert state_of(wrapper) == before
    Item.objects.create(name="kept")
    assert outside(NAMES) == [("kept",)]


def test_callers_sqlite_connection_has_no_authorizer_left(sqlite: Any, outside: Outside) -> None:
    Item.objects.count()
    by_unittest(made(test_writes=insert))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA user_version = 3")
    assert outside("PRAGMA user_version") == [(3,)]
    outside("PRAGMA user_version = 0")


def test_notification_is_never_sent(postgresql: Any, outside_connection: Any) -> None:
    listener = outside_connection()
    listener.execute("LISTEN smoke")

    def test_notifies(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute("NOTIFY smoke")

    passed(made(test_notifies=test_notifies))
    listener.execute("NOTIFY smoke, 'the end'")
    payloads = [notify.payload for notify in listener.notifies(timeout=5, stop_after=1)]
    assert payloads == ["the end"]


# -- however the site is configured

LEVEL = {"postgresql": 4, "mysql": "serializable"}
SHOWN = {
    "postgresql": "SHOW transaction_isolation",
    "mysql": "SHOW VARIABLES WHERE variable_name IN ('tx_isolation', 'transaction_isolation')",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"CONN_MAX_AGE": 600},
        {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
        {"AUTOCOMMIT": False},
        {"ATOMIC_REQUESTS": True},
    ],
    ids=str,
)
def test_nothing_is_left_however_the_site_connects(
    vendor: str, outside: Outside, changes: dict[str, Any]
) -> None:
    def test_writes(self: SmokeTest) -> None:
        self.assertFalse(Item.objects.exists())
        with transaction.atomic():
            insert(self)
        self.client.get("/")
        self.assertEqual(Item.objects.count(), 1)

    with configured(**changes):
        passed(made(test_a=test_writes, test_b=test_writes))
        assert outside(NAMES) == []
        wait_until_gone(outside, vendor)


@on_servers
def test_isolation_level_of_the_site_is_that_of_the_test(vendor: str, outside: Outside) -> None:
    levels = []

    def test_level(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute(SHOWN[vendor])
            levels.append(cursor.fetchone()[-1])

    with configured(OPTIONS={"isolation_level": LEVEL[vendor]}):
        passed(made(test_level=test_level))
    assert [level.lower() for level in levels] == ["serializable"]


def test_run_takes_no_connection_from_the_sites_pool(postgresql: Any, outside: Outside) -> None:
    pytest.importorskip("psycopg_pool")

    def test_writes(self: SmokeTest) -> None:
        insert(self)

    with configured(OPTIONS={"pool": {"min_size": 1, "max_size": 1, "timeout": 2}}):
        try:
            Item.objects.count()  # this thread has the pool's only connection
            passed(made(test_writes=test_writes))
            assert outside(NAMES) == []
        finally:
            for alias in ("default", "other"):
                connections[alias].close()
                cast(Any, connections[alias]).close_pool()


def test_callers_connection_from_a_pool_goes_back_to_it(postgresql: Any, outside: Outside) -> None:
    pytest.importorskip("psycopg_pool")
    with configured(OPTIONS={"pool": {"min_size": 1, "max_size": 1, "timeout": 2}}):
        try:
            Item.objects.count()
            by_unittest(made(test_writes=insert))
            connection.close()
            Item.objects.create(name="kept")
            assert outside(NAMES) == [("kept",)]
        finally:
            for alias in ("default", "other"):
                connections[alias].close()
                cast(Any, connections[alias]).close_pool()


def test_wrapper_of_the_site_runs_only_in_the_transaction(vendor: str, outside: Outside) -> None:
    """What an audit log writes as it sees a query is rolled back with the test."""

    audited: list[str] = []

    def audit(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "audit" not in sql and not sql.startswith(("SELECT", "SET")):
            audited.append(sql)
            with context["connection"].cursor() as cursor:
                cursor.execute(f"INSERT INTO testapp_item (name) VALUES ('audit {len(audited)}')")
        return execute(sql, params, many, context)

    def test_writes(self: SmokeTest) -> None:
        with connection.execute_wrapper(audit):
            insert(self)
            self.assertEqual(Item.objects.count(), 1 + len(audited))

    passed(made(test_writes=test_writes))
    assert outside(NAMES) == []


def test_a_connection_made_between_two_tests_is_refused_on_a_thread_of_the_engine(
    vendor: str, outside: Outside
) -> None:
    """Connections are guarded as they are made, and here is no test to ask: only the thread."""
    errors: list[BaseException] = []

    def work() -> None:
        with isolation.guarded_thread(isolation.Limits()):
            try:
                Item.objects.create(name="between")
            except Refused as error:
                errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "between two smoke tests" in str(errors[0])
    assert outside("SELECT * FROM testapp_item") == []
