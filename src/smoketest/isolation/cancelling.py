"""Asks a PostgreSQL server to cancel what a connection does, and stops nobody meanwhile.

libpq's ``PQcancel`` comes back when the server hangs up, which one that is frozen, or
behind a network that swallows packets, never does. psycopg2 keeps the interpreter's lock
for so long, and psycopg 3 does where it was compiled for a libpq before 17: the whole
process would stop with the server. So the function is called by ctypes, which lets go of
the lock, and on a thread of its own, for which nobody waits for long.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from functools import cache
from typing import Any


class Cancellation:
    """The right to cancel what a connection does, for any thread and at any time.

    It is to be made on the thread of ``driver``, a connection that is open and idle.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._handle = None
        if hasattr(driver, "pgconn"):  # psycopg 3
            connection, module = driver.pgconn, type(driver.pgconn).__module__
        else:
            connection, module = driver, "psycopg2._psycopg"
        self._libpq = _libpq(module)
        if self._libpq is not None:
            self._handle = self._libpq.PQgetCancel(connection.pgconn_ptr)

    def __del__(self) -> None:
        # Not earlier: a thread that has not come back from send() still needs it.
        if self._libpq is not None:
            self._libpq.PQfreeCancel(self._handle)

    def send(self, seconds: float) -> None:
        """Ask the server; wait for its answer, but ``seconds`` at most."""
        thread = threading.Thread(target=self._send, name="smoketest-cancels", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # none is left; the connection is broken next, which tells it, too
            return
        thread.join(seconds)

    def _send(self) -> None:
        if self._libpq is None:
            self._driver.cancel()
        else:
            reason = ctypes.create_string_buffer(256)
            self._libpq.PQcancel(self._handle, reason, len(reason))


@cache
def _libpq(module: str) -> Any:
    """Return the libpq that the driver's ``module`` is linked to.

    None where that is not written in C: psycopg 3 can do without, and then calls libpq by
    ctypes itself.
    """
    try:
        library = ctypes.CDLL(sys.modules[module].__file__)
        # https://www.postgresql.org/docs/current/libpq-cancel.html
        library.PQgetCancel.argtypes = [ctypes.c_void_p]
        library.PQgetCancel.restype = ctypes.c_void_p
        library.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        library.PQfreeCancel.argtypes = [ctypes.c_void_p]
        library.PQfreeCancel.restype = None
    except (OSError, AttributeError):
        return None
    return library
