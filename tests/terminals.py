"""A process at a terminal of its own, as a person has it: it sees a tty, and gets Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from time import monotonic

PATIENCE = 60.0
"""Seconds."""

CTRL_C = b"\x03"


class Terminal:
    """Runs one command; both of its outputs are the terminal."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Else the terminal is nobody's, and Ctrl-C is a character like any other.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        self.shown = ""
        """All that was printed so far, with ``\\n`` for the ends of lines."""
        self._raw = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait_for(self, text: str) -> None:
        """Return when ``text`` was printed."""
        until = monotonic() + PATIENCE
        while text not in self.shown:
            if not self._read(until):
                raise AssertionError(f"{text!r} was never printed, but this:\n{self.shown}")

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._ours, keys)

    def end(self) -> int:
        """Wait for the end of the process, and return its status as ``Popen`` has it."""
        until = monotonic() + PATIENCE
        while self._read(until):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, until: float) -> bool:
        """Take what was printed, and return whether there may be more."""
        if not select.select([self._ours], [], [], max(0.0, until - monotonic()))[0]:
            return False
        try:
            self._raw += os.read(self._ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.shown = self._raw.decode(errors="replace").replace("\r\n", "\n")
        return True
