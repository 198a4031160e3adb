"""The two streams of a program: what is written there arrives, and has its colours.

That holds whatever a stream can encode, and whether or not it is read to its end, or is there
at all. Where the report has no room, that is an error: nobody has seen it.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

from django.core.management.base import OutputWrapper
from django.core.management.color import Style, no_style

from smoketest.exceptions import SmokeTestError

_STDERR = 2
"""Its file descriptor."""


class CannotWrite(SmokeTestError):
    """What was to be read on standard output is lost: the disk is full, for example."""


@dataclass(frozen=True, kw_only=True)
class Console:
    """Standard output and standard error, as Django's commands have them."""

    out: OutputWrapper
    err: OutputWrapper
    colours: Style
    """Django's, for where there is colour."""
    no_color: bool = False
    force_color: bool = False

    def has_colour(self, stream: OutputWrapper) -> bool:
        """Whether what goes to ``stream`` is coloured."""
        # Django's own style asks sys.stdout alone whether it is a terminal.
        wanted = stream.isatty() and not os.environ.get("NO_COLOR") and not self.no_color
        return wanted or self.force_color

    def style(self, stream: OutputWrapper) -> Style:
        """Return how to colour what goes to ``stream``."""
        return self.colours if self.has_colour(stream) else no_style()


@dataclass(frozen=True)
class Raw:
    """A stream without Django's ends of lines and colours."""

    stream: OutputWrapper

    def write(self, text: str) -> None:
        """Write ``text`` as it is."""
        write(text, self.stream)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self.stream.fileno()


def or_nowhere(stream: TextIO | None) -> Any:
    """Return ``stream``, or what takes its place in a process that has none (``>&-``)."""
    return io.StringIO() if stream is None else stream


@contextmanager
def kept_for_reports() -> Iterator[TextIO]:
    """Yield standard output, and let whatever else is written there go to standard error.

    That is what tests print, and what is printed by programs that they start, by libraries in
    C, and by a handler of logging that was made before. Only for a process that is ours.
    """
    stdout, real = sys.stdout, sys.__stdout__
    with redirect_stdout(sys.stderr):
        if real is None or stdout is not real or sys.__stderr__ is None:
            yield or_nowhere(stdout)
            return
        with _moved(real) as stream:
            yield stream


@contextmanager
def _moved(stdout: TextIO) -> Iterator[TextIO]:
    """Yield ``stdout`` as another file descriptor; its own is standard error meanwhile."""
    place = stdout.fileno()
    _flush(stdout)
    with os.fdopen(os.dup(place), "w", encoding=stdout.encoding, errors=stdout.errors) as stream:
        os.dup2(_STDERR, place)
        try:
            yield stream
        finally:
            _flush(stdout)
            os.dup2(stream.fileno(), place)


def _flush(stream: TextIO | None) -> None:
    # A disk that is full has no room for saying so, either; or there is no such stream.
    with suppress(OSError, AttributeError):
        stream.flush()  # type: ignore[union-attr]


def write(text: str, stream: OutputWrapper) -> None:
    """Write ``text`` whatever the encoding of ``stream``, and whether or not it is read.

    Raises :class:`CannotWrite` where that is impossible; not so for standard error, which is
    no report, and where there is nobody left to tell.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(text, style_func=str, ending="")
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as error:
        _discard(stream)
        if stream.fileno() != _STDERR:
            raise CannotWrite(
                f"The report could not be written to standard output: {error.strerror or error}."
                " Nobody has seen it. Send it to where there is room."
            ) from error


def write_lines(lines: Iterable[str], stream: OutputWrapper) -> None:
    """Write ``lines`` at once, with their ends."""
    write("".join(f"{line}\n" for line in lines), stream)


def exit_now(status: int) -> NoReturn:
    """End the process at once, though a thread still runs that nobody waits for.

    Python waits at its end for some threads, and for those of a ``ThreadPoolExecutor``
    even if they are daemons
    (https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    os._exit(status)


def exit_within(seconds: float, status: int) -> None:
    """Let the process, which is about to exit with ``status``, do so in ``seconds`` at most.

    At its exit Python waits for every thread of a pool, and calls what was registered with
    ``atexit``; a test may have left either of them stuck.
    """

    def end() -> None:
        with suppress(OSError, AttributeError):
            sys.stderr.write(
                f"ENDED: the process did not exit within {seconds:g} s after its report, which is "
                "whole. Python waits there for a thread or for what was registered with atexit. "
                f"Look for what goes on at the end of the run: {_threads_left()}.\n"
            )
        exit_now(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    with suppress(RuntimeError):  # the machine has no thread left, not even for this
        timer.start()


def _threads_left() -> str:
    own = {threading.current_thread(), threading.main_thread()}
    names = [repr(thread.name) for thread in threading.enumerate() if thread not in own]
    return f"the threads are {', '.join(names)}" if names else "there is no other thread"


def _discard(stream: OutputWrapper) -> None:
    """Let what is still written to ``stream`` vanish: nobody reads it any more, or can.

    Else Python fails once more when it flushes the stream at its end, with a status
    of its own (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)
