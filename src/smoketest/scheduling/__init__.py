"""Which tests run beside which, and what becomes of those that do not end.

The calling thread starts workers, watches the clock and collects results; it
runs no test itself, so a test that hangs cannot keep it from answering. Only
where tests can see their data on no other thread (``isolation.must_run_inline``)
they run on the calling thread, one by one.
"""

from __future__ import annotations

from smoketest import isolation
from smoketest.results import TestResult

from .inline import InlineSchedule
from .schedule import Run, Schedule, Stopped
from .threaded import ThreadedSchedule, over_its_limit

__all__ = [
    "Run",
    "Schedule",
    "Stopped",
    "ThreadedSchedule",
    "carry_out",
    "execute",
    "over_its_limit",
]


def execute(run: Run) -> tuple[list[TestResult], bool]:
    """Run its tests; return the results in the order of the tests, and whether interrupted."""
    isolation.refuse_nested_run()
    inline = isolation.must_run_inline()
    return carry_out(InlineSchedule(run) if inline else ThreadedSchedule(run))


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
    finally:
        schedule.close()
    return schedule.in_order(), interrupted
