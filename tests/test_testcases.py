"""A SmokeTest is a unittest.TestCase, in production and under any runner."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import io
import os
import subprocess
import sys
import textwrap
import threading
import unittest
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import connection, connections
from django.test import override_settings
from django.test import tag as djangos_tag
from django.utils import timezone, translation

from smoketest import SmokeTest, optional, serial, tag, timeout
from smoketest.exceptions import Refused
from smoketest.marks import Spec
from tests.conftest import Outside
from tests.databases import SQLite
from tests.testapp.models import Item

Body = Callable[[Any], Any]
ITEMS = "SELECT name FROM testapp_item"


def run(cls: type[SmokeTest]) -> unittest.TestResult:
    """Run the class as plain unittest does, quietly."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(cls)
    assert suite.countTestCases(), "the class has no tests"
    return unittest.TextTestRunner(stream=io.StringIO()).run(suite)


def run_body(body: Body) -> unittest.TestResult:
    class BodyTest(SmokeTest):
        test_it = body

    return run(BodyTest)


def problems(result: unittest.TestResult) -> str:
    return "".join(text for _, text in [*result.errors, *result.failures])


def spec_of(cls: type[SmokeTest], method: str = "test_it") -> Spec:
    return cls(method).spec()


# -- decorators and attributes


def test_test_that_says_nothing_has_the_defaults() -> None:
    class PlainTest(SmokeTest):
        def test_it(self) -> None: ...

    spec = spec_of(PlainTest)
    assert (spec.timeout, spec.tags, spec.optional, spec.serial) == (None, (), False, False)
    assert (spec.runbook, spec.description) == ("", "")


def test_attributes_of_the_class_are_those_of_its_tests() -> None:
    class AttributeTest(SmokeTest):
        timeout = 3
        tags = ("b", "a")
        optional = True
        serial = True
        runbook = "https://runbooks.example"

        def test_it(self) -> None: ...

    spec = spec_of(AttributeTest)
    assert (spec.timeout, spec.tags, spec.optional, spec.serial) == (3.0, ("a", "b"), True, True)
    assert spec.runbook == "https://runbooks.example"


def test_decorators_of_the_class_hold_for_each_test_and_its_subclasses() -> None:
    @tag("a")
    @timeout(3)
    @optional
    @serial
    class DecoratedTest(SmokeTest):
        def test_it(self) -> None: ...

    class HeirTest(DecoratedTest):
        pass

    for cls in (DecoratedTest, HeirTest):
        spec = spec_of(cls)
        assert (spec.timeout, spec.tags, spec.optional, spec.serial) == (3.0, ("a",), True, True)


def test_decorators_of_a_method_hold_for_that_method() -> None:
    class DecoratedTest(SmokeTest):
        @tag("a")
        @timeout(3)
        @optional
        @serial
        def test_it(self) -> None: ...

        def test_other(self) -> None: ...

    spec = spec_of(DecoratedTest)
    assert (spec.timeout, spec.tags, spec.optional, spec.serial) == (3.0, ("a",), True, True)
    spec = spec_of(DecoratedTest, "test_other")
    assert (spec.timeout, spec.tags, spec.optional, spec.serial) == (None, (), False, False)


def test_method_adds_to_the_tags_and_replaces_the_limit_of_its_class() -> None:
    @tag("a", "b")
    @timeout(3)
    class BothTest(SmokeTest):
        @tag("c")
        @tag("b")
        @timeout(0.5)
        def test_it(self) -> None: ...

    assert (spec_of(BothTest).tags, spec_of(BothTest).timeout) == (("a", "b", "c"), 0.5)


def test_tag_of_a_subclass_does_not_reach_its_parent() -> None:
    class ParentTest(SmokeTest):
        def test_it(self) -> None: ...

    @tag("child")
    class ChildTest(ParentTest):
        pass

    assert spec_of(ChildTest).tags == ("child",)
    assert spec_of(ParentTest).tags == ()


def test_djangos_own_tag_works_the_same() -> None:
    @djangos_tag("class")
    class TagTest(SmokeTest):
        @djangos_tag("method")
        def test_it(self) -> None: ...

    assert spec_of(TagTest).tags == ("class", "method")


def passing_through(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def test_decorators_above_and_below_another_decorator_hold() -> None:
    class DecoratedTest(SmokeTest):
        @tag("above")
        @optional
        @passing_through
        @serial
        @timeout(3)
        @tag("below")
        def test_it(self) -> None: ...

    spec = spec_of(DecoratedTest)
    assert (spec.tags, spec.optional, spec.serial) == (("above", "below"), True, True)
    assert spec.timeout == 3.0


def test_description_is_the_first_line_of_the_docstring() -> None:
    class DescribedTest(SmokeTest):
        def test_it(self) -> None:
            """Products can be read.

            And this is not in it.
            """

    assert spec_of(DescribedTest).description == "Products can be read."


def test_address_is_that_of_unittest() -> None:
    class AddressTest(SmokeTest):
        def test_it(self) -> None: ...

    test = AddressTest("test_it")
    assert test.id() == unittest.TestCase.id(test)
    assert test.id().endswith(".AddressTest.test_it")


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("3", TypeError, ["'3'", "no number", "@timeout(3)"]),
        (True, TypeError, ["True", "no number", "@timeout(3)"]),
        (0, ValueError, ["0", "positive", "seconds"]),
        (-1, ValueError, ["-1", "positive", "seconds"]),
        (float("inf"), ValueError, ["inf", "hang", "seconds"]),
        (float("nan"), ValueError, ["nan", "hang", "seconds"]),
    ],
    ids=repr,
)
def test_limit_that_is_none_is_refused(
    value: Any, error: type[Exception], words: list[str]
) -> None:
    class LimitTest(SmokeTest):
        def test_it(self) -> None: ...

    with pytest.raises(error) as by_decorator:
        timeout(value)
    LimitTest.timeout = value
    with pytest.raises(error) as by_attribute:
        spec_of(LimitTest)
    for raised in (by_decorator, by_attribute):
        assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize("value", ["network", 3, None, [3]], ids=repr)
def test_tags_that_are_no_words_are_refused(value: Any) -> None:
    class TagTest(SmokeTest):
        tags = value

        def test_it(self) -> None: ...

    with pytest.raises(TypeError, match=r"tags of .*TagTest.* are .*, which is no .*@tag"):
        spec_of(TagTest)


def test_tag_that_is_no_word_is_refused() -> None:
    with pytest.raises(TypeError, match=r"are .3,., which is no list of words"):
        tag(3)(lambda self: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("decorator", [optional, serial])
@pytest.mark.parametrize("value", [True, "why", None], ids=repr)
def test_decorator_without_arguments_that_is_given_one_is_refused(
    decorator: Any, value: Any
) -> None:
    name = decorator.__name__
    with pytest.raises(TypeError, match=f"@{name} was given .* Write @{name} alone"):
        decorator(value)


@pytest.mark.parametrize("value", ["default", None, 3, [3], [["default"]]], ids=repr)
def test_databases_that_are_no_set_of_aliases_are_an_error(value: Any) -> None:
    class DatabaseTest(SmokeTest):
        databases = value

        def test_it(self) -> None:
            raise AssertionError("it ran")

    result = run(DatabaseTest)
    [(_, text)] = result.errors
    assert f"databases = {value!r}, which is no set of aliases" in text
    assert "Write databases = {" in text


def test_alias_that_no_database_has_is_an_error_with_a_near_match() -> None:
    class DatabaseTest(SmokeTest):
        databases = {"defualt"}

        def test_it(self) -> None:
            raise AssertionError("it ran")

    [(_, text)] = run(DatabaseTest).errors
    assert "'defualt'" in text
    assert "Did you mean 'default'?" in text


def test_alias_that_the_test_does_not_name_is_refused(sqlite: object, outside: Outside) -> None:
    class DatabaseTest(SmokeTest):
        databases = {"default"}

        def test_it(self) -> None:
            Item.objects.create(name="smoke")
            Item.objects.using("other").create(name="smoke")

    [(_, text)] = run(DatabaseTest).errors
    assert "Refused" in text
    assert "'other'" in text
    assert "Add 'other' to `databases`" in text
    assert outside(ITEMS) == outside(ITEMS, "other") == []


def test_isolated_asyncio_test_case_is_refused_because_its_set_up_would_not_run() -> None:
    class MixedTest(SmokeTest, unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            raise AssertionError("never called")

        async def test_it(self) -> None: ...

    assert "Derive from SmokeTest alone" in problems(run(MixedTest))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("asyncSetUp", lambda self: None, "Write async def setUp."),
        ("asyncTearDown", lambda self: None, "Write async def tearDown."),
        ("fixtures", ["products.json"], "which a SmokeTest never loads"),
    ],
)
def test_what_other_test_cases_go_by_is_refused_because_nothing_would_come_of_it(
    name: str, value: object, told: str
) -> None:
    case = type("ATest", (SmokeTest,), {name: value, "test_it": lambda self: None})
    assert told in problems(run(case))


def test_empty_list_of_fixtures_is_none() -> None:
    case = type("ATest", (SmokeTest,), {"fixtures": [], "test_it": lambda self: None})
    assert run(case).wasSuccessful()


# -- what is async


def test_async_methods_and_cleanups_are_awaited_in_unittests_order() -> None:
    done: list[str] = []

    async def note(word: str) -> None:
        await asyncio.sleep(0)
        done.append(word)

    class AsyncTest(SmokeTest):
        @classmethod
        async def setUpClass(cls) -> None:  # type: ignore[override]
            await note("setUpClass")
            super().setUpClass()  # which is begun already

        @classmethod
        async def tearDownClass(cls) -> None:  # type: ignore[override]
            await note("tearDownClass")

        async def setUp(self) -> None:  # type: ignore[override]
            await note("setUp")
            self.addCleanup(note, "cleanup")

        async def tearDown(self) -> None:  # type: ignore[override]
            await note("tearDown")

        async def test_it(self) -> None:
            await note("test")

    result = run(AsyncTest)
    assert not problems(result)
    assert done == [
        *("setUpClass", "setUp", "test"),
        *("tearDown", "cleanup", "tearDownClass"),
    ]


@pytest.mark.parametrize("method", ["setUp", "test_it", "tearDown"])
def test_failure_of_an_async_method_is_a_failure(method: str) -> None:
    async def fail(self: SmokeTest) -> None:
        await asyncio.sleep(0)
        self.fail(f"in {method}")

    namespace: dict[str, Any] = {"test_it": lambda self: None, method: fail}
    cls = type("AsyncTest", (SmokeTest,), namespace)
    [(_, text)] = run(cls).failures
    assert f"in {method}" in text


def test_failure_of_an_async_cleanup_is_a_failure() -> None:
    async def fail() -> None:
        raise AssertionError("late")

    [(_, text)] = run_body(lambda self: self.addCleanup(fail)).failures
    assert "late" in text


def test_coroutine_that_a_plain_wrapper_returns_is_awaited() -> None:
    class WrappedTest(SmokeTest):
        @passing_through
        async def test_it(self) -> None:
            await asyncio.sleep(0)
            self.fail("awaited")

    [(_, text)] = run(WrappedTest).failures
    assert "awaited" in text


def test_async_set_up_test_data_is_awaited(sqlite: object, outside: Outside) -> None:
    class DataTest(SmokeTest):
        item: Item

        @classmethod
        async def setUpTestData(cls) -> None:  # type: ignore[override]
            cls.item = await Item.objects.acreate(name="shared")

        def test_it(self) -> None:
            self.assertEqual(Item.objects.get(), self.item)

    assert not problems(run(DataTest))
    assert outside(ITEMS) == []


def test_any_awaitable_is_awaited() -> None:
    class Later:
        def __await__(self) -> Iterator[Any]:
            raise AssertionError("awaited")

    [(_, text)] = run_body(lambda self: Later()).failures
    assert "awaited" in text


def generator(self: SmokeTest) -> Iterator[None]:
    self.fail("never reached")
    yield


async def async_generator(self: SmokeTest) -> AsyncIterator[None]:
    self.fail("never reached")
    yield


@pytest.mark.parametrize("function", [generator, async_generator])
@pytest.mark.parametrize("method", ["setUp", "test_it", "tearDown", "setUpClass", "setUpTestData"])
def test_generator_that_nobody_would_run_is_an_error(method: str, function: Any) -> None:
    hook = classmethod(function) if "Class" in method or "Data" in method else function
    namespace: dict[str, Any] = {"test_it": lambda self: None, method: hook}
    [(_, text)] = run(type("GeneratorTest", (SmokeTest,), namespace)).errors
    assert f"TypeError: {method} is a generator" in text
    assert "Remove the `yield`" in text


async def returns_a_value(self: SmokeTest) -> bool:
    return False


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (lambda self: False, "bool"),
        (lambda self: self.fail, "method"),
        (returns_a_value, "bool"),
        (contextlib.contextmanager(generator), "_GeneratorContextManager"),
    ],
)
def test_value_that_a_test_returns_is_an_error_for_nobody_looks_at_it(body: Any, what: str) -> None:
    [(_, text)] = run_body(body).errors
    assert f"TypeError: test_it returned {what}, and not None." in text


def test_cleanup_of_a_class_may_be_asynchronous() -> None:
    async def fail() -> None:
        raise AssertionError("it does not hold")

    class CleanupTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            cls.addClassCleanup(fail)

        def test_it(self) -> None:
            pass

    [(_, text)] = run(CleanupTest).errors
    assert "it does not hold" in text


def test_async_test_sees_its_own_rows_and_leaves_none(vendor: str, outside: Outside) -> None:
    class AsyncTest(SmokeTest):
        async def setUp(self) -> None:  # type: ignore[override]
            await Item.objects.acreate(name="from setUp")

        async def test_it(self) -> None:
            await Item.objects.acreate(name="from the test")
            self.assertEqual(await Item.objects.acount(), 2)

        async def tearDown(self) -> None:  # type: ignore[override]
            self.assertEqual(await Item.objects.acount(), 2)

    assert not problems(run(AsyncTest))
    assert outside(ITEMS) == []


def test_async_test_may_be_run_where_a_loop_is_running_in_another_thread() -> None:
    async def awaits(self: SmokeTest) -> None:
        await asyncio.sleep(0)

    async def caller() -> unittest.TestResult:
        return await asyncio.to_thread(run_body, awaits)

    assert not problems(asyncio.run(caller()))


# -- one test does not see another


def test_every_test_has_its_own_instance_and_its_own_rows(vendor: str, outside: Outside) -> None:
    class AloneTest(SmokeTest):
        def look_and_leave(self) -> None:
            self.assertNotIn("left", vars(self))
            self.assertEqual(Item.objects.count(), 0)
            self.left = Item.objects.create(name="smoke")

        test_1 = test_2 = look_and_leave

    result = run(AloneTest)
    assert (result.testsRun, problems(result)) == (2, "")
    assert outside(ITEMS) == []


some_variable: ContextVar[str] = ContextVar("some_variable", default="as before")


@pytest.mark.parametrize("where", ["setUp", "test", "tearDown", "cleanup"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_a_test_activates_reaches_neither_the_next_nor_the_caller(
    where: str, is_async: bool
) -> None:
    seen: list[tuple[str, str, str]] = []

    def activate() -> None:
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        some_variable.set("changed")

    def state() -> tuple[str, str, str]:
        zone = timezone.get_current_timezone_name()
        return translation.get_language(), zone, some_variable.get()

    def step(name: str) -> Body:
        def plainly(self: SmokeTest) -> None:
            if name == "setUp":
                seen.append(state())
                self.addCleanup(step("cleanup"), self)
            if name == where:
                activate()

        async def awaited(self: SmokeTest) -> None:
            plainly(self)

        return awaited if is_async else plainly

    namespace = {"setUp": step("setUp"), "tearDown": step("tearDown")}
    tests = {"test_1": step("test"), "test_2": step("test")}
    before = state()
    assert not problems(run(type("ActivatingTest", (SmokeTest,), {**namespace, **tests})))
    assert [*seen, state()] == [before] * 3


def test_what_set_up_activates_is_active_in_the_test() -> None:
    class ActivatingTest(SmokeTest):
        async def setUp(self) -> None:  # type: ignore[override]
            translation.activate("de")

        def test_it(self) -> None:
            self.assertEqual(translation.get_language(), "de")

        async def test_it_async(self) -> None:
            self.assertEqual(translation.get_language(), "de")

    assert not problems(run(ActivatingTest))


# -- fixtures of a class


def test_set_up_test_data_is_there_in_each_test_and_gone_in_the_end(
    vendor: str, outside: Outside
) -> None:
    class DataTest(SmokeTest):
        item: Item

        @classmethod
        def setUpTestData(cls) -> None:
            cls.item = Item.objects.create(name="shared")

        def change_it(self) -> None:
            self.assertEqual([one.name for one in Item.objects.all()], ["shared"])
            self.assertEqual(self.item.name, "shared")
            self.item.name = "changed"
            self.item.save()

        test_1 = test_2 = change_it

    assert not problems(run(DataTest))
    assert outside(ITEMS) == []


class WithoutSuper:
    """A mixin that is no SmokeTest."""

    @classmethod
    def setUpClass(cls) -> None:
        Item.objects.create(name="from a mixin")


def test_set_up_class_without_super_is_rolled_back(vendor: str, outside: Outside) -> None:
    class ForgetfulTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="forgotten")

        def test_sees_it(self) -> None:
            self.assertEqual(Item.objects.get().name, "forgotten")

    assert not problems(run(ForgetfulTest))
    assert outside(ITEMS) == []


def test_set_up_class_of_a_mixin_is_rolled_back(sqlite: object, outside: Outside) -> None:
    class MixedTest(WithoutSuper, SmokeTest):
        def test_it(self) -> None:
            self.assertEqual(Item.objects.get().name, "from a mixin")

    assert not problems(run(MixedTest))
    assert outside(ITEMS) == []


def test_static_set_up_class_is_rolled_back(sqlite: object, outside: Outside) -> None:
    class StaticTest(SmokeTest):
        @staticmethod
        def setUpClass() -> None:
            Item.objects.create(name="static")

        def test_sees_it(self) -> None:
            self.assertEqual(Item.objects.count(), 1)

    assert StaticTest.has_class_fixtures()
    assert not problems(run(StaticTest))
    assert outside(ITEMS) == []


@pytest.mark.parametrize("name", ["setUpClass", "tearDownClass", "setUpTestData"])
def test_class_fixture_that_is_no_classmethod_is_an_error(name: str) -> None:
    namespace = {name: lambda cls: None, "test_it": lambda self: None}
    cls: type[SmokeTest] = type("PlainTest", (SmokeTest,), namespace)
    assert cls.has_class_fixtures()
    [(_, text)] = run(cls).errors
    assert "TypeError" in text
    assert "missing 1 required positional argument" in text


def test_fixture_of_a_parent_is_rolled_back_with_its_childs(
    sqlite: object, outside: Outside
) -> None:
    class ParentTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name=f"parent of {cls.__name__}")

        @classmethod
        def tearDownClass(cls) -> None:
            Item.objects.create(name="while tearing down")

    class ChildTest(ParentTest):
        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()
            Item.objects.create(name="child")

        def test_it(self) -> None:
            names = sorted(Item.objects.values_list("name", flat=True))
            self.assertEqual(names, ["child", "parent of ChildTest"])

    for _ in range(2):
        assert not problems(run(ChildTest))
        assert outside(ITEMS) == []


def test_second_database_of_a_class_fixture_is_rolled_back(
    sqlite: object, outside: Outside
) -> None:
    class DataTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.using("other").create(name="shared")

        def test_it(self) -> None:
            self.assertEqual(Item.objects.using("other").count(), 1)

    assert not problems(run(DataTest))
    assert outside(ITEMS, "other") == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LookupError("of setUpClass"), "LookupError: of setUpClass"),
        (SystemExit(3), "setUpClass called sys.exit(3)"),
    ],
    ids=repr,
)
def test_set_up_class_that_raises_is_rolled_back(
    sqlite: object, outside: Outside, error: BaseException, words: str
) -> None:
    class RaisingTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="too early")
            raise error

        def test_it(self) -> None:
            raise AssertionError("it ran")

    for _ in range(2):
        result = run(RaisingTest)
        assert (result.testsRun, len(result.errors)) == (0, 1)
        assert words in problems(result)
        assert outside(ITEMS) == []


def test_set_up_class_that_skips_is_rolled_back(sqlite: object, outside: Outside) -> None:
    class SkippingTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="too early")
            raise unittest.SkipTest("not here")

        def test_it(self) -> None:
            raise AssertionError("it ran")

    assert [reason for _, reason in run(SkippingTest).skipped] == ["not here"]
    assert outside(ITEMS) == []


@pytest.mark.parametrize("error", [LookupError("late"), SystemExit("late")], ids=repr)
def test_tear_down_class_that_raises_is_an_error_and_rolled_back(
    sqlite: object, outside: Outside, error: BaseException
) -> None:
    class RaisingTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="shared")

        @classmethod
        def tearDownClass(cls) -> None:
            raise error

        def test_it(self) -> None: ...

    [(_, text)] = run(RaisingTest).errors
    assert "late" in text
    assert outside(ITEMS) == []


def test_class_cleanups_and_contexts_run_before_the_roll_back(
    sqlite: object, outside: Outside
) -> None:
    seen: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def noted() -> Iterator[None]:
        yield
        seen.append(("context", Item.objects.count()))

    class CleanupTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            cls.addClassCleanup(lambda: seen.append(("cleanup", Item.objects.count())))
            cls.enterClassContext(noted())
            Item.objects.create(name="shared")

        def test_it(self) -> None: ...

    assert not problems(run(CleanupTest))
    assert seen == [("context", 1), ("cleanup", 1)]
    assert outside(ITEMS) == []


def test_roll_back_of_a_class_that_fails_is_an_error(postgresql: Any, outside: Outside) -> None:
    class LostTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="shared")

        @classmethod
        def tearDownClass(cls) -> None:
            with connection.cursor() as cursor, contextlib.suppress(Exception):
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        def test_it(self) -> None: ...

    assert "was lost before the end" in problems(run(LostTest))
    assert outside(ITEMS) == []


def test_fixtures_of_one_class_on_two_threads_are_two(vendor: str, outside: Outside) -> None:
    meet = threading.Barrier(2, timeout=10)
    results: list[unittest.TestResult] = []

    class SharedTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            meet.wait()

        def test_it(self) -> None:
            meet.wait()

        @classmethod
        def tearDownClass(cls) -> None:
            meet.wait()

    threads = [threading.Thread(target=lambda: results.append(run(SharedTest))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [problems(result) for result in results] == ["", ""]


def test_set_up_class_that_was_broken_off_does_not_stand_in_the_way(
    sqlite: object, outside: Outside
) -> None:
    interrupts: list[BaseException] = [KeyboardInterrupt()]

    class InterruptedTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            if interrupts:
                raise interrupts.pop()
            Item.objects.create(name="shared")

        def test_it(self) -> None:
            self.assertEqual(Item.objects.count(), 1)

    def break_off() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(InterruptedTest)

    thread = threading.Thread(target=break_off)
    thread.start()
    thread.join()
    assert not problems(run(InterruptedTest))
    assert outside(ITEMS) == []


def test_fixture_that_nobody_ends_is_rolled_back_with_the_one_around_it(
    vendor: str, outside: Outside
) -> None:
    class OtherTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="of another class")

    class CallingTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            Item.objects.create(name="own")
            OtherTest.setUpClass()

        def test_it(self) -> None:
            self.assertEqual(Item.objects.count(), 2)

    connection.ensure_connection()
    assert not problems(run(CallingTest))
    assert outside(ITEMS) == []
    assert connection.get_autocommit()


# -- what changes the live process is refused


def test_override_settings_on_a_method_is_refused() -> None:
    class OverridingTest(SmokeTest):
        @override_settings(DEBUG=True)
        def test_it(self) -> None:
            raise AssertionError("it ran")

    [(_, text)] = run(OverridingTest).errors
    assert "Refused: override_settings was used in" in text


def test_override_settings_on_a_class_is_refused() -> None:
    @override_settings(DEBUG=True)
    class OverridingTest(SmokeTest):
        def test_it(self) -> None:
            raise AssertionError("it ran")

    assert OverridingTest.has_class_fixtures()
    [(_, text)] = run(OverridingTest).errors
    assert "Refused: @override_settings or @modify_settings was used on" in text


def test_settings_of_the_test_are_refused() -> None:
    def body(self: SmokeTest) -> None:
        with self.settings(DEBUG=True):
            raise AssertionError("it ran")

    [(_, text)] = run_body(body).errors
    assert "Refused" in text


def swallowed(function: Callable[[], object]) -> Callable[[SmokeTest], None]:
    """Return the body of a test whose code goes on, whatever comes of ``function``."""

    def body(self: SmokeTest) -> None:
        with contextlib.suppress(Exception):
            function()

    return body


def commit() -> None:
    connection.commit()


def of_its_own_thread(function: Callable[[], object]) -> Callable[[], object]:
    def on_a_thread() -> None:
        thread = threading.Thread(target=lambda: swallowed(function)(None))  # type: ignore[arg-type]
        thread.start()
        thread.join()

    return on_a_thread


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    "function",
    [
        commit,
        of_its_own_thread(commit),
        lambda: connection.cursor().execute("COMMIT"),
        lambda: mock.patch("os.getcwd").start(),
        lambda: override_settings(DEBUG=True).enable(),
    ],
    ids=["commit", "commit on a thread", "COMMIT", "patch", "override_settings"],
)
def test_refusal_that_is_swallowed_is_an_error_nevertheless(function: Any) -> None:
    [(_, text)] = run_body(swallowed(function)).errors
    assert "smoketest.exceptions.Refused" in text


@pytest.mark.usefixtures("sqlite")
def test_alias_that_is_refused_is_an_error_though_the_code_has_a_fallback() -> None:
    class FallbackTest(SmokeTest):
        databases = {"default"}

        def test_it(self) -> None:
            with contextlib.suppress(Exception):
                Item.objects.using("other").exists()

    [(_, text)] = run(FallbackTest).errors
    assert "Add 'other' to `databases`" in text


@pytest.mark.usefixtures("sqlite")
def test_refusal_that_a_class_fixture_swallows_is_an_error() -> None:
    class FixtureTest(SmokeTest):
        @classmethod
        def setUpTestData(cls) -> None:
            with contextlib.suppress(Exception):
                connection.commit()

        def test_it(self) -> None:
            pass

    [(_, text)] = run(FixtureTest).errors
    assert "called commit()" in text


@pytest.mark.usefixtures("sqlite")
def test_refusal_whose_lack_changes_nothing_may_be_swallowed() -> None:
    def body(self: SmokeTest) -> None:
        Item.objects.exists()
        with contextlib.suppress(Refused):
            copy.copy(connections["default"])
        with contextlib.suppress(Refused):
            connection.close()

    assert not problems(run_body(body))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_assertion_on_a_thread_fails_the_test() -> None:
    def body(self: SmokeTest) -> None:
        thread = threading.Thread(target=self.assertEqual, args=(1, 2))
        thread.start()
        thread.join()

    result = run_body(body)
    assert result.testsRun == 1
    [(_, text)] = result.failures
    assert "1 != 2" in text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("call", "passes"), [(lambda: 1 / 0, False), (functools.partial(int, "x"), True)]
)
def test_error_on_a_thread_counts_where_it_is_in_the_test_s_own_module(
    call: Callable[[], object], passes: bool
) -> None:
    def body(self: SmokeTest) -> None:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    assert run_body(body).wasSuccessful() is passes


@pytest.mark.parametrize(("fails", "status"), [(False, 0), (True, 1)])
def test_process_that_comes_back_from_its_fork_ends_there(
    vendor: str, outside: Outside, tmp_path: Path, fails: bool, status: int
) -> None:
    """It would run what follows a second time, and roll back on its parent's connection."""
    told = tmp_path / "told"

    class ForkingTest(SmokeTest):
        def test_1(self) -> None:
            Item.objects.create(name="written")
            child = os.fork()
            if child:
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), status)
                self.assertTrue(Item.objects.exists())
            else:
                self.assertFalse(fails)

        def test_2(self) -> None:
            with told.open("a") as file:
                file.write("ran ")

    assert not problems(run(ForkingTest))
    assert told.read_text() == "ran "


def test_refusals_end_with_the_test() -> None:
    run_body(lambda self: None)
    with override_settings(DEBUG=True):
        pass
    with pytest.raises(Refused):
        type("ATest", (SmokeTest,), {"test_it": lambda self: self.settings(DEBUG=1).enable()})(
            "test_it"
        ).debug()


# -- under any runner


class Leaving(SmokeTest):
    """Writes wherever it can; run by hand below."""

    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()

    def setUp(self) -> None:
        Item.objects.create(name="from setUp")
        self.addCleanup(Item.objects.create, name="from a cleanup")

    def tearDown(self) -> None:
        Item.objects.create(name="from tearDown")

    def test_passes(self) -> None:
        self.assertEqual(Item.objects.count(), 1)

    def test_fails(self) -> None:
        Item.objects.create(name="from the test")
        self.fail("on purpose")


Run = Callable[[SmokeTest], Any]


@pytest.mark.parametrize("connected", [False, True], ids=["unconnected", "connected"])
@pytest.mark.parametrize(
    ("run_it", "method"),
    [
        (lambda test: test.run(unittest.TestResult()), "test_passes"),
        (lambda test: test.run(unittest.TestResult()), "test_fails"),
        (lambda test: test(unittest.TestResult()), "test_fails"),
        (lambda test: test.run(), "test_fails"),
        (lambda test: test.debug(), "test_passes"),
        (lambda test: test.debug(), "test_fails"),
        (lambda test: unittest.TestSuite([test]).run(unittest.TestResult()), "test_fails"),
        # One that fails would leave its class undone, whatever class it is.
        (lambda test: unittest.TestSuite([test]).debug(), "test_passes"),
    ],
    ids=["run", "run-fails", "call", "no-result", "debug", "debug-fails", "suite", "suite-debug"],
)
def test_nothing_is_left_however_a_test_is_run(
    vendor: str, outside: Outside, run_it: Run, method: str, connected: bool
) -> None:
    if connected:
        connection.ensure_connection()
    with contextlib.suppress(AssertionError):
        run_it(Leaving(method))
    assert outside(ITEMS) == []
    assert (connection.connection is not None) is connected
    assert not connection.in_atomic_block
    Item.objects.create(name="of the caller")
    assert outside(ITEMS) == [("of the caller",)]


def test_debug_raises_what_the_test_raises(sqlite: object) -> None:
    with pytest.raises(AssertionError, match="on purpose"):
        Leaving("test_fails").debug()


def test_same_instance_may_run_twice(sqlite: object, outside: Outside) -> None:
    result = unittest.TestResult()
    test = Leaving("test_passes")
    for _ in range(2):
        test.run(result)
    assert (result.testsRun, problems(result)) == (2, "")
    assert outside(ITEMS) == []


PROJECT = {
    "config.py": """
        SECRET_KEY = "x" * 50
        INSTALLED_APPS = ["shop"]
        DATABASES = {
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{alias}.sqlite3"}
            for alias in ("default", "other")
        }
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        """,
    "manage.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "config"
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
        """,
    "pytest.ini": """
        [pytest]
        DJANGO_SETTINGS_MODULE = config
        python_files = smoke.py
        addopts = -p no:cacheprovider
        """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models

        class Product(models.Model):
            name = models.CharField(max_length=100)
        """,
    "shop/smoke.py": """
        from shop.models import Product
        from smoketest import SmokeTest

        class ProductTest(SmokeTest):
            @classmethod
            def setUpTestData(cls):
                Product.objects.create(name="shared")

            def test_fails(self):
                Product.objects.using("other").create(name="smoke")
                self.fail("on purpose")

            def test_passes(self):
                Product.objects.create(name="smoke")
                self.assertEqual(Product.objects.count(), 2)

            async def test_passes_async(self):
                await Product.objects.acreate(name="smoke")
                self.assertEqual(await Product.objects.acount(), 2)

        class OtherTest(SmokeTest):
            def test_sees_nothing_of_it(self):
                self.assertFalse(Product.objects.exists())
                self.assertFalse(Product.objects.using("other").exists())
        """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, with empty tables on two SQLite files."""
    for path, text in PROJECT.items():
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(textwrap.dedent(text), encoding="utf-8")
    for alias in ("default", "other"):
        SQLite(str(tmp_path / f"{alias}.sqlite3")).execute(
            "CREATE TABLE shop_product (id INTEGER PRIMARY KEY, name TEXT)"
        )
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        (["manage.py", "test"], "FAILED (failures=1)"),
        (["manage.py", "test", "-p", "smoke*.py"], "FAILED (failures=1)"),
        (["-m", "unittest", "shop.smoke"], "FAILED (failures=1)"),
        (["-m", "unittest", "discover", "-p", "smoke*.py"], "FAILED (failures=1)"),
        (["-m", "pytest"], "1 failed, 3 passed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_other_runners_come_to_the_same_and_leave_nothing(
    project: Path, arguments: list[str], verdict: str
) -> None:
    if arguments == ["manage.py", "test"]:
        arguments = [*arguments, "shop.smoke"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config", "PYTHONPATH": _path(project)}
    if "unittest" in arguments:
        # unittest sets up no Django; that is its user's part.
        setup = "import django\ndjango.setup()\n"
        smoke = project / "shop/smoke.py"
        smoke.write_text(setup + smoke.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert verdict in told, told
    assert done.returncode == 1
    assert "on purpose" in told
    for alias in ("default", "other"):
        rows = SQLite(str(project / f"{alias}.sqlite3")).execute("SELECT * FROM shop_product")
        assert rows == []


def _path(project: Path) -> str:
    return os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_assert_template_used_is_refused(sqlite: object) -> None:
    """Nothing tells in a live process which templates are rendered: it could only seem to pass."""

    class Case(SmokeTest):
        def test_one(self) -> None:
            with self.assertTemplateNotUsed("admin/login.html"):
                pass

    result = Case("test_one").run()
    assert result is not None
    assert "assertTemplateNotUsed was used in" in result.errors[0][1]
