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
from collections.abc import Sequence

from .. import importing, isolation
from ..exceptions import CannotIsolate
from ..options import Options
from ..results import TestResult
from ..scheduling import OnBegin, OnResult, carry_out
from ..testcases import SmokeTest
from .judging import ProcessSchedule


def execute(  # noqa: PLR0913 - all that a run is to know, and whom it tells of it
    tests: Sequence[SmokeTest],
    options: Options,
    deadline: float,
    on_result: OnResult,
    on_begin: OnBegin = lambda id: None,
    proofs: isolation.Proofs | None = None,
    *,
    on_end: OnResult = lambda result: None,
) -> tuple[list[TestResult], bool]:
    """As ``scheduling.execute``, but in processes.

    ``on_result`` and ``on_begin`` are called on this thread, and ``on_end`` is not: no other
    thread of this process makes a result.
    Raises ``CannotIsolate`` where this process must not start any.
    """
    isolation.refuse_nested_run()
    _refuse_to_fork()
    schedule = ProcessSchedule(tests, options, deadline, on_result, on_begin)
    schedule.proofs = proofs
    return carry_out(schedule)


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
