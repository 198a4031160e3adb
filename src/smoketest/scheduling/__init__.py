"""Which tests run beside which, and what becomes of those that do not end.

The calling thread starts workers, watches the clock and collects results; it
runs no test itself, so a test that hangs cannot keep it from answering. Only
where tests can see their data on no other thread (``isolation.must_run_inline``)
they run on the calling thread, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import isolation
from ..options import Options
from ..results import TestResult
from ..testcases import SmokeTest
from .inline import InlineSchedule
from .schedule import OnBegin, OnResult, Schedule, Stopped
from .threaded import ThreadedSchedule, over_its_limit

__all__ = [
    "OnBegin",
    "OnResult",
    "Schedule",
    "Stopped",
    "ThreadedSchedule",
    "carry_out",
    "execute",
    "over_its_limit",
]


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
    """Run ``tests``; return the results in the order of ``tests``, and whether interrupted.

    ``deadline`` is on the monotonic clock; at it, what runs is cut off and what
    has not started is not. ``on_result`` is called on this thread as tests end,
    ``on_begin`` with the id of each test on the thread that begins it. ``proofs``
    learns of each transaction, where they are to be verified. ``on_end`` is called with
    a result that another thread makes, there and at once, before ``on_result`` is.
    """
    isolation.refuse_nested_run()
    inline = isolation.must_run_inline()
    kind = InlineSchedule if inline else ThreadedSchedule
    schedule = kind(tests, options, deadline, on_result, on_begin)
    schedule.proofs = proofs
    schedule.on_end = on_end
    return carry_out(schedule)


def carry_out(schedule: Schedule) -> tuple[list[TestResult], bool]:
    """Run ``schedule`` to its end, whichever that is; return what :func:`execute` returns."""
    interrupted = False
    try:
        schedule.run()
    except Stopped as stopped:
        interrupted = stopped.interrupts
        schedule.stop(stopped)
    except KeyboardInterrupt:
        interrupted = True
        schedule.stop(Stopped("The run was interrupted"))
    except BaseException:
        # Nothing goes on behind the caller's back; what broke may be on_result itself.
        schedule.tell_nobody()
        schedule.stop(Stopped("The run broke off"))
        raise
    return schedule.in_order(), interrupted
