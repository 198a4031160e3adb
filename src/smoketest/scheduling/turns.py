"""How often threads take turns at the interpreter, while somebody's time is nearly up.

Python lets a thread compute for 5 ms before another one that wants to may. Whoever watches
the clock beside a loop gets its turn that late, several times for each verdict, and beside
sixteen loops a second late and more. So the turns are short in the last moments before a
limit. They are the whole process's, and would cost it processor time if they always were.
"""

from __future__ import annotations

import sys
import threading

LEAD = 1.0
"""Seconds before a limit from which on turns are short. Beside many loops it takes as long
as that to get the one turn in which they are made so."""
SHORT = 0.0002
"""Seconds of a turn. Switching takes a few microseconds of it."""

_lock = threading.Lock()
_runs_in_haste = 0
_usual = _short = 0.0
"""What sys.getswitchinterval() returned before, and with short turns."""


class Turns:
    """What one run wants of the process. Others may want the same at the same time."""

    def __init__(self) -> None:
        self._are_short = False

    def suit(self, seconds: float) -> None:
        """Let the turns be short where the next limit is at most :data:`LEAD` away."""
        if seconds <= LEAD:
            self.shorten()
        else:
            self.restore()

    def shorten(self) -> None:
        """Let the turns be short until :meth:`restore`; a second call changes nothing."""
        if not self._are_short:
            self._are_short = True
            _begin()

    def restore(self) -> None:
        """Let them be as they were, once no other run wants them short."""
        if self._are_short:
            self._are_short = False
            _end()


def _begin() -> None:
    global _runs_in_haste, _usual, _short  # noqa: PLW0603 - they are the process's
    with _lock:
        _runs_in_haste += 1
        if _runs_in_haste == 1:
            _usual = sys.getswitchinterval()
            if _usual > SHORT:
                sys.setswitchinterval(SHORT)
            _short = sys.getswitchinterval()


def _end() -> None:
    global _runs_in_haste  # noqa: PLW0603 - it is the process's
    with _lock:
        _runs_in_haste -= 1
        nobody_has_set_it = sys.getswitchinterval() == _short
        if not _runs_in_haste and _short != _usual and nobody_has_set_it:
            # Python cuts off what is below a microsecond, and so from 0.000099 one more.
            sys.setswitchinterval(_usual + 5e-7)
