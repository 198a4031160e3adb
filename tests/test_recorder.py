"""What unittest reports becomes one result a test, whatever happens in it."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import threading
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoketest import SmokeTest, isolation, optional, tag
from smoketest.recorder import (
    MESSAGE_LIMIT,
    TRACEBACK_LIMIT,
    Problem,
    Recorder,
    relative_path,
    stack_of,
)
from smoketest.results import Outcome, TestResult

HERE = relative_path(__file__)
Body = Callable[[Any], Any]


class Recording:
    """What a recorder handed over."""

    def __init__(self, *tests: SmokeTest, in_suite: bool = False) -> None:
        self.results: list[TestResult] = []
        self.recorder = Recorder(lambda test, result: self.results.append(result))
        if in_suite:
            unittest.TestSuite(tests).run(self.recorder)
        for test in () if in_suite else tests:
            test.run(self.recorder)

    @property
    def fixtures(self) -> dict[str, Problem]:
        return self.recorder.fixtures


def result_of(cls: type[SmokeTest], method: str = "test_it") -> TestResult:
    [result] = Recording(cls(method)).results
    return result


def result_of_body(body: Body) -> TestResult:
    """Run ``body`` as the one method of a test."""

    class BodyTest(SmokeTest):
        test_it = body

    return result_of(BodyTest)


def told(result: TestResult) -> tuple[str, str]:
    return result.outcome.value, result.message


def line_of(code: str) -> int:
    """The line of this file that has ``code``, which must be the only one that begins so."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [n for n, line in enumerate(lines, 1) if line.strip().startswith(code)]
    return number


def raise_(error: BaseException) -> None:
    raise error


# -- the simple outcomes


def test_test_that_ends_has_passed_without_a_word() -> None:
    result = result_of_body(lambda self: None)
    assert (*told(result), result.traceback) == ("passed", "", "")


def test_failed_assertion_is_a_failure_with_its_message_alone() -> None:
    result = result_of_body(lambda self: self.assertEqual(1, 2, "the sum"))
    assert told(result) == ("failed", "1 != 2 : the sum")


def test_any_other_exception_is_an_error_with_its_type() -> None:
    def body(self: SmokeTest) -> None:
        raise LookupError("nothing there")

    assert told(result_of_body(body)) == ("errored", "LookupError: nothing there")


def test_failed_assertion_of_djangos_is_a_failure_of_the_tests_own_line() -> None:
    def body(self: SmokeTest) -> None:
        self.assertHTMLEqual("<b>", "<i>")  # of Django's

    result = result_of_body(body)
    assert result.outcome is Outcome.FAILED
    assert "django/test/testcases.py" not in result.traceback
    assert result.line == line_of('self.assertHTMLEqual("<b>", "<i>")  # of')


def test_assertion_error_of_a_subclass_keeps_its_name() -> None:
    class StockMismatch(AssertionError):
        pass

    def body(self: SmokeTest) -> None:
        raise StockMismatch("3 missing")

    outcome, message = told(result_of_body(body))
    assert outcome == "failed"
    assert message.endswith("StockMismatch: 3 missing")


def test_failure_exception_of_the_tests_own_is_a_failure() -> None:
    class OwnTest(SmokeTest):
        failureException = LookupError

        def test_it(self) -> None:
            self.fail("own")

    assert told(result_of(OwnTest)) == ("failed", "LookupError: own")


# -- messages of asserts that have none


def in_a_file(folder: Path, source: str) -> Body:
    """A test method that is in a file of its own, where pytest does not rewrite its asserts."""
    path = folder / "smoke.py"
    path.write_text(source, encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(source, path, "exec"), namespace)
    body: Body = namespace["body"]
    return body


def test_plain_assert_tells_its_source_line(tmp_path: Path) -> None:
    body = in_a_file(tmp_path, "def body(self):\n    assert [] == list('a')\n")
    assert told(result_of_body(body)) == ("failed", "assert [] == list('a')")


def test_plain_assert_over_several_lines_tells_all_of_them(tmp_path: Path) -> None:
    source = "def body(self):\n    assert sorted(\n        'ba'\n    ) == []\n"
    body = in_a_file(tmp_path, source)
    assert told(result_of_body(body)) == ("failed", "assert sorted(\n    'ba'\n) == []")


def test_plain_assert_without_its_source_tells_where_it_stood() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def body(self):\n    assert 1 == 2", "gone.py", "exec"), namespace)
    message = "AssertionError in gone.py, line 2"
    assert told(result_of_body(namespace["body"])) == ("failed", message)


def test_note_on_an_assert_is_told() -> None:
    def body(self: SmokeTest) -> None:
        error = AssertionError("no stock")
        error.add_note("warehouse 7")
        raise error

    assert told(result_of_body(body)) == ("failed", "no stock\nwarehouse 7")


def test_note_on_an_assert_without_a_message_is_told() -> None:
    def body(self: SmokeTest) -> None:
        error = AssertionError()
        error.add_note("warehouse 7")
        raise error

    outcome, message = told(result_of_body(body))
    assert outcome == "failed"
    assert "warehouse 7" in message


# -- skips


def test_skip_in_the_test_is_told_with_its_reason() -> None:
    assert told(result_of_body(lambda self: self.skipTest("no printer"))) == (
        "skipped",
        "no printer",
    )


def test_skip_by_a_decorator_of_the_method() -> None:
    class SkipTest(SmokeTest):
        @unittest.skip("not here")
        def test_it(self) -> None:
            raise AssertionError

    assert told(result_of(SkipTest)) == ("skipped", "not here")


def test_skip_by_a_decorator_of_the_class() -> None:
    @unittest.skip("none of it")
    class SkipTest(SmokeTest):
        def test_it(self) -> None:
            raise AssertionError

    assert told(result_of(SkipTest)) == ("skipped", "none of it")


def test_skip_that_is_not_announced_is_not_lost() -> None:
    # Python 3.12.1 skips without startTest.
    results: list[TestResult] = []
    recorder = Recorder(lambda test, result: results.append(result))
    test = PlaceTest("test_passes")
    recorder.addSkip(test, "not here")
    recorder.stopTest(test)
    assert [told(result) for result in results] == [("skipped", "not here")]


def test_skip_in_set_up() -> None:
    class SkipTest(SmokeTest):
        def setUp(self) -> None:
            self.skipTest("not today")

        def test_it(self) -> None:
            raise AssertionError

    assert told(result_of(SkipTest)) == ("skipped", "not today")


def test_skip_in_tear_down_skips_a_test_that_went_well() -> None:
    class SkipTest(SmokeTest):
        def tearDown(self) -> None:
            raise unittest.SkipTest("in the end")

        def test_it(self) -> None:
            pass

    assert told(result_of(SkipTest)) == ("skipped", "in the end")


def test_skip_in_tear_down_hides_no_failure() -> None:
    class SkipTest(SmokeTest):
        def tearDown(self) -> None:
            raise unittest.SkipTest("in the end")

        def test_it(self) -> None:
            self.fail("first")

    assert told(result_of(SkipTest)) == ("failed", "first")


def test_reason_of_a_skip_is_cut_where_it_is_huge() -> None:
    result = result_of_body(lambda self: self.skipTest("x" * 10 * MESSAGE_LIMIT))
    assert len(result.message) < MESSAGE_LIMIT + 100


# -- expected failures


def test_expected_failure_that_fails_has_passed() -> None:
    assert told(result_of_body(unittest.expectedFailure(lambda self: self.fail("known")))) == (
        "passed",
        "",
    )


def test_expected_failure_that_errs_has_passed() -> None:
    def body(self: SmokeTest) -> None:
        raise LookupError

    assert told(result_of_body(unittest.expectedFailure(body))) == ("passed", "")


def test_expected_failure_of_a_subtest_has_passed() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            pass
        with self.subTest(number=2):
            self.fail("known")

    assert told(result_of_body(unittest.expectedFailure(body))) == ("passed", "")


def test_unexpected_success_has_failed_and_says_so() -> None:
    outcome, message = told(result_of_body(unittest.expectedFailure(lambda self: None)))
    assert outcome == "failed"
    assert message.startswith("Unexpected success")


def test_unexpected_success_of_a_subtest_has_failed() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            pass

    assert result_of_body(unittest.expectedFailure(body)).outcome is Outcome.FAILED


def test_expected_failure_that_skips_is_skipped() -> None:
    assert told(result_of_body(unittest.expectedFailure(lambda self: self.skipTest("why")))) == (
        "skipped",
        "why",
    )


def test_expected_failure_excuses_no_error_in_tear_down() -> None:
    class TearDownTest(SmokeTest):
        def tearDown(self) -> None:
            raise LookupError("of tearDown")

        @unittest.expectedFailure
        def test_it(self) -> None:
            self.fail("known")

    assert told(result_of(TearDownTest)) == ("errored", "LookupError: of tearDown")


def test_expected_failure_excuses_no_error_in_set_up() -> None:
    class SetUpTest(SmokeTest):
        def setUp(self) -> None:
            raise LookupError("of setUp")

        @unittest.expectedFailure
        def test_it(self) -> None:
            self.fail("known")

    assert told(result_of(SetUpTest)) == ("errored", "LookupError: of setUp")


# -- sub-tests


def test_failing_subtests_fail_their_test_once_with_every_message() -> None:
    def body(self: SmokeTest) -> None:
        for number in range(4):
            with self.subTest("row", number=number):
                self.assertEqual(number % 2, 0)

    outcome, message = told(result_of_body(body))
    assert outcome == "failed"
    assert message.splitlines() == [
        "[row] (number=1): 1 != 0",
        "[row] (number=3): 1 != 0",
    ]


def test_nested_subtests_are_told_by_all_their_names() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(shelf=1), self.subTest(row=2):
            self.fail("empty")

    assert result_of_body(body).message == "(row=2, shelf=1): empty"


def test_first_problem_gives_the_kind_and_later_ones_are_told_as_well() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            raise LookupError("first")
        self.fail("then")

    result = result_of_body(body)
    assert told(result) == ("errored", "(number=1): LookupError: first\nthen")
    assert "LookupError: first" in result.traceback
    assert "AssertionError: then" in result.traceback


def test_failing_subtest_before_a_passing_one_is_not_forgotten() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            self.fail("first")
        with self.subTest(number=2):
            pass

    assert told(result_of_body(body)) == ("failed", "(number=1): first")


def test_one_skipped_subtest_leaves_the_test_passed() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            self.skipTest("not this one")
        with self.subTest(number=2):
            pass

    assert told(result_of_body(body)) == ("passed", "")


def test_one_skipped_subtest_hides_no_failing_one() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest(number=1):
            self.skipTest("not this one")
        with self.subTest(number=2):
            self.fail("second")

    assert told(result_of_body(body)) == ("failed", "(number=2): second")


def test_test_whose_subtests_are_all_skipped_is_skipped() -> None:
    def body(self: SmokeTest) -> None:
        for number in range(2):
            with self.subTest(number=number):
                self.skipTest(f"not {number}")

    assert told(result_of_body(body)) == ("skipped", "not 0; not 1")


def test_subtest_whose_parameter_cannot_be_shown_is_an_error() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise LookupError("no repr")

    def body(self: SmokeTest) -> None:
        with self.subTest(odd=Odd()):
            self.fail("hidden?")

    result = result_of_body(body)
    assert told(result) == ("errored", "LookupError: no repr")
    assert "hidden?" in result.traceback


# -- more than one thing goes wrong


def test_error_in_tear_down_hides_no_failure() -> None:
    class TearDownTest(SmokeTest):
        def tearDown(self) -> None:
            raise LookupError("of tearDown")

        def test_it(self) -> None:
            self.fail("of the test")

    assert told(result_of(TearDownTest)) == ("failed", "of the test\nLookupError: of tearDown")


def test_error_in_a_cleanup_hides_no_failure() -> None:
    def raise_lookup_error() -> None:
        raise LookupError("of the cleanup")

    def body(self: SmokeTest) -> None:
        self.addCleanup(raise_lookup_error)
        self.fail("of the test")

    assert told(result_of_body(body)) == ("failed", "of the test\nLookupError: of the cleanup")


def test_error_in_a_cleanup_is_an_error_of_a_test_that_went_well() -> None:
    def raise_lookup_error() -> None:
        raise LookupError("of the cleanup")

    result = result_of_body(lambda self: self.addCleanup(raise_lookup_error))
    assert told(result) == ("errored", "LookupError: of the cleanup")


def test_many_long_messages_are_cut_to_one() -> None:
    def body(self: SmokeTest) -> None:
        for number in range(20):
            with self.subTest(number=number):
                self.fail("x" * MESSAGE_LIMIT)

    result = result_of_body(body)
    assert len(result.message) < MESSAGE_LIMIT + 100
    assert len(result.traceback) < TRACEBACK_LIMIT + 100


# -- exceptions that are made to hurt


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Unspeakable(), "Unspeakable: <exception str() failed>"),
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        (ValueError("\udc80"), "ValueError: \udc80"),
        (ValueError("a\0b\x1b[31m"), "ValueError: a\0b\x1b[31m"),
        (SystemExit(), "SystemExit"),
        (SystemExit(0), "SystemExit: 0"),
        (SystemExit("bye"), "SystemExit: bye"),
        (GeneratorExit("closed"), "GeneratorExit: closed"),
        (MemoryError(), "MemoryError"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopIteration(3), "StopIteration: 3"),
        (SyntaxError("odd", ("f.py", "x", {}, None)), "SyntaxError: odd"),  # type: ignore[arg-type]
    ],
    ids=ascii,
)
def test_exception_is_an_error_that_names_it(error: BaseException, message: str) -> None:
    def body(self: SmokeTest) -> None:
        raise error  # whatever it is

    result = result_of_body(body)
    assert result.outcome is Outcome.ERRORED
    assert message in result.message
    assert result.line == line_of("raise error  # ")


def test_keyboard_interrupt_is_recorded_and_goes_on() -> None:
    class InterruptTest(SmokeTest):
        def test_it(self) -> None:
            raise KeyboardInterrupt

    results: list[TestResult] = []
    with pytest.raises(KeyboardInterrupt):
        InterruptTest("test_it").run(Recorder(lambda test, result: results.append(result)))
    assert [told(result) for result in results] == [("errored", "KeyboardInterrupt")]


def test_exception_that_the_caller_handles_is_not_the_tests() -> None:
    try:
        raise_(LookupError("of the caller"))
    except LookupError:
        assert told(result_of_body(lambda self: None)) == ("passed", "")


@pytest.mark.parametrize("skipped", [False, True])
def test_keyboard_interrupt_after_a_subtest_has_not_passed(skipped: bool) -> None:
    class InterruptTest(SmokeTest):
        def test_it(self) -> None:
            with self.subTest(number=1):
                if skipped:
                    self.skipTest("why not")
            raise KeyboardInterrupt

    results: list[TestResult] = []
    with pytest.raises(KeyboardInterrupt):
        InterruptTest("test_it").run(Recorder(lambda test, result: results.append(result)))
    assert [told(result) for result in results] == [("errored", "KeyboardInterrupt")]


def test_keyboard_interrupt_in_tear_down_hides_no_failure() -> None:
    class InterruptTest(SmokeTest):
        def tearDown(self) -> None:
            raise KeyboardInterrupt

        def test_it(self) -> None:
            self.fail("first")

    results: list[TestResult] = []
    with pytest.raises(KeyboardInterrupt):
        InterruptTest("test_it").run(Recorder(lambda test, result: results.append(result)))
    assert [told(result) for result in results] == [("failed", "first\nKeyboardInterrupt")]


def test_endless_recursion_is_an_error_of_readable_length() -> None:
    def body(self: SmokeTest) -> None:
        body(self)

    result = result_of_body(body)
    assert result.outcome is Outcome.ERRORED
    assert result.message.startswith("RecursionError: maximum recursion depth")
    assert "repeated" in result.traceback


def test_huge_message_is_cut_and_says_how_much_is_missing() -> None:
    def body(self: SmokeTest) -> None:
        raise ValueError("x" * 1_000_000)

    result = result_of_body(body)
    assert result.message.endswith("… (980,012 characters more)")
    assert len(result.message) < MESSAGE_LIMIT + 100
    assert len(result.traceback) < TRACEBACK_LIMIT + 100


def test_cause_of_an_exception_is_in_the_traceback() -> None:
    def body(self: SmokeTest) -> None:
        try:
            raise_(LookupError("the cause"))
        except LookupError as error:
            raise ValueError("the effect") from error

    result = result_of_body(body)
    assert result.message == "ValueError: the effect"
    assert "LookupError: the cause" in result.traceback


def test_exceptions_that_are_each_others_causes_end() -> None:
    def body(self: SmokeTest) -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raise one

    assert result_of_body(body).message == "ValueError: one"


def test_group_of_exceptions_tells_each_of_them() -> None:
    def body(self: SmokeTest) -> None:
        inner = ExceptionGroup("inner", [LookupError("two")])
        raise ExceptionGroup("several", [ValueError("one"), inner])

    assert result_of_body(body).message.splitlines() == [
        "ExceptionGroup: several (2 sub-exceptions)",
        "  ValueError: one",
        "  ExceptionGroup: inner (1 sub-exception)",
        "    LookupError: two",
    ]


class Answering(Exception):
    """As those of some clients of APIs are: it looks every attribute up in an answer."""

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


class WithoutCode(Exception):
    sqlite_errorcode = None


class Unequal(Exception):
    def __bool__(self) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


class Masked(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", [Answering, WithoutCode, Unequal, Masked])
def test_exception_that_bears_no_question_is_an_error_that_names_it(
    kind: type[Exception],
) -> None:
    def body(self: SmokeTest) -> None:
        raise kind

    results: list[TestResult] = []
    recorder = Recorder(
        lambda test, result: results.append(result),
        lost_a_lock=isolation.lost_a_lock,
        advice=isolation.advice,
    )
    type("BodyTest", (SmokeTest,), {"test_it": body})("test_it").run(recorder)
    [result] = results
    assert result.outcome is Outcome.ERRORED
    assert kind.__qualname__ in result.message
    assert (result.file, result.line) == (HERE, line_of("raise kind"))
    assert "in body" in result.traceback


def test_syntax_error_of_generated_code_is_told() -> None:
    def body(self: SmokeTest) -> None:
        compile("a b", "made.py", "exec")

    result = result_of_body(body)
    assert "SyntaxError" in result.message
    assert "made.py" in result.message


# -- file and line


def decorated(function: Body) -> Body:
    @functools.wraps(function)
    def wrapper(self: Any) -> Any:
        return function(self)

    return wrapper


class PlaceTest(SmokeTest):
    """Its methods are looked at, and run one by one."""

    __test__ = False

    def helper(self) -> None:
        raise LookupError("in the helper")

    def test_passes(self) -> None:  # looked for
        pass

    def test_fails_in_a_helper(self) -> None:
        self.helper()

    def test_fails_in_a_library(self) -> None:
        os.stat("/there/is/no/such/file")  # noqa: PTH116

    @decorated
    @decorated
    def test_decorated(self) -> None:
        self.fail("decorated")

    test_lambda = lambda self: self.fail("lambda")  # noqa: E731

    async def test_async(self) -> None:
        await asyncio.sleep(0)
        self.fail("async")


class HeirTest(PlaceTest):
    pass


@pytest.mark.parametrize("cls", [PlaceTest, HeirTest])
@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("test_passes", "def test_passes(self) -> None:  # looked for"),
        ("test_fails_in_a_helper", 'raise LookupError("in the helper")'),
        ("test_fails_in_a_library", 'os.stat("/there'),
        ("test_decorated", 'self.fail("decorated")'),
        ("test_lambda", "test_lambda = "),
        ("test_async", 'self.fail("async")'),
    ],
)
def test_place_is_the_innermost_line_of_the_tests_own_file(
    cls: type[SmokeTest], method: str, code: str
) -> None:
    result = result_of(cls, method)
    assert (result.file, result.line) == (HERE, line_of(code))


def test_place_of_a_passing_decorated_test_is_its_own_and_not_the_decorators() -> None:
    spec = PlaceTest("test_decorated").spec()
    assert (spec.file, spec.line) == (HERE, line_of("def test_decorated(") - 2)


@pytest.mark.parametrize("method", ["test_fails_in_a_helper", "test_decorated", "test_async"])
def test_traceback_begins_in_the_test_and_not_in_the_machinery(method: str) -> None:
    head, first = result_of(PlaceTest, method).traceback.splitlines()[:2]
    assert head == "Traceback (most recent call last):"
    assert HERE in first
    assert "src/smoketest" not in first


def test_path_outside_of_the_working_directory_stays_whole() -> None:
    assert relative_path(asyncio.__file__) == asyncio.__file__


def test_working_directory_that_is_gone_costs_no_report(tmp_path: Path) -> None:
    # A deploy removes the folder of the release before, where old processes still stand.
    code = (
        "import os, sys\n"
        "folder = sys.argv[1]; os.chdir(folder); os.rmdir(folder)\n"
        "from smoketest.recorder import relative_path\n"
        "print(relative_path('/srv/shop/smoke.py'))"
    )
    folder = tmp_path / "release"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "/srv/shop/smoke.py\n", done.stderr


# -- what the test says of itself


def test_result_carries_what_the_test_says_of_itself() -> None:
    @tag("b", "a")
    class SaysTest(SmokeTest):
        runbook = "https://runbooks.example/stock"

        @optional
        @tag("c")
        def test_it(self) -> None:
            """Stock is there.

            And more.
            """

    result = result_of(SaysTest)
    assert result.id == f"{__name__}.{SaysTest.__qualname__}.test_it"
    assert result.tags == ("a", "b", "c")
    assert result.optional
    assert result.description == "Stock is there."
    assert result.runbook == "https://runbooks.example/stock"
    assert result.started_at.tzinfo is not None
    assert result.duration >= 0


def test_duration_has_set_up_test_tear_down_and_cleanups() -> None:
    moments: list[str] = []

    class SlowTest(SmokeTest):
        def setUp(self) -> None:
            self.addCleanup(moments.append, "cleanup")

        def tearDown(self) -> None:
            moments.append("tearDown")

        def test_it(self) -> None:
            moments.append("test")

    recorder = Recorder(
        lambda test, result: moments.append("end"), on_start=lambda *_: moments.append("start")
    )
    SlowTest("test_it").run(recorder)
    assert moments == ["start", "test", "tearDown", "cleanup", "end"]


# -- locks that were lost


class LostLock(Exception):
    pass


def lost_a_lock(body: Body) -> bool:
    class LockTest(SmokeTest):
        test_it = body

        def test_passes(self) -> None:
            pass

    recorder = Recorder(
        lambda test, result: None, lost_a_lock=lambda error: isinstance(error, LostLock)
    )
    LockTest("test_it").run(recorder)
    lost = recorder.lost_a_lock
    LockTest("test_passes").run(recorder)
    assert not recorder.lost_a_lock
    return lost


def test_lost_lock_is_noted_for_its_test_alone() -> None:
    def body(self: SmokeTest) -> None:
        raise LostLock

    assert lost_a_lock(body)


def test_lost_lock_of_a_subtest_is_noted() -> None:
    def body(self: SmokeTest) -> None:
        with self.subTest():
            raise LostLock

    assert lost_a_lock(body)


def test_failure_is_no_lost_lock() -> None:
    assert not lost_a_lock(lambda self: self.fail())


# -- fixtures of a class


def test_error_in_set_up_class_belongs_to_the_class() -> None:
    class SetUpTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            raise LookupError("of setUpClass")

        def test_it(self) -> None:
            pass

    recording = Recording(SetUpTest("test_it"), in_suite=True)
    assert recording.results == []
    [(name, problem)] = recording.fixtures.items()
    assert name == f"setUpClass ({__name__}.{SetUpTest.__qualname__})"
    assert (problem.outcome, problem.message) == (
        Outcome.ERRORED,
        "LookupError: of setUpClass",
    )


def test_skip_in_set_up_class_is_a_skip() -> None:
    class SetUpTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            raise unittest.SkipTest("x" * 10 * MESSAGE_LIMIT)

        def test_it(self) -> None:
            pass

    [problem] = Recording(SetUpTest("test_it"), in_suite=True).fixtures.values()
    assert problem.outcome is Outcome.SKIPPED
    assert len(problem.message) < MESSAGE_LIMIT + 100


@pytest.mark.parametrize("method", ["setUpClass", "tearDownClass"])
def test_error_of_a_class_cleanup_hides_none_of_the_fixture(method: str) -> None:
    class FixtureTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            cls.addClassCleanup(raise_, ValueError("of the cleanup"))
            if method == "setUpClass":
                raise LookupError("of setUpClass")

        @classmethod
        def tearDownClass(cls) -> None:
            raise LookupError("of tearDownClass")

        def test_it(self) -> None:
            pass

    [problem] = Recording(FixtureTest("test_it"), in_suite=True).fixtures.values()
    assert problem.outcome is Outcome.ERRORED
    assert problem.message == f"LookupError: of {method}\nValueError: of the cleanup"
    assert "of the cleanup" in problem.traceback


@pytest.mark.parametrize("skip_comes_first", [False, True])
def test_skip_in_a_class_cleanup_hides_no_error(skip_comes_first: bool) -> None:
    errors = [LookupError("an error"), unittest.SkipTest("a skip")]
    errors.sort(key=lambda error: isinstance(error, unittest.SkipTest), reverse=skip_comes_first)

    class FixtureTest(SmokeTest):
        @classmethod
        def tearDownClass(cls) -> None:
            cls.addClassCleanup(raise_, errors[1])
            raise errors[0]

        def test_it(self) -> None:
            pass

    [problem] = Recording(FixtureTest("test_it"), in_suite=True).fixtures.values()
    assert (problem.outcome, problem.message) == (Outcome.ERRORED, "LookupError: an error")


# -- a stack that is looked at from outside


def test_stack_of_a_thread_begins_at_the_test() -> None:
    stacks: list[str] = []

    class StackTest(SmokeTest):
        def test_it(self) -> None:
            stacks.append(stack_of([sys._getframe()]))

    thread = threading.Thread(target=StackTest("test_it").run)
    thread.start()
    thread.join()
    [stack] = stacks
    assert stack.startswith("Stack at that moment (most recent call last):\n")
    assert stack.endswith("stacks.append(stack_of([sys._getframe()]))\n")
    assert len(stack.splitlines()) == 3
