"""Runs each test class in a process of its own, which can be killed.

A test that holds Python's interpreter lock, that crashes the interpreter or that calls
``os._exit`` takes nobody along. In a child the tests run as they do elsewhere, by the
threads of ``scheduling``; a child that does not keep a limit by itself is killed, and
its server rolls back what it had begun. Results cross as JSON.

The parent runs no test, connects to no database and has one thread only: what other
threads hold at a fork is held for ever in the child.
"""

from __future__ import annotations

import threading

from smoketest import importing, isolation
from smoketest.exceptions import CannotIsolate
from smoketest.results import TestResult
from smoketest.scheduling import Run, carry_out

from .judging import ProcessSchedule


def execute(run: Run) -> tuple[list[TestResult], bool]:
    """As ``scheduling.execute``, but in processes.

    ``on_begin`` is called on this thread, too, and ``on_end`` is not: no other thread of this
    process makes a result.
    Raises ``CannotIsolate`` where this process must not start any.
    """
    isolation.refuse_nested_run()
    _refuse_to_fork()
    return carry_out(ProcessSchedule(run))


def _refuse_to_fork() -> None:
    # An import that hangs is a thread, too. What it holds is for the tests that want it, and
    # these are killed at their limits.
    own = {threading.current_thread(), *importing.given_up()}
    others = [thread.name for thread in threading.enumerate() if thread not in own]
    if others:
        raise CannotIsolate(
            f"This process has other threads ({', '.join(map(repr, others))}), so no test can "
            "run in a process of its own: what those threads hold at the fork would be held for "
            "ever there. Run without isolation, or from a process that has one thread."
        )
    if isolation.must_run_inline():
        raise CannotIsolate(
            "This process is inside a transaction, or has an SQLite database in memory, which "
            "no other process can see. Run without isolation, or use a database file."
        )
