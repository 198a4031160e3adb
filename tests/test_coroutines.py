"""Where a coroutine stands is known, whatever it is in just then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from smoketest.coroutines import Call


class Stops:
    """Says that somebody is in it, and keeps it there until it may go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        self.may_go_on.wait(10)


async def itself(stops: Stops) -> None:
    stops()


async def what_the_loop_calls_for_it(stops: Stops) -> None:
    def stops_first(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        stops()
        return asyncio.Task(coroutine, loop=loop)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(stops_first)  # type: ignore[arg-type]
    await loop.create_task(asyncio.sleep(0))


async def another_callback(stops: Stops) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def callback() -> None:
        stops()
        done.set_result(None)

    loop.call_soon(callback)
    await done


@pytest.mark.parametrize("function", [itself, what_the_loop_calls_for_it, another_callback])
def test_frames_show_where_the_coroutine_stands(
    function: Callable[[Stops], Coroutine[Any, Any, None]],
) -> None:
    stops = Stops()
    call = Call(function(stops))
    thread = threading.Thread(target=call.run)
    thread.start()
    assert stops.reached.wait(10)
    names = [frame.f_code.co_name for frame in call.frames()]
    stops.may_go_on.set()
    thread.join(10)

    assert function.__name__ in names
    assert ("stops_first" in names) is (function is what_the_loop_calls_for_it)


def test_a_loops_thread_that_has_ended_is_nobodys() -> None:
    """Its ident may be another's by then, and who ends a test by it would end that one's."""
    seen: list[int | None] = []

    def look() -> None:
        seen.append(call.thread)

    async def calls_synchronous_code() -> None:
        await sync_to_async(look)()

    call = Call(calls_synchronous_code())
    call.run()

    assert seen[0] not in (None, threading.get_ident())
    assert call.thread is None
