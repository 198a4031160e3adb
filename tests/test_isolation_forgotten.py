"""What a test forgets to await does not let it pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from smoketest import SmokeTest
from smoketest.results import Outcome, TestResult
from tests.test_escapes import run
from tests.testapp.models import Item

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

NOT_AWAITED = "was never awaited, so none of its lines has run"


def result_of(body: Callable[[Any], object]) -> TestResult:
    """Run ``body`` as a smoke test, in a thread as in production."""
    [result] = run(type("ATest", (SmokeTest,), {"__test__": False, "test_it": body}))
    return result


async def verify(test: SmokeTest) -> None:
    await asyncio.sleep(0)
    test.assertEqual(1, 2)


async def of_another_module(error: Exception) -> None:
    raise error


of_another_module.__code__ = of_another_module.__code__.replace(co_filename="elsewhere.py")


# -- coroutines


async def await_nothing(test: SmokeTest) -> None:
    verify(test)  # type: ignore[unused-coroutine]


def await_nothing_in_a_plain_test(test: SmokeTest) -> None:
    verify(test)  # type: ignore[unused-coroutine]


async def await_no_query(test: SmokeTest) -> None:
    Item.objects.acreate(name="forgotten")  # type: ignore[unused-coroutine]


async def await_no_request(test: SmokeTest) -> None:
    test.async_client.get("/nobody/has/this/")  # type: ignore[unused-coroutine]


async def keep_what_is_not_awaited(test: SmokeTest) -> None:
    kept = verify(test)
    assert kept is not None


async def await_nothing_after_a_query(test: SmokeTest) -> None:
    await Item.objects.acount()  # from here on the loop is on another thread
    verify(test)  # type: ignore[unused-coroutine]


@pytest.mark.parametrize(
    "body",
    [
        await_nothing,
        await_nothing_in_a_plain_test,
        await_no_query,
        await_no_request,
        keep_what_is_not_awaited,
        await_nothing_after_a_query,
    ],
)
def test_coroutine_that_is_not_awaited_is_an_error(
    sqlite: object, body: Callable[[Any], object]
) -> None:
    result = result_of(body)
    assert result.outcome is Outcome.ERRORED
    assert NOT_AWAITED in result.message
    assert "Write `await` before it" in result.message


def test_the_line_that_lacks_the_await_is_named(sqlite: object) -> None:
    result = result_of(await_nothing)
    assert result.file == "tests/test_isolation_forgotten.py"
    assert "verify(test)  # type: ignore" in result.traceback


def test_coroutine_that_the_code_under_test_forgets_is_its_own_matter(sqlite: object) -> None:
    code = compile("def forget(coroutine): coroutine()", "elsewhere.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)

    def body(test: SmokeTest) -> None:
        names["forget"](lambda: of_another_module(AssertionError()))

    # The lambda is of the test's module, but what is dropped is not, nor is where.
    assert result_of(body).outcome is Outcome.PASSED


def test_coroutine_that_is_closed_or_awaited_is_no_error(sqlite: object) -> None:
    async def body(test: SmokeTest) -> None:
        verify(test).close()
        with test.assertRaises(AssertionError):
            await verify(test)

    assert result_of(body).outcome is Outcome.PASSED


def test_outside_of_a_test_python_warns_as_ever(sqlite: object) -> None:
    assert result_of(await_nothing).outcome is Outcome.ERRORED
    with pytest.warns(RuntimeWarning, match="coroutine 'verify' was never awaited") as caught:
        verify(SmokeTest())  # type: ignore[unused-coroutine]
    assert [warning.filename for warning in caught] == [__file__]


# -- tasks


async def forget_a_task(test: SmokeTest) -> None:
    await asyncio.wait([asyncio.create_task(verify(test))])  # and its result is not looked at


async def forget_a_task_beside_queries(test: SmokeTest) -> None:
    task = asyncio.create_task(verify(test))
    while not task.done():
        await Item.objects.acount()


async def forget_a_callback(test: SmokeTest) -> None:
    asyncio.get_running_loop().call_soon(test.assertEqual, 1, 2)
    await asyncio.sleep(0)


@pytest.mark.parametrize("body", [forget_a_task, forget_a_task_beside_queries, forget_a_callback])
def test_assertion_in_a_task_that_nobody_asks_fails_the_test(
    sqlite: object, body: Callable[[Any], object]
) -> None:
    result = result_of(body)
    assert result.outcome is Outcome.FAILED
    assert result.message == "1 != 2"


def test_task_whose_error_is_asked_for_is_no_failure(sqlite: object) -> None:
    async def body(test: SmokeTest) -> None:
        tasks = [asyncio.create_task(verify(test)) for _ in range(2)]
        [first, second] = await asyncio.gather(*tasks, return_exceptions=True)
        test.assertIsInstance(first, AssertionError)
        test.assertIsInstance(second, AssertionError)

    assert result_of(body).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(AssertionError("x"), Outcome.FAILED), (OSError("x"), Outcome.PASSED)],
)
def test_error_of_a_task_of_other_code_counts_if_it_is_an_assertions(
    sqlite: object, error: Exception, outcome: Outcome
) -> None:
    async def body(test: SmokeTest) -> None:
        await asyncio.wait([asyncio.create_task(of_another_module(error))])

    assert result_of(body).outcome is outcome
