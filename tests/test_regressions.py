"""What was observed in version 1.2.2 and must never come back: a test for each."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest
from django.test import Client, override_settings

from smoketest.options import Options
from smoketest.results import Outcome, Report, TestResult
from smoketest.runner import run
from smoketest.selection import Selection
from tests.conftest import MakeApp, Outside

ONE_AFTER_THE_OTHER = Options(parallel=1)

RunSmoke = Callable[..., Report]


def ignore(result: TestResult) -> None:
    """Nobody waits for single results."""


@pytest.fixture
def run_smoke(make_app: MakeApp) -> RunSmoke:
    """Run the tests of an app ``shop`` whose ``smoke.py`` is the text that is given."""

    def run_text(smoke: str, on_result: Callable[[TestResult], None] = ignore) -> Report:
        make_app("shop", {"smoke.py": with_imports(smoke)})
        return run(Selection(), ONE_AFTER_THE_OTHER, on_result=on_result)

    return run_text


def with_imports(smoke: str) -> str:
    return (
        "import asyncio, unittest\n"
        "from smoketest import SmokeTest\n"
        "from tests.testapp.models import Item\n" + dedent(smoke)
    )


PASSING = """
    class CatalogueTest(SmokeTest):
        def test_passes(self):
            self.assertTrue(True)
    """


def outcomes(report: Report) -> dict[str, str]:
    """Return the outcome of each test by the last part of its id."""
    return {result.id.rpartition(".")[2]: result.outcome.value for result in report.results}


# -- PASS although nothing was verified


def test_app_that_is_installed_by_its_config_is_looked_at(make_app: MakeApp) -> None:
    config = "from django.apps import AppConfig\nclass ShopConfig(AppConfig):\n    name = 'shop'\n"
    make_app(
        "shop",
        {"apps.py": config, "smoke.py": with_imports(PASSING)},
        installed_as="shop.apps.ShopConfig",
    )
    assert run().ids("passed") == ["shop.smoke.CatalogueTest.test_passes"]


def test_import_error_inside_a_smoke_module_is_an_error(run_smoke: RunSmoke) -> None:
    report = run_smoke("import a_module_that_is_not_there\n" + dedent(PASSING))
    [result] = report.results
    assert (report.passed, result.outcome) == (False, Outcome.ERRORED)
    assert "a_module_that_is_not_there" in result.message


def test_module_of_a_smoke_package_is_found(make_app: MakeApp) -> None:
    make_app("shop", {"smoke/__init__.py": "", "smoke/orders.py": with_imports(PASSING)})
    assert run().ids("passed") == ["shop.smoke.orders.CatalogueTest.test_passes"]


@pytest.mark.urls("smoketest.urls")
def test_run_without_a_test_does_not_pass(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 500
    assert response.text.splitlines()[0] == "FAIL"


def test_async_test_is_awaited(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class AsyncTest(SmokeTest):
            async def test_fails_after_an_await(self):
                await asyncio.sleep(0)
                self.fail("awaited")
        """)
    [result] = report.results
    assert (result.outcome, result.message) == (Outcome.FAILED, "awaited")


def test_class_that_is_called_smoketest_is_run(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        import smoketest

        class SmokeTest(smoketest.SmokeTest):
            def test_passes(self):
                pass
        """)
    assert report.ids("passed") == ["shop.smoke.SmokeTest.test_passes"]


def test_plain_unittest_case_in_a_smoke_module_is_an_error(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class PlainTest(unittest.TestCase):
            def test_passes(self):
                pass
        """)
    [result] = report.results
    assert (report.passed, result.outcome) == (False, Outcome.ERRORED)
    assert "shop.smoke.PlainTest" in result.id


# -- Not safe


def test_second_database_is_rolled_back(vendor: str, run_smoke: RunSmoke, outside: Outside) -> None:
    report = run_smoke("""
        class WriteTest(SmokeTest):
            def test_writes_to_both(self):
                for alias in ("default", "other"):
                    Item.objects.using(alias).create(name="smoke")
                    self.assertEqual(Item.objects.using(alias).count(), 1)
        """)
    assert report.passed
    assert outside("SELECT name FROM testapp_item") == []
    assert outside("SELECT name FROM testapp_item", "other") == []


def test_next_test_does_not_see_rows_of_the_one_before(vendor: str, run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class WriteTest(SmokeTest):
            def test_1_writes(self):
                Item.objects.create(name="smoke")

            def test_2_sees_nothing(self):
                self.assertFalse(Item.objects.exists())
        """)
    assert outcomes(report) == {"test_1_writes": "passed", "test_2_sees_nothing": "passed"}


def test_lock_of_a_test_is_free_again_before_the_run_ends(
    vendor: str, run_smoke: RunSmoke, outside: Outside
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('before')")
    updated: list[str] = []

    def update_from_outside(result: TestResult) -> None:
        # A lock that is still held lets this wait until the server refuses it.
        outside(f"UPDATE testapp_item SET name = '{result.id}'")
        updated.append(result.id.rpartition(".")[2])

    report = run_smoke(
        """
        class LockTest(SmokeTest):
            def test_1_locks(self):
                self.assertEqual(Item.objects.update(name="locked"), 1)

            def test_2_does_nothing(self):
                pass
        """,
        on_result=update_from_outside,
    )
    assert report.passed
    assert updated == ["test_1_locks", "test_2_does_nothing"]


def test_on_commit_function_of_rolled_back_work_is_not_called(
    vendor: str, run_smoke: RunSmoke
) -> None:
    report = run_smoke("""
        from django.db import transaction

        class CommitTest(SmokeTest):
            called = []

            def test_1_registers(self):
                with transaction.atomic():
                    Item.objects.create(name="smoke")
                    transaction.on_commit(lambda: self.called.append("from test 1"))

            def test_2_was_not_called(self):
                self.assertEqual(self.called, [])
        """)
    assert report.passed, report.results


@pytest.mark.urls("smoketest.urls")
def test_broken_transaction_is_one_failure_in_a_report(
    vendor: str, make_app: MakeApp, client: Client
) -> None:
    broken = """
        from django.db import IntegrityError

        class BrokenTest(SmokeTest):
            def test_1_breaks_its_transaction(self):
                Item.objects.create(name="twice")
                with self.assertRaises(IntegrityError):
                    Item.objects.create(name="twice")
                Item.objects.count()
                self.fail("whether or not the database has let it come so far")

            def test_2_is_innocent(self):
                Item.objects.create(name="twice")
        """
    make_app("shop", {"smoke.py": with_imports(broken)})
    response = client.get("/", headers={"accept": "application/json"})
    report = response.json()
    assert (response.status_code, report["status"], report["tests_passed"]) == (500, "FAIL", 1)


# -- Wrong


def test_failed_assertion_ends_its_test(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class AssertTest(SmokeTest):
            def test_fails_twice(self):
                self.assertEqual(1, 2, "the first")
                self.assertEqual(3, 4, "the last")
        """)
    assert report.results[0].message == "1 != 2 : the first"


def test_failure_followed_by_an_error_leaves_the_next_test_alone(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class FollowTest(SmokeTest):
            def test_1_fails_and_raises(self):
                with self.subTest("fails"):
                    self.fail("first")
                raise RuntimeError("then")

            def test_2_is_innocent(self):
                self.assertTrue(True)
        """)
    assert outcomes(report)["test_2_is_innocent"] == "passed"
    assert report.counts.run == 2


def test_error_of_the_last_class_of_a_module_is_listed_once(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class FirstTest(SmokeTest):
            def test_passes(self):
                pass

        class LastTest(SmokeTest):
            def test_errs(self):
                raise RuntimeError("once")
        """)
    assert report.ids("errored") == ["shop.smoke.LastTest.test_errs"]


def test_teardown_runs_after_an_error(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class TearDownTest(SmokeTest):
            torn_down = []

            def tearDown(self):
                self.torn_down.append(self._testMethodName)

            def test_1_errs(self):
                raise RuntimeError

            def test_2_looks(self):
                self.assertEqual(self.torn_down, ["test_1_errs"])
        """)
    assert outcomes(report) == {"test_1_errs": "errored", "test_2_looks": "passed"}


def test_every_test_has_an_instance_of_its_own(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class InstanceTest(SmokeTest):
            def test_1_sets(self):
                self.left = True

            def test_2_looks(self):
                self.assertFalse(hasattr(self, "left"))
        """)
    assert report.passed


def test_plain_assert_has_a_message(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class AssertTest(SmokeTest):
            def test_asserts(self):
                assert 1 == 2
        """)
    [result] = report.results
    assert result.outcome is Outcome.FAILED
    assert result.message.strip()
    assert "assert 1 == 2" in result.traceback


def test_inherited_and_imported_classes_run_once(make_app: MakeApp) -> None:
    base = """
        class BaseTest(SmokeTest):
            def test_of_the_base(self):
                pass

        class ChildTest(BaseTest):
            def test_of_the_child(self):
                pass
        """
    make_app("shop", {"smoke.py": with_imports(base)})
    make_app("stock", {"smoke.py": "from shop.smoke import BaseTest, ChildTest"})
    assert run().ids("passed") == [
        "shop.smoke.BaseTest.test_of_the_base",
        "shop.smoke.ChildTest.test_of_the_base",
        "shop.smoke.ChildTest.test_of_the_child",
    ]


@pytest.mark.urls("smoketest.urls")
def test_counts_add_up(make_app: MakeApp, client: Client) -> None:
    every_kind = """
        from smoketest import optional

        class EveryKindTest(SmokeTest):
            def test_passes(self):
                pass

            def test_fails(self):
                self.fail()

            def test_errs(self):
                raise RuntimeError

            def test_skips(self):
                self.skipTest("not today")

            @optional
            def test_warns(self):
                self.fail()
        """
    make_app("shop", {"smoke.py": with_imports(every_kind)})
    make_app("stock", {"smoke.py": "import a_module_that_is_not_there"})
    report = client.get("/?format=json").json()
    kinds = [report[f"tests_{kind}"] for kind in ("passed", "failed", "errored", "warned")]
    assert kinds == [1, 1, 2, 1]
    assert report["tests_run"] == sum(kinds)
    assert len(report["results"]) == report["tests_run"] + report["tests_skipped"]


# -- No report at all


@pytest.mark.urls("smoketest.urls")
def test_database_that_is_down_is_a_result(
    every_vendor: object, make_app: MakeApp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connections

    for alias in ("postgresql", "mysql"):
        # Port 9 of this machine: nobody listens there.
        monkeypatch.setitem(connections.settings[alias], "HOST", "127.0.0.1")
        monkeypatch.setitem(connections.settings[alias], "PORT", "9")
    down = """
        class DownTest(SmokeTest):
            def test_default(self):
                self.assertEqual(Item.objects.count(), 0)

            def test_mysql(self):
                Item.objects.using("mysql").count()

            def test_postgresql(self):
                Item.objects.using("postgresql").count()
        """
    make_app("shop", {"smoke.py": with_imports(down)})
    response = client.get("/?format=json")
    assert response.status_code == 500
    report = response.json()
    assert [result["outcome"] for result in report["results"]] == ["passed", "errored", "errored"]


@pytest.mark.urls("smoketest.urls")
def test_every_app_skipped_is_a_report(make_app: MakeApp, client: Client) -> None:
    from django.apps import apps

    make_app("shop", {"smoke.py": with_imports(PASSING)})
    skipped = [config.name for config in apps.get_app_configs()]
    with override_settings(SMOKETEST_SKIP_APPS=skipped):
        response = client.get("/")
    assert response.status_code == 500
    assert "tests run: 0" in response.text.splitlines()


@pytest.mark.urls("smoketest.urls")
@pytest.mark.parametrize("accept", ["text/plain", "application/json"])
@override_settings(SMOKETEST_ANONYMOUS="details")
def test_surrogate_in_a_message_is_reported(make_app: MakeApp, client: Client, accept: str) -> None:
    odd = r"""
        class OddTest(SmokeTest):
            def test_fails(self):
                self.fail("before \udc80 after")
        """
    make_app("shop", {"smoke.py": with_imports(odd)})
    response = client.get("/", headers={"accept": accept})
    assert response.status_code == 500
    assert response["Content-Type"].startswith(accept)
    assert "before" in response.text
    assert "after" in response.text


@pytest.mark.urls("smoketest.urls")
@pytest.mark.parametrize("exit_status", ["", "0", "'words'"])
def test_system_exit_in_a_test_is_an_error_of_that_test(
    make_app: MakeApp, client: Client, exit_status: str
) -> None:
    exits = f"""
        import sys

        class ExitTest(SmokeTest):
            def test_1_exits(self):
                sys.exit({exit_status})

            def test_2_is_innocent(self):
                pass
        """
    make_app("shop", {"smoke.py": with_imports(exits)})
    report = client.get("/?format=json").json()
    assert [result["outcome"] for result in report["results"]] == ["errored", "passed"]


def test_class_that_cannot_be_built_leaves_the_others_of_its_module(run_smoke: RunSmoke) -> None:
    report = run_smoke("""
        class UnbuildableTest(SmokeTest):
            def __init__(self, *args):
                raise RuntimeError("no")

            def test_never_runs(self):
                pass

        class OtherTest(SmokeTest):
            def test_passes(self):
                pass
        """)
    [errored] = report.labelled("errored")
    assert "shop.smoke.UnbuildableTest" in errored.id
    assert report.ids("passed") == ["shop.smoke.OtherTest.test_passes"]
