"""What happens in a process of its own: some tests run there, and the parent is told.

It is told of each beginning and each end at once, a JSON array a line, for the next test
may keep everything else in the process from running.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from smoketest import isolation, refusals, supervision, timeouts
from smoketest.options import Options
from smoketest.results import TestResult
from smoketest.scheduling import Run, ThreadedSchedule, carry_out
from smoketest.testcases import SmokeTest
from smoketest.units import Delivery, Place


class Channel:
    """Where a child writes what happens, a JSON array a line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._owner = os.getpid()
        self._writing = threading.Lock()

    def send(self, *values: Any) -> None:
        """Write it; returns when all of it is in the pipe.

        Ends a copy of the process that a test has made by a fork, and which comes back from
        the test as well: it would run all that follows a second time.
        """
        if os.getpid() != self._owner:
            os._exit(1)
        data = memoryview(json.dumps(values).encode() + b"\n")
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]


class ChildSchedule(ThreadedSchedule):
    """Tells the parent what begins and what ends."""

    def __init__(self, run: Run, channel: Channel) -> None:
        super().__init__(run)
        self._channel = channel
        self._numbers = {id(test): number for number, test in enumerate(run.tests)}
        self._told: set[Place] = set()

    def begin(self, stretch: timeouts.Stretch) -> None:
        """Tell what begins, and when its time is up."""
        number = self._numbers.get(id(stretch.subject))
        started_at = stretch.started_at.isoformat()
        self._channel.send("begin", number, stretch.limit, stretch.start, started_at)
        super().begin(stretch)

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Tell it on the thread of the test: the next one may keep every other from doing so."""
        for place, result, lost_a_lock in deliveries:
            self._tell(place, result, lost_a_lock)
        super().accept(deliveries)

    def keep(self, place: Place, result: TestResult) -> None:
        """Tell the result of what was cut off; all else is told already."""
        super().keep(place, result)
        if place not in self._told:
            self._tell(place, result)

    def _tell(self, place: Place, result: TestResult, lost_a_lock: bool = False) -> None:
        self._told.add(place)
        self._channel.send("end", place, lost_a_lock, result.to_dict())


def run(
    tests: Sequence[SmokeTest], options: Options, deadline: float, events: int, stacks: int
) -> NoReturn:
    """Run ``tests`` in this new process, and end it without going back to the caller's code.

    ``events`` and ``stacks`` are descriptors to write to.
    """
    status = 1
    try:
        os.setsid()  # Ctrl-C is for the parent, which kills what this process starts, too
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        supervision.end_with_parent()
        supervision.end_on_quit(stacks)
        refusals.let_process_end()
        channel = Channel(events)
        proofs = None
        if options.verify:
            proofs = isolation.Proofs(lambda *event: channel.send("proof", *event))
        carry_out(ChildSchedule(Run(tests, options, deadline, proofs=proofs), channel))
        status = 0
    except BaseException:  # noqa: BLE001 - there is nobody to raise it to
        traceback.print_exc()
    finally:
        flush()
        os._exit(status)


def flush() -> None:
    """Leave nothing in Python's buffers, which a fork would double and ``_exit`` drop."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
