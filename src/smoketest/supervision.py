"""Ends the command although a test holds Python's interpreter lock.

A loop in C, a catastrophic regular expression: while such a thing runs, no other
thread does, so nothing inside the interpreter can keep a deadline. What still works is
a signal handler written in C, and somebody else who sends the signal: see ``watchdog``.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from smoketest import watchdog
from smoketest.results import TestResult

logger = logging.getLogger("smoketest")

_WATCHDOG = Path(watchdog.__file__)


class Watched:
    """What a run tells the one who watches; here nobody does."""

    def on_start(self, ids: Sequence[str]) -> None:
        """Take note that a run begins, perhaps a further one: it has its whole deadline."""

    def on_result(self, result: TestResult) -> None:
        """Take note that a test has ended; on any thread, and perhaps more than once."""


class _Journalled(Watched):
    def __init__(self, journal: watchdog.Journal, seconds: float) -> None:
        self._journal = journal
        self._seconds = seconds
        journal.set_deadline(seconds)

    def on_start(self, ids: Sequence[str]) -> None:
        self._journal.set_deadline(self._seconds)
        self._journal.expect(ids)

    def on_result(self, result: TestResult) -> None:
        self._journal.note(result.id, result.label)


@contextmanager
def supervised(seconds: float) -> Iterator[Watched]:
    r"""End this process with status 3 if a run in the block is not over in ``seconds``.

    That is done :data:`~smoketest.watchdog.PATIENCE` later, so that a run which can end
    by itself does. Before, all stacks are printed on the standard error. Ctrl-\ does
    the same at once, and a polite request to end (SIGTERM) interrupts the run as Ctrl-C
    does, with a report. Only for the main thread of a process that is ours.
    """
    _fill_gaps()
    with _signals(), ExitStack() as ends:
        yield _watched(seconds, ends)


def _watched(seconds: float, ends: ExitStack) -> Watched:
    """Start the watchdog, if that is possible; ``ends`` sees to its end."""
    try:
        file = ends.enter_context(_file_in_memory())
        watched = _Journalled(watchdog.Journal(file.fileno()), seconds)
        ends.callback(_end, _started(file.fileno()))
    except OSError as error:
        logger.warning(
            "The run is not watched from outside (%s): a test that holds Python's interpreter "
            "lock can outlast the deadline. Let this user start one process more, and write a "
            "file in memory.",
            error,
        )
        return Watched()
    return watched


def _fill_gaps() -> None:
    """Let /dev/null take the place of each standard stream that is closed (``<&-``).

    What is opened next would be in its place: the journal in that of the standard input,
    which the watchdog gets anew, or a database where the stacks are printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _file_in_memory() -> IO[Any]:
    """Return a file without a name; in production the disk may be read-only."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("smoketest-journal"), "r+b", buffering=0)
    return TemporaryFile(buffering=0)


def _started(journal: int) -> subprocess.Popen[bytes] | None:
    """Start the watchdog, where this interpreter can start another one."""
    if getattr(sys, "frozen", False) or not sys.executable or not _WATCHDOG.is_file():
        return None  # sys.executable would be the program itself, or the file is in an archive
    command = [sys.executable, "-I", "-S", str(_WATCHDOG), str(os.getpid()), str(journal)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=[journal],
        cwd="/",
        start_new_session=True,  # Ctrl-C is for us
    )


def _end(dog: subprocess.Popen[bytes] | None) -> None:
    if dog is not None:
        dog.kill()
        dog.communicate()


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGQUIT, signal.SIGTERM)}
    end_on_quit(2)
    if before[signal.SIGTERM] is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGQUIT)
        for number, handler in before.items():
            # None is a handler that is not Python's; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def end_on_quit(descriptor: int) -> None:
    """At SIGQUIT, print all stacks to ``descriptor`` and end this process with status 3.

    All of that happens in C, in the signal handler, whoever holds the interpreter lock.
    faulthandler prints, and goes on to the handler that was there before with the
    signal's number as the only argument. Put there, ``_exit`` itself makes a status of
    it, and the number of SIGQUIT is 3.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    faulthandler.unregister(signal.SIGQUIT)
    libc.signal(signal.SIGQUIT, ctypes.cast(libc._exit, ctypes.c_void_p))
    faulthandler.register(signal.SIGQUIT, file=descriptor, all_threads=True, chain=True)


_PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, where it is Linux."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
