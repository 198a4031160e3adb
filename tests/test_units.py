"""What one thread runs through: single tests, and tests that share a fixture."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from textwrap import dedent
from time import monotonic

import pytest
from django.utils import translation

from smoketest import SmokeTest, isolation, runner, serial
from smoketest.options import Options
from smoketest.results import Report
from smoketest.timeouts import Stretch
from smoketest.units import Delivery, Unit, UnitRunner, divide
from tests.conftest import MakeApp, Outside

ITEMS = "SELECT name FROM testapp_item"
IMPORTS = (
    "import asyncio, sys, unittest\n"
    "from smoketest import SmokeTest, optional\n"
    "from tests.testapp.models import Item\n"
)


def outcomes(report: Report) -> dict[str, str]:
    """Outcome and message of each result, by the id without its module."""
    return {
        result.id.removeprefix("shop.smoke."): f"{result.label} {result.message}".strip()
        for result in report.results
    }


RunShop = Callable[..., Report]


@pytest.fixture
def run_shop(make_app: MakeApp) -> RunShop:
    """Run the smoke module whose text is given."""

    def run(smoke: str, parallel: int = 16) -> Report:
        make_app("shop", {"smoke.py": IMPORTS + dedent(smoke)})
        return runner.run(options=Options(parallel=parallel))

    return run


# -- dividing


class PlainTest(SmokeTest):
    __test__ = False

    def test_1(self) -> None: ...

    def test_2(self) -> None: ...


class FixtureTest(PlainTest):
    @classmethod
    def setUpClass(cls) -> None: ...

    @serial
    def test_2(self) -> None: ...


def both_of(*classes: type[SmokeTest]) -> list[SmokeTest]:
    return [cls(f"test_{number}") for cls in classes for number in (1, 2)]


def divide_all(tests: list[SmokeTest]) -> list[Unit]:
    return divide(enumerate(tests))


def test_tests_without_fixtures_are_divided_one_by_one() -> None:
    tests = both_of(PlainTest)
    assert divide_all(tests) == [Unit([(0, tests[0])]), Unit([(1, tests[1])])]


def test_tests_of_a_class_with_fixtures_stay_together_under_their_numbers() -> None:
    tests = both_of(PlainTest, FixtureTest)
    assert divide_all(tests)[2] == Unit([(2, tests[2]), (3, tests[3])], fixtures=True, serial=True)


def test_two_classes_with_fixtures_are_two_units() -> None:
    class OtherTest(FixtureTest):
        pass

    assert [len(unit.tests) for unit in divide_all(both_of(FixtureTest, OtherTest))] == [2, 2]


@pytest.mark.parametrize("name", ["setUpModule", "tearDownModule"])
def test_tests_of_a_module_with_fixtures_are_one_unit(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(f"{__name__}.{name}", lambda: None, raising=False)
    [unit] = divide_all(both_of(PlainTest, FixtureTest))
    assert (len(unit.tests), unit.fixtures) == (4, True)


def test_unit_with_one_serial_test_is_serial() -> None:
    plain, _, fixtures = divide_all(both_of(PlainTest, FixtureTest))
    assert (plain.serial, fixtures.serial) == (False, True)


def test_nothing_is_divided_into_nothing() -> None:
    assert divide_all([]) == []


# -- class fixtures that fail


def test_set_up_class_that_raises_is_the_error_of_each_of_its_tests(run_shop: RunShop) -> None:
    report = run_shop("""
        class BrokenTest(SmokeTest):
            @classmethod
            def setUpClass(cls):
                raise LookupError("no data")

            def test_1(self): raise AssertionError("it ran")
            @optional
            def test_2(self): raise AssertionError("it ran")

        class OtherTest(SmokeTest):
            def test_passes(self): pass
        """)
    assert outcomes(report) == {
        "BrokenTest.test_1": "errored LookupError: no data",
        "BrokenTest.test_2": "warned LookupError: no data",
        "OtherTest.test_passes": "passed",
    }
    assert "raise LookupError" in report.results[0].traceback
    assert report.results[0].file.endswith("shop/smoke.py")


@pytest.mark.parametrize("fixture", ["setUpClass", "setUpModule"])
def test_fixture_that_skips_skips_each_of_its_tests(run_shop: RunShop, fixture: str) -> None:
    report = run_shop(f"""
        class SkippedTest(SmokeTest):
            def test_1(self): raise AssertionError("it ran")
            def test_2(self): raise AssertionError("it ran")

        def skip(cls=None): raise unittest.SkipTest("not here")
        if "{fixture}" == "setUpModule":
            setUpModule = skip
        else:
            class SkippedTest(SkippedTest):
                setUpClass = classmethod(skip)
        """)
    assert set(outcomes(report).values()) == {"skipped not here"}
    assert (report.counts.skipped, report.counts.run, report.exit_status) == (2, 0, 3)


@pytest.mark.parametrize("fixture", ["setUpClass", "setUpModule"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("sys.exit(0)", "SystemExit: 0|called sys.exit(0)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_fixture_that_wants_to_end_the_process_is_an_error_of_its_tests(
    run_shop: RunShop, fixture: str, error: str, message: str
) -> None:
    report = run_shop(f"""
        def fixture(cls=None):
            {error}

        if "{fixture}" == "setUpModule":
            setUpModule = fixture

        class EndingTest(SmokeTest):
            if "{fixture}" == "setUpClass":
                setUpClass = classmethod(fixture)

            def test_1(self): raise AssertionError("it ran")
            def test_2(self): raise AssertionError("it ran")
        """)
    assert [result.outcome for result in report.results] == ["errored", "errored"]
    for result in report.results:
        assert any(words in result.message for words in message.split("|"))


def test_set_up_module_that_raises_is_the_error_of_each_of_its_tests(run_shop: RunShop) -> None:
    report = run_shop("""
        def setUpModule():
            raise LookupError("no module")

        class OneTest(SmokeTest):
            def test_1(self): raise AssertionError("it ran")

        class TwoTest(SmokeTest):
            @classmethod
            def setUpClass(cls): raise AssertionError("it ran")
            def test_2(self): raise AssertionError("it ran")
        """)
    assert outcomes(report) == {
        "OneTest.test_1": "errored LookupError: no module",
        "TwoTest.test_2": "errored LookupError: no module",
    }


# -- class fixtures that fail in the end


TEARING_DOWN = """
    def raise_(error): raise error

    class OneTest(SmokeTest):
        @classmethod
        def {fixture}(cls): {body}
        def test_1(self): pass

    class TwoTest(SmokeTest):
        def test_2(self): pass
    """


@pytest.mark.parametrize(
    ("fixture", "body", "message"),
    [
        ("tearDownClass", "raise LookupError('late')", "LookupError: late"),
        ("tearDownClass", "sys.exit('late')", "called sys.exit('late')"),
        ("setUpClass", "cls.addClassCleanup(raise_, LookupError('late'))", "LookupError: late"),
        ("setUpClass", "cls.addClassCleanup(sys.exit, 'late')", "SystemExit: late"),
        ("tearDownClass", "raise KeyboardInterrupt('late')", "KeyboardInterrupt: late"),
    ],
)
def test_error_after_the_last_test_of_a_class_is_a_result_of_its_own(
    run_shop: RunShop, fixture: str, body: str, message: str
) -> None:
    report = run_shop(TEARING_DOWN.format(fixture=fixture, body=body))
    assert [result.id for result in report.results] == [
        "shop.smoke.OneTest.test_1",
        "shop.smoke.OneTest.tearDownClass",
        "shop.smoke.TwoTest.test_2",
    ]
    [errored] = report.labelled("errored")
    assert message in errored.message
    assert (report.selected, report.counts.run, report.exit_status) == (2, 3, 1)


def test_tear_down_class_of_a_required_class_is_no_warning_because_a_test_is_optional(
    run_shop: RunShop,
) -> None:
    report = run_shop("""
        class RequiredTest(SmokeTest):
            @classmethod
            def tearDownClass(cls): raise LookupError
            def test_1(self): pass
            @optional
            def test_2(self): pass
        """)
    assert report.ids("errored") == ["shop.smoke.RequiredTest.tearDownClass"]
    assert not report.passed


def test_tear_down_class_of_an_optional_class_is_a_warning(run_shop: RunShop) -> None:
    report = run_shop("""
        @optional
        class OptionalTest(SmokeTest):
            @classmethod
            def tearDownClass(cls): raise LookupError
            def test_1(self): pass
        """)
    assert report.ids("warned") == ["shop.smoke.OptionalTest.tearDownClass"]
    assert report.passed


def test_last_tear_down_class_and_tear_down_module_are_two_results(run_shop: RunShop) -> None:
    report = run_shop("""
        def tearDownModule(): raise LookupError("of the module")

        class OneTest(SmokeTest):
            @classmethod
            def tearDownClass(cls): raise LookupError("of the class")
            def test_1(self): pass
        """)
    assert outcomes(report) == {
        "OneTest.test_1": "passed",
        "OneTest.tearDownClass": "errored LookupError: of the class",
        "tearDownModule": "errored LookupError: of the module",
    }


@pytest.mark.parametrize(
    "body", ["sys.exit('late')", "raise LookupError('late')", "raise KeyboardInterrupt('late')"]
)
def test_tear_down_module_that_ends_badly_is_a_result_of_its_own(
    run_shop: RunShop, body: str
) -> None:
    report = run_shop(f"""
        def tearDownModule(): {body}

        class OneTest(SmokeTest):
            def test_1(self): pass
        """)
    assert report.ids("passed") == ["shop.smoke.OneTest.test_1"]
    assert report.ids("errored") == ["shop.smoke.tearDownModule"]
    assert "late" in report.results[1].message


def test_roll_back_of_a_module_that_fails_is_a_result(
    postgresql: object, run_shop: RunShop
) -> None:
    report = run_shop("""
        from django.db import connection

        def setUpModule(): Item.objects.create(name="shared")

        def tearDownModule():
            try:
                connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
            except Exception:
                pass

        class OneTest(SmokeTest):
            def test_1(self): pass
        """)
    assert report.ids("errored") == ["shop.smoke.tearDownModule"]
    assert "was lost before the end" in report.results[1].message


# -- what a test in a class with fixtures does to the others


def test_keyboard_interrupt_that_a_test_raises_is_its_own_error(run_shop: RunShop) -> None:
    report = run_shop("""
        class RaisingTest(SmokeTest):
            def test_1(self): raise KeyboardInterrupt("not a person")
            def test_2(self): pass
        """)
    assert outcomes(report) == {
        "RaisingTest.test_1": "errored KeyboardInterrupt: not a person",
        "RaisingTest.test_2": "passed",
    }
    assert not report.interrupted


def test_keyboard_interrupt_in_a_class_with_fixtures_loses_no_test(run_shop: RunShop) -> None:
    report = run_shop("""
        class RaisingTest(SmokeTest):
            @classmethod
            def setUpClass(cls): pass
            def test_1(self): raise KeyboardInterrupt("not a person")
            def test_2(self): pass

        class OtherTest(SmokeTest):
            def test_3(self): pass
        """)
    told = outcomes(report)
    assert told["RaisingTest.test_1"] == "errored KeyboardInterrupt: not a person"
    assert "RaisingTest.test_2" in told
    assert told["OtherTest.test_3"] == "passed"
    assert not report.passed


def test_what_class_fixtures_write_is_seen_by_their_tests_alone(
    vendor: str, run_shop: RunShop, outside: Outside
) -> None:
    report = run_shop("""
        def setUpModule(): Item.objects.create(name="module")

        class OneTest(SmokeTest):
            @classmethod
            def setUpClass(cls): Item.objects.create(name="class")
            def look(self):
                self.assertEqual(Item.objects.count(), 2)
                Item.objects.create(name="test")
            test_1 = test_2 = look

        class TwoTest(SmokeTest):
            def test_3(self): self.assertEqual(Item.objects.count(), 1)
        """)
    assert report.passed, outcomes(report)
    assert outside(ITEMS) == []


def test_what_a_fixture_activates_reaches_its_tests_and_no_other_unit(run_shop: RunShop) -> None:
    report = run_shop(
        """
        from django.utils import translation
        from django.utils.translation import get_language

        class OneTest(SmokeTest):
            @classmethod
            def setUpClass(cls): translation.activate("de")
            def test_1(self): self.assertEqual(get_language(), "de")

        class TwoTest(SmokeTest):
            def test_2(self): self.assertEqual(get_language(), "en-us")
        """,
        parallel=1,
    )
    assert report.passed, outcomes(report)
    assert translation.get_language() == "en-us"


@pytest.mark.django_db
def test_what_a_fixture_activates_does_not_reach_the_caller(run_shop: RunShop) -> None:
    report = run_shop("""
        from django.utils import translation

        class OneTest(SmokeTest):
            @classmethod
            def setUpClass(cls): translation.activate("de")
            def test_1(self): pass
        """)
    assert report.passed, outcomes(report)
    assert translation.get_language() == "en-us"


# -- a test that is run by hand, with what no run would give it


class Host:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def begin(self, stretch: Stretch) -> None: ...

    def deliver(self, stretch: Stretch | None, *deliveries: Delivery) -> bool:
        self.deliveries += deliveries
        return True


def run_by_hand(test: SmokeTest) -> list[Delivery]:
    host = Host()
    with isolation.guarded_thread(isolation.Limits(), monotonic() + 10) as session:
        UnitRunner(host, session, Options()).run(Unit([(0, test)]))
    return host.deliveries


@pytest.mark.parametrize(
    "error", [LookupError("odd"), SystemExit(3), KeyboardInterrupt()], ids=repr
)
def test_error_outside_of_what_unittest_looks_at_is_the_tests(error: BaseException) -> None:
    class OddTest(SmokeTest):
        def run(self, result: unittest.TestResult | None = None) -> None:
            raise error

        def test_it(self) -> None: ...

    found: list[Delivery] = []
    thread = threading.Thread(target=lambda: found.extend(run_by_hand(OddTest("test_it"))))
    thread.start()
    thread.join()
    [delivery] = found
    assert delivery.result.outcome == "errored"
    assert type(error).__name__ in delivery.result.message


def test_test_that_runs_itself_twice_has_one_result() -> None:
    class TwiceTest(SmokeTest):
        def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
            super().run(result)
            return super().run(result)

        def test_it(self) -> None: ...

    [delivery] = run_by_hand(TwiceTest("test_it"))
    assert delivery.result.outcome == "passed"


def test_test_that_does_not_run_at_all_is_an_error() -> None:
    class NeverTest(SmokeTest):
        def run(self, result: unittest.TestResult | None = None) -> None:
            """Do nothing."""

        def test_it(self) -> None: ...

    [delivery] = run_by_hand(NeverTest("test_it"))
    assert delivery.result.outcome == "errored"
    assert "did not run" in delivery.result.message


def test_tests_of_a_fixture_class_that_do_not_run_are_errors(run_shop: RunShop) -> None:
    report = run_shop("""
        class NeverTest(SmokeTest):
            @classmethod
            def setUpClass(cls): pass
            def run(self, result=None): pass
            def test_1(self): pass
        """)
    assert report.ids("errored") == ["shop.smoke.NeverTest.test_1"]


# -- locks that were lost


LOSING = """
    class Deadlock(Exception):
        sqlstate = "40P01"

    times = []

    def lose_once(cls=None):
        times.append(1)
        if len(times) == 1:
            raise Deadlock

    class OtherTest(SmokeTest):
        def test_it(self): pass
    """


def test_test_of_a_class_with_fixtures_has_them_again_when_it_runs_again(
    run_shop: RunShop,
) -> None:
    report = run_shop(
        dedent(LOSING)
        + dedent("""
        class LosingTest(SmokeTest):
            @classmethod
            def setUpClass(cls): cls.times_set_up = vars(cls).get("times_set_up", 0) + 1
            @classmethod
            def tearDownClass(cls): cls.is_set_up = False
            def test_1(self): lose_once()
            def test_2(self): self.assertEqual(self.times_set_up, 1)
            def test_3(self): pass
        """)
    )
    assert report.passed, outcomes(report)
    assert [result.retried for result in report.results] == [False, True, False, False]
    assert report.counts.run == report.selected == 4


def test_class_whose_fixture_loses_a_lock_runs_once_more(run_shop: RunShop) -> None:
    report = run_shop(
        dedent(LOSING)
        + dedent("""
        class LosingTest(SmokeTest):
            setUpClass = classmethod(lose_once)
            def test_1(self): pass
            def test_2(self): pass
        """)
    )
    assert report.passed, outcomes(report)
    assert [result.retried for result in report.results] == [False, True, True]


def test_module_that_lost_a_lock_as_it_was_imported_does_not_run_again(
    make_app: MakeApp, run_shop: RunShop
) -> None:
    passing = "class OtherTest(SmokeTest):\n    def test_it(self): pass\n"
    make_app("stock", {"smoke.py": IMPORTS + passing})
    report = run_shop(dedent(LOSING) + "\nlose_once()\n")
    [result] = report.labelled("errored")
    assert not result.retried
    assert "shop.smoke cannot be imported" in result.message
    assert len(report.results) == 2
