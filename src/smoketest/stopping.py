"""Tells whether this process has been told to stop, without a signal handler of its own.

A process has one handler for a signal, and in a server it is the server's. But it is a
method, and its object remembers that it was called: gunicorn's workers by ``alive``,
uvicorn's server by ``should_exit``. Looking there disturbs nobody. Of other servers it
is known when they end: their main thread has.
"""

from __future__ import annotations

import math
import signal
import threading
from typing import Any

INTERVAL = 0.25
"""Seconds between two looks."""

GRACE = 1.0
"""Seconds that a run may go on after it: a restart while a monitor polls is no failure."""


def seconds_left() -> float:
    """Return how long a run may go on: for ever, unless the process was told to stop."""
    if not threading.main_thread().is_alive():
        return 0.0  # Python is at its end, and waits for the thread of this request
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if getattr(server, "should_exit", False) is True or _is_ending(server):
        return GRACE
    return math.inf


def _is_ending(worker: Any) -> bool:
    """Whether gunicorn's ``worker`` was told to end, by somebody who waits for that.

    One that ends after ``--max-requests`` is not alive from the beginning of the last of
    them, but nobody waits: it has its whole time for that request.
    """
    if getattr(worker, "alive", True) is not False:
        return False
    return bool(getattr(worker, "nr", 0) < getattr(worker, "max_requests", math.inf))
