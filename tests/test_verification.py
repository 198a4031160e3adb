"""``--verify``: whether it tells a run whose work was committed from one that left nothing."""

from __future__ import annotations

import io
import itertools
import json
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client, override_settings

from smoketest import SmokeTest, isolation, runner, scheduling, verification
from smoketest.isolation.examining import Findings, _ask_mysql, _text
from smoketest.isolation.guard import GuardedConnection
from smoketest.isolation.proofs import Evidence
from smoketest.isolation.session import Session
from smoketest.isolation.sqlite import SQLiteGuard
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from smoketest.waiting import Waiting
from tests.conftest import Databases, MakeApp, Outside
from tests.escapes import INSERT, driver, driver_sql, end_by_xa, sql, takes_the_lock_away
from tests.projects import Project
from tests.test_isolation import configured, insert, made, on_servers
from tests.testapp.models import Item

NAMES = "SELECT name FROM testapp_item ORDER BY name"
VERDICT = "smoketest.verify.default"
TOKEN = "a-token-0123456789"


def verified(
    *classes: type[SmokeTest], **options: Any
) -> tuple[list[TestResult], list[TestResult]]:
    """Run all tests of ``classes``; return their results and the verdicts."""
    loader = unittest.TestLoader()
    tests = [cls(name) for cls in classes for name in loader.getTestCaseNames(cls)]
    chosen = Options(**{"parallel": 1, "lock_timeout": 1.0, **options})
    proofs = isolation.Proofs()
    deadline = time.monotonic() + chosen.deadline
    results, _ = scheduling.execute(
        scheduling.Run(cast(Any, tests), chosen, deadline, proofs=proofs)
    )
    return results, list(verification.verify(proofs, results))


def the_only(verdicts: list[TestResult]) -> TestResult:
    [verdict] = verdicts
    assert verdict.id == VERDICT
    return verdict


# -- nothing was committed


def test_run_that_left_nothing_is_a_pass_for_each_database_that_it_used(vendor: str) -> None:
    def test_both(self: SmokeTest) -> None:
        Item.objects.create(name="smoke")
        Item.objects.using("other").count()

    def test_breaks(self: SmokeTest) -> None:
        insert(self)
        sql("SELECT nonsense")

    results, verdicts = verified(made(test_both=test_both, test_breaks=test_breaks), parallel=4)
    assert [result.outcome for result in results] == [Outcome.PASSED, Outcome.ERRORED]
    assert [(one.id, one.outcome) for one in verdicts] == [
        (VERDICT, Outcome.PASSED),
        ("smoketest.verify.other", Outcome.PASSED),
    ]


def test_database_that_no_test_used_has_no_verdict(vendor: str) -> None:
    _, verdicts = verified(made(test_nothing=lambda self: None))
    assert verdicts == []


def test_class_fixture_and_thread_are_accounted_for(vendor: str) -> None:
    def set_up(cls: type[SmokeTest]) -> None:
        Item.objects.using("other").create(name="fixture")

    def test_thread(self: SmokeTest) -> None:
        thread = threading.Thread(target=lambda: Item.objects.create(name="thread"))
        thread.start()
        thread.join()

    fixed = made(setUpClass=cast(Any, classmethod(set_up)), test_fixture=lambda self: None)
    threaded = made(test_thread=test_thread)
    results, verdicts = verified(fixed, threaded)
    assert [result.outcome for result in results] == [Outcome.PASSED] * 2
    assert {one.id: one.outcome for one in verdicts} == {
        VERDICT: Outcome.PASSED,
        "smoketest.verify.other": Outcome.PASSED,
    }


def test_what_others_commit_meanwhile_is_no_fault(vendor: str, outside: Outside) -> None:
    def test_beside(self: SmokeTest) -> None:
        self.assertFalse(Item.objects.exists())
        if vendor != "sqlite":  # where a reader keeps a writer waiting
            outside("INSERT INTO testapp_item (name) VALUES ('of the site')")

    def test_later(self: SmokeTest) -> None:
        Item.objects.create(name="smoke")

    outside("INSERT INTO testapp_item (name) VALUES ('before')")
    outside("DELETE FROM testapp_item")
    _, verdicts = verified(made(test_beside=test_beside), made(test_later=test_later))
    assert the_only(verdicts).outcome is Outcome.PASSED


def test_test_that_was_cut_off_left_nothing(vendor: str, outside: Outside) -> None:
    over = threading.Event()

    def test_hangs(self: SmokeTest) -> None:
        Item.objects.create(name="smoke")
        over.wait()

    try:
        [result], verdicts = verified(made(test_hangs=test_hangs), timeout=0.3)
    finally:
        over.set()
    assert result.timed_out
    assert the_only(verdicts).outcome is Outcome.PASSED, the_only(verdicts).message
    assert outside(NAMES) == []


def test_test_that_unwinds_while_it_is_cut_off_left_nothing(
    sqlite: Databases, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutting, undone, closed = threading.Event(), threading.Event(), threading.Event()

    def let_it_unwind(self: SQLiteGuard, driver: Any) -> None:
        cutting.set()
        undone.wait(10)
        closed.wait(0.2)  # it must not be closed before it is cut off, however long that takes
        really_interrupt(self, driver)  # which the test may have closed meanwhile

    def test_unwinds(self: SmokeTest) -> None:
        Item.objects.create(name="smoke")
        cutting.wait(10)
        Item.objects.create(name="denied")

    def undo(self: SQLiteGuard, frame: Any) -> None:
        try:
            GuardedConnection.undo(self, frame)
        finally:
            undone.set()

    def close(self: Session) -> None:
        really_close(self)
        closed.set()

    really_close, really_interrupt = Session.close, SQLiteGuard._smoke_interrupt
    monkeypatch.setattr(SQLiteGuard, "_smoke_interrupt", let_it_unwind)
    monkeypatch.setattr(SQLiteGuard, "undo", undo, raising=False)
    monkeypatch.setattr(Session, "close", close)
    [result], verdicts = verified(made(test_unwinds=test_unwinds), timeout=0.3)
    for thread in threading.enumerate():
        if thread.name == "smoketest-abandons":
            thread.join()
    assert result.timed_out
    assert the_only(verdicts).outcome is Outcome.PASSED, the_only(verdicts).message
    assert outside(NAMES) == []


def test_test_that_was_chosen_as_the_victim_of_a_deadlock_left_nothing(
    mysql: Databases, outside: Outside, outside_connection: Callable[..., Any]
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('a'), ('b')")
    other = outside_connection()
    cursor = other.cursor()
    cursor.execute("BEGIN")
    cursor.execute("UPDATE testapp_item SET name = 'held' WHERE name = 'b'")
    for number in range(50):  # the one that has changed less is the victim
        cursor.execute(f"INSERT INTO testapp_item (name) VALUES ('{number}')")

    def test_deadlocks(self: SmokeTest) -> None:
        sql("UPDATE testapp_item SET name = 'smoke' WHERE name = 'a'")
        blocked = threading.Thread(
            target=lambda: cursor.execute("UPDATE testapp_item SET name = 'x' WHERE name = 'a'")
        )
        blocked.start()
        try:
            sql("UPDATE testapp_item SET name = 'smoke' WHERE name = 'b'")
        finally:
            blocked.join()

    [result], verdicts = verified(made(test_deadlocks=test_deadlocks), lock_timeout=5.0)
    cursor.execute("ROLLBACK")
    cursor.close()
    assert "1213" in result.message
    assert the_only(verdicts).outcome is Outcome.PASSED, the_only(verdicts).message


def test_standby_has_no_transaction_ids_and_can_be_verified_even_so(
    postgresql: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoketest.isolation.postgresql._TRANSACTION_ID", "SELECT ''")
    _, verdicts = verified(made(test_reads=lambda self: Item.objects.count()))
    assert the_only(verdicts).outcome is Outcome.PASSED


# -- something was


numbers = itertools.count(1)


def commits_and_begins_anew(test: Any) -> None:
    """What no look at the connection can tell: it is in a transaction as before."""
    driver_sql(INSERT.replace("escaped", f"escaped {next(numbers)}"))
    conn = driver()
    if connection.vendor == "sqlite":
        conn.set_authorizer(None)
        conn.execute("COMMIT")
        conn.execute("BEGIN")
    elif connection.vendor == "postgresql":
        sql("DO $$ BEGIN EXECUTE 'CLOSE ALL'; END $$")
        conn.pgconn.exec_(b"COMMIT; BEGIN")
    else:
        end_by_xa(conn, "XA COMMIT {} ONE PHASE")
        base = next(cls for cls in type(conn).__mro__ if cls.__module__.endswith("_mysql"))
        xa = cast(Any, connections["default"])._smoke_xa
        base.query(conn, f"XA START {xa}".encode())  # type: ignore[attr-defined]


def test_nothing_can_be_left_by_a_connection_to_a_standby_that_was_lost(
    postgresql: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby cancels by itself what is in the way of its primary."""

    def test_closes(self: SmokeTest) -> None:
        Item.objects.count()
        driver().close()

    monkeypatch.setattr("smoketest.isolation.postgresql._TRANSACTION_ID", "SELECT ''")
    _, verdicts = verified(made(test_closes=test_closes))
    assert the_only(verdicts).outcome is Outcome.PASSED, the_only(verdicts).message


def test_commit_that_nothing_else_notices_fails_the_run_and_names_the_test(
    vendor: str, outside: Outside
) -> None:
    [result], verdicts = verified(made(test_commits=commits_and_begins_anew))
    [(name,)] = outside(NAMES)
    assert name.startswith("escaped")
    assert result.outcome is Outcome.PASSED, "what follows would prove nothing"
    verdict = the_only(verdicts)
    assert verdict.outcome is Outcome.ERRORED
    assert "Something was committed to the database 'default'" in verdict.message
    assert "tests.test_isolation.Made.test_commits: " in verdict.message


def test_commit_past_a_broken_guard_fails_the_run(
    vendor: str, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GuardedConnection, "_smoke_blame", lambda *args: 0)
    _, verdicts = verified(made(test_commits=takes_the_lock_away), made(test_next=insert))
    assert outside(NAMES) == [("escaped",)]
    verdict = the_only(verdicts)
    assert verdict.outcome is Outcome.ERRORED
    assert "test_commits: " in verdict.message
    assert "test_next" not in verdict.message


def test_committed_transaction_is_told_by_the_server(postgresql: Databases) -> None:
    _, verdicts = verified(made(test_commits=takes_the_lock_away))
    assert "is committed" in the_only(verdicts).message


def test_prepared_transaction_is_told_by_the_server(mysql: Databases, outside: Outside) -> None:
    def test_prepares(self: SmokeTest) -> None:
        driver_sql(INSERT)
        end_by_xa(driver(), "XA PREPARE {}")
        driver().close()

    _, verdicts = verified(made(test_prepares=test_prepares))
    for row in outside("XA RECOVER"):
        outside(f"XA ROLLBACK '{_text(row[-1])}'")  # MariaDB's driver returns bytes
    assert "is prepared, so it can be committed" in the_only(verdicts).message


def test_many_commits_are_counted_and_some_are_named(sqlite: Databases) -> None:
    tests = {f"test_{number:02}": commits_and_begins_anew for number in range(13)}
    _, verdicts = verified(made(**tests))
    message = the_only(verdicts).message
    assert message.count("Made.test_") == 10
    assert message.endswith("and 3 more")


# -- nobody can tell


class Denied:
    """A cursor of MySQL's for a user without XA_RECOVER_ADMIN; MariaDB asks for no privilege."""

    def execute(self, statement: str) -> None:
        if statement == "XA RECOVER":
            raise pytest.importorskip("MySQLdb").OperationalError(1401, "XAER_RMERR: Fatal error")

    def fetchall(self) -> list[tuple[int]]:
        """No session."""
        return []


def test_mysql_that_may_not_be_asked_is_not_needed_where_every_end_was_seen() -> None:
    findings, marks = Findings(), {"xa": "smoketest-1-1", "session": "7", "statements": ""}
    seen = Evidence("default", "a test", marks, end="")
    assert _ask_mysql(Denied(), [seen], findings) == []
    assert findings == Findings()


def test_mysql_that_may_not_be_asked_is_no_pass_for_a_test_that_was_cut_off() -> None:
    findings, marks = Findings(), {"xa": "smoketest-1-1", "session": "7", "statements": ""}
    _ask_mysql(Denied(), [Evidence("default", "a test", marks)], findings)
    [(subject, why)] = findings.unknown
    assert subject == "a test"
    assert "GRANT XA_RECOVER_ADMIN" in why


@on_servers
def test_server_that_cannot_be_asked_is_no_pass(vendor: str) -> None:
    cls = made(test_writes=insert)
    proofs = isolation.Proofs()
    tests = [cast(Any, cls("test_writes"))]
    results, _ = scheduling.execute(
        scheduling.Run(tests, Options(), time.monotonic() + 10, proofs=proofs)
    )
    with configured(PORT="1"):
        verdict = the_only(list(verification.verify(proofs, results)))
    assert verdict.outcome is Outcome.ERRORED
    assert "could not be verified" in verdict.message
    assert "127.0.0.1" in verdict.message


def test_lost_connection_to_a_file_is_no_pass(sqlite: Databases) -> None:
    def test_closes(self: SmokeTest) -> None:
        insert(self)
        driver().close()

    _, verdicts = verified(made(test_closes=test_closes))
    assert the_only(verdicts).outcome is Outcome.ERRORED
    assert "Made.test_closes: its connection was lost" in the_only(verdicts).message


@on_servers
def test_lost_connection_to_a_server_is_rolled_back_there(vendor: str, outside: Outside) -> None:
    def test_closes(self: SmokeTest) -> None:
        insert(self)
        driver().close()

    _, verdicts = verified(made(test_closes=test_closes))
    assert the_only(verdicts).outcome is Outcome.PASSED, the_only(verdicts).message
    assert outside(NAMES) == []


def test_inside_the_callers_transaction_it_is_skipped(vendor: str) -> None:
    with transaction.atomic():
        _, verdicts = verified(made(test_writes=insert))
    assert the_only(verdicts).outcome is Outcome.SKIPPED
    assert "a transaction of the caller's own" in the_only(verdicts).message


def test_verdict_does_not_let_a_run_pass_in_which_nothing_ran(sqlite: Databases) -> None:
    def test_skips(self: SmokeTest) -> None:
        Item.objects.count()
        self.skipTest("not today")

    _, verdicts = verified(made(test_skips=test_skips))
    assert verdicts == []


# -- the entrances

SHOP = """
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    class ShopTest(SmokeTest):
        def test_write(self):
            Item.objects.create(name="smoke")
"""
COMMITTING = """
    from smoketest import SmokeTest
    from tests.test_verification import commits_and_begins_anew

    class ShopTest(SmokeTest):
        def test_commits(self):
            commits_and_begins_anew(self)
"""


@contextmanager
def printed(*arguments: str) -> Iterator[Any]:
    out = io.StringIO()
    try:
        call_command("smoketest", "shop", "--format", "json", *arguments, stdout=out)
        status = 0
    except SystemExit as error:
        status = cast(int, error.code)
    yield status, json.loads(out.getvalue())


def test_report_has_the_verdict_and_every_test(vendor: str, make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": SHOP})
    told: list[str] = []
    report = runner.run(
        options=Options(verify=True), on_result=lambda result: told.append(result.id)
    )
    assert report.passed
    assert [result.id for result in report.results] == told
    assert report.results[-1].id == VERDICT
    assert report.selected == len(told) == 2, "else it would make up for a test without a result"


def test_command_fails_where_something_was_committed(vendor: str, make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": COMMITTING})
    with printed() as (status, report):
        assert status == 0, "nobody else notices"
    with printed("--verify") as (status, report):
        assert status == 1
        assert report["errored_tests"] == [VERDICT]


def test_command_line_that_runs_again_what_failed_leaves_verdicts_out(
    sqlite: Databases, make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    make_app("shop", {"smoke.py": COMMITTING})
    with pytest.raises(SystemExit):
        call_command("smoketest", "shop", "--verify")
    out = capsys.readouterr().out
    assert "Something was committed" in out
    assert "To run again" not in out


def test_nobody_waits_for_what_was_committed(sqlite: Databases, make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": COMMITTING})
    report = Waiting(runner.EVERYTHING, Options(verify=True)).run(60.0)
    assert not report.passed
    assert report.duration < 10


def test_processes_tell_what_they_began(vendor: str, tmp_path: Path, outside: Outside) -> None:
    project = Project(tmp_path)
    project.smoke(SHOP + "\n        def test_crash(self):\n            import os; os._exit(3)\n")
    done = project.command("--isolate", "--verify", "--format", "json")
    outcomes = {one["id"]: one["outcome"] for one in json.loads(done.stdout)["results"]}
    assert outcomes == {
        "shop.smoke.ShopTest.test_crash": "errored",
        "shop.smoke.ShopTest.test_write": "passed",
        VERDICT: "passed",
    }


def test_commit_in_a_process_of_its_own_is_found(vendor: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(COMMITTING)
    done = project.command("--isolate", "--verify", "--format", "json")
    assert json.loads(done.stdout)["errored_tests"] == [VERDICT]


@override_settings(SMOKETEST_TOKENS=[TOKEN], SMOKETEST_ANONYMOUS="details")
def test_endpoint_verifies_for_callers_with_credentials(vendor: str, make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": SHOP})
    client = Client(headers={"Authorization": f"Bearer {TOKEN}"})
    report = client.get("/smoketest/?verify=1&format=json").json()
    assert report["status"] == "PASS"
    assert report["results"][-1]["id"] == VERDICT
    assert VERDICT not in str(client.get("/smoketest/?format=json").json())


@pytest.mark.parametrize("anonymous", ["details", "summary", "verdict", "deny"])
def test_endpoint_refuses_to_verify_for_others(
    anonymous: str, sqlite: Databases, make_app: MakeApp, settings: Any
) -> None:
    settings.SMOKETEST_ANONYMOUS = anonymous
    make_app("shop", {"smoke.py": "raise SystemExit('must not be loaded')"})
    response = Client().get("/smoketest/?verify=1")
    assert response.status_code == 403
    assert "credentials" in response.content.decode()
