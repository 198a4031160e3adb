"""An event loop that costs no thread until it needs one.

``async_to_sync`` gives each call a thread and a loop, although most coroutines never call
synchronous code. Here a loop begins on the thread of its caller. When a coroutine calls
synchronous code that belongs to that thread, such as the ORM, the loop moves to another
one, and the caller's thread does what is asked for. From then on all is as it is under
``async_to_sync``: the loop goes on meanwhile, and synchronous code may await again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from asgiref import sync
from asgiref.sync import AsyncToSync, SyncToAsync, async_to_sync

P = ParamSpec("P")
T = TypeVar("T")

_listeners: list[Callable[[BaseException], None]] = [lambda error: None]
_adopt: Callable[[Context], None] | None = getattr(sync, "_restore_context", None)
"""Sets here what is set in a context, and lets asgiref's ``Local`` belong to this thread."""


def run(
    function: Callable[[], Coroutine[Any, Any, None]], on_move: Callable[[], None] = lambda: None
) -> None:
    """Call the ``async def`` and wait for its end; raises what it raises.

    What it sets in its context is set in the caller's afterwards. ``on_move`` is called
    on another thread, where the loop goes on there.
    """
    if _adopt is None or _is_inside_another():
        async_to_sync(function)()  # which finds the loop that there is
    else:
        _Loop(_adopt, on_move).run(function())


def tell_of_unasked(listener: Callable[[BaseException], None]) -> None:
    """Call ``listener`` from now on with what nobody asked for: the error of a task, a callback.

    It is called by :func:`run`, once its coroutine has ended well.
    """
    _listeners.append(listener)


def _is_inside_another() -> bool:
    """Whether this thread runs a loop, or does something for one."""
    if asyncio._get_running_loop() is not None:
        return True
    if getattr(AsyncToSync.executors, "current", None) is not None:
        return True
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return loop is not None and not loop.is_closed()  # it stays there for ever


def _go_on(loop: asyncio.AbstractEventLoop) -> BaseException | None:
    """Run ``loop`` until it is stopped; return what asyncio lets through: ``SystemExit``."""
    try:
        loop.run_forever()
    except (SystemExit, KeyboardInterrupt) as error:
        return error
    return None


class _Loop(Executor):
    """A loop for one coroutine; as an executor it has functions run on the caller's thread."""

    def __init__(self, adopt: Callable[[Context], None], on_move: Callable[[], None]) -> None:
        self._adopt = adopt
        self._on_move = on_move
        self._home = threading.get_ident()
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """What the caller's thread is to do; ``None`` is the end."""
        self._contexts: list[Context] = []
        """Those of the tasks that began here, the first one's first."""
        self._unasked: list[BaseException] = []

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run ``coroutine`` to its end on this thread and, if it wants that, one more."""
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            loop = runner.get_loop()
            loop.set_task_factory(self._new_task)
            loop.set_exception_handler(self._note_unasked)
            # Where asgiref looks who runs synchronous code that a coroutine of the loop calls.
            AsyncToSync.loop_thread_executors[loop] = self  # type: ignore[assignment]
            try:
                task = loop.create_task(coroutine)
                task.add_done_callback(lambda task: loop.stop())
                self._escaped = _go_on(loop)
                if not (task.done() or self._escaped):
                    self._move(loop)
                if self._escaped and not task.done():
                    raise self._escaped
            finally:
                del AsyncToSync.loop_thread_executors[loop]
        self._adopt(self._contexts[0])
        task.result()
        for error in self._unasked:
            _listeners[-1](error)

    def _note_unasked(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if (error := context.get("exception")) is not None:
            self._unasked.append(error)
        loop.default_exception_handler(context)

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Any,
        *,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        context = copy_context() if context is None else context
        self._contexts.append(context)
        return asyncio.Task(coroutine, loop=loop, context=context, **options)

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop run on another thread, and do here what it asks for."""

        def go_on() -> None:
            try:
                self._on_move()
                for context in self._contexts:
                    context.run(self._adopt, context)
                self._escaped = _go_on(loop)
            finally:
                self._calls.put(None)

        loop.set_task_factory(None)
        thread = threading.Thread(target=go_on, name="smoketest-loop", daemon=True)
        thread.start()
        while (call := self._calls.get()) is not None:
            call()
        thread.join()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                    future.set_exception(error)

        self._calls.put(call)
        if threading.get_ident() == self._home:
            asyncio.get_running_loop().stop()  # here: it goes on elsewhere, see _move
        return future
