"""Keeps a hold of a connection's socket, to break the connection from another thread."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


class HeldSocket:
    """The socket behind ``descriptor``, by a descriptor of our own.

    The driver may close its one while another thread is about to use it here, and the
    number may then be somebody else's.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def shut(self) -> None:
        """Let whoever waits at the socket, here or at the other end, find it closed."""
        with suppress(OSError):  # it is
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()
