"""A coroutine runs as under async_to_sync, and on its caller's thread while that is free."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from threading import get_ident
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async

from smoketest import loops

AT_ONCE = 10.0
"""Seconds after which something that should happen at once is taken to hang."""

word: ContextVar[str] = ContextVar("word", default="")


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smoketest-loop"]


def test_coroutine_that_needs_no_thread_runs_on_its_callers() -> None:
    threads: list[int] = []

    async def body() -> None:
        await asyncio.sleep(0)
        threads.append(get_ident())

    loops.run(body)
    assert threads == [get_ident()]


def test_synchronous_code_runs_on_the_callers_thread_and_the_loop_on_another() -> None:
    sync_threads: list[int] = []
    async_threads: list[int] = []
    moved: list[int] = []

    async def body() -> None:
        async_threads.append(get_ident())
        for _ in range(2):
            await sync_to_async(lambda: sync_threads.append(get_ident()))()
            async_threads.append(get_ident())

    loops.run(body, lambda: moved.append(get_ident()))
    first, *others = async_threads
    assert (first, sync_threads) == (get_ident(), [get_ident()] * 2)
    assert others == moved * 2
    assert get_ident() not in moved
    assert loop_threads() == []


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_what_it_raises_is_raised(error: type[BaseException], moves: bool) -> None:
    async def body() -> None:
        if moves:
            await sync_to_async(int)()
        raise error

    with pytest.raises(error):
        loops.run(body)
    assert loop_threads() == []


def test_what_synchronous_code_raises_is_raised_where_it_is_awaited() -> None:
    async def body() -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            await sync_to_async(int)("x")

    loops.run(body)


def test_loop_goes_on_while_synchronous_code_waits_for_it() -> None:
    ready = threading.Event()

    async def sets() -> None:
        ready.set()

    async def body() -> None:
        waits = asyncio.ensure_future(sync_to_async(ready.wait)(AT_ONCE))
        await asyncio.sleep(0)
        assert all(await asyncio.gather(waits, sets(), return_exceptions=True)) is False
        assert waits.result()

    loops.run(body)


def test_synchronous_code_may_await_on_the_same_loop() -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(asyncio.get_running_loop())
        await sync_to_async(lambda: seen.append(get_ident()))()

    async def body() -> None:
        seen.append(asyncio.get_running_loop())
        await sync_to_async(async_to_sync(inner))()

    loops.run(body)
    assert seen[0] is seen[1]
    assert seen[2] == get_ident()


@pytest.mark.parametrize("moves", [False, True])
def test_context_comes_along_and_comes_back(moves: bool) -> None:
    local = Local()
    local.word = "before"
    word.set("before")

    async def body() -> None:
        assert (word.get(), local.word) == ("before", "before")
        if moves:
            await sync_to_async(int)()
        assert (word.get(), local.word) == ("before", "before")
        word.set("after")
        local.word = "after"

    loops.run(body)
    assert (word.get(), local.word) == ("after", "after")


def test_tasks_beside_keep_what_is_local_to_them_when_the_loop_moves() -> None:
    local = Local()
    found: list[str] = []

    async def beside(moved: asyncio.Event) -> None:
        local.word = "beside"
        await moved.wait()
        found.append(local.word)

    async def body() -> None:
        moved = asyncio.Event()
        task = asyncio.ensure_future(beside(moved))
        await asyncio.sleep(0)
        await sync_to_async(int)()
        moved.set()
        await task

    loops.run(body)
    assert found == ["beside"]


def test_task_that_is_left_over_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def body() -> None:
        body.task = asyncio.ensure_future(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    loops.run(body)
    assert cancelled == [True]


def test_inside_of_synchronous_code_of_a_loop_that_loop_is_used() -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(asyncio.get_running_loop())

    async def outer() -> None:
        seen.append(asyncio.get_running_loop())
        await sync_to_async(lambda: loops.run(inner))()

    asyncio.run(outer())
    assert seen[0] is seen[1]
