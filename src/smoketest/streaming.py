"""A run whose results are read as its tests end, by somebody who may go away.

The run is on a thread of its own, because the thread (or the event loop) of the
request is busy with sending. A reader who has gone away stops the run at the next
test, unless another caller waits for the same report.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from queue import Empty, SimpleQueue

from django.db import connections

from smoketest import isolation
from smoketest.exceptions import SmokeTestError
from smoketest.results import Report, TestResult
from smoketest.runner import Stopped


class Abandoned(SmokeTestError):
    """Nobody reads the results of a run any more, so it was stopped; there is no report."""


def is_possible() -> bool:
    """Whether tests can see their data on another thread than this one."""
    return not isolation.must_run_inline()


_END = None
"""What follows the last line."""


class Stream:
    """The lines of one run.

    ``write_result`` and ``write_end`` make them, on the thread of the run, ``write_start``
    before any test begins, and ``write_begin`` as one does, on the thread that it runs on;
    an empty one is left out. The end may be an error that came from around the tests.
    """

    def __init__(
        self,
        write_result: Callable[[TestResult], str],
        write_end: Callable[[Report | BaseException], str],
        is_awaited: Callable[[], bool] = lambda: False,
        *,
        write_start: Callable[[list[str]], str] = lambda ids: "",
        write_begin: Callable[[str], str] = lambda id: "",
    ) -> None:
        self._write_result = write_result
        self._write_end = write_end
        self._write_start = write_start
        self._write_begin = write_begin
        self._is_awaited = is_awaited
        self._first: SimpleQueue[Report | BaseException | None] = SimpleQueue()
        """``None`` when tests begin, or how it ended without a test."""
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._on_line: Callable[[], object] = lambda: None
        self._started = False
        self._closed = False
        self._stopped = False

    # -- on the thread of the request

    def begin(self, run: Callable[[], Report]) -> Report | None:
        """Start ``run``, and return when its tests begin; then there are lines to read.

        Where it returns a report without tests of its own, that of another caller, this
        report is returned instead. Raises what ``run`` raises before its tests begin.
        ``run`` is to call :meth:`on_start`, :meth:`on_result` and :meth:`check`, and may
        call :meth:`on_begin`.
        """
        # With the context of this thread, which says whether it is inside a smoke test.
        target = copy_context().run
        threading.Thread(
            target=target, args=(self._run, run), name="smoketest-stream", daemon=True
        ).start()
        first = self._first.get()
        if isinstance(first, BaseException):
            raise first
        return first

    def close(self) -> None:
        """Take note that nobody reads any more."""
        self._closed = True

    def lines(self) -> Iterator[str]:
        """Yield each line when it is there."""
        while (line := self._lines.get()) is not _END:
            yield line

    async def lines_async(self) -> AsyncIterator[str]:
        """Yield each line when it is there, and keep no thread waiting for it."""
        loop, more = asyncio.get_running_loop(), asyncio.Event()
        self._on_line = lambda: loop.call_soon_threadsafe(more.set)
        while True:
            more.clear()
            with contextlib.suppress(Empty):
                while (line := self._lines.get_nowait()) is not _END:
                    yield line
                return
            await more.wait()

    # -- on the thread of the run

    def on_start(self, ids: list[str]) -> None:
        """Take note that tests begin."""
        self._started = True
        self._put(self._write_start(ids))
        self._first.put(None)

    def on_begin(self, id: str) -> None:
        """Pass on that a test begins; called on any thread."""
        self._put(self._write_begin(id))

    def on_result(self, result: TestResult) -> None:
        """Pass on a result; raise ``Stopped``, once, if nobody wants any."""
        if self._closed:
            if not self._stopped and not self._is_awaited():
                self._stopped = True
                raise Stopped("The caller went away")
            return
        self._put(self._write_result(result))

    def check(self) -> None:
        """Raise :class:`Abandoned` if the run was stopped, so that it has no report."""
        if self._stopped:
            raise Abandoned("The caller of the run went away before its end; it was stopped.")

    def _run(self, run: Callable[[], Report]) -> None:
        end: Report | BaseException
        try:
            end = run()
        except BaseException as error:  # noqa: BLE001 - it is told to the reader
            end = error
        finally:
            connections.close_all()
        if not self._started:
            self._first.put(end)
            return
        try:
            self._put(self._write_end(end))
        finally:
            self._put(_END)

    def _put(self, line: str | None) -> None:
        if line == "":
            return
        self._lines.put(line)
        with contextlib.suppress(RuntimeError):  # the loop of a reader who is gone is closed
            self._on_line()


class Lines:
    """The body of a response of WSGI: a stream that is closed with the response."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        return self._stream.lines()

    def close(self) -> None:
        """Stop the run at its next test, if it has one."""
        self._stream.close()


class AsyncLines:
    """The same for ASGI."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[str]:
        return self._stream.lines_async()

    def close(self) -> None:
        """Stop the run at its next test, if it has one."""
        self._stream.close()
