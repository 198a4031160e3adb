"""Waits in a process of its own, and ends the one that started it when that is overdue.

It is run as a script, by the interpreter alone (``python -I -S watchdog.py``), so it
imports the standard library only. What it needs to know is in the *journal*, a file
that both processes have open: see :class:`Journal`. It ends by itself when its standard
input ends, and with it the process that it watches.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from time import monotonic

PATIENCE = 1.0
"""Seconds past the deadline after which a run will not end by itself any more."""

_LAST_WORDS = 2.0
"""Seconds that the process may take to print its stacks."""
_SHOWN = 20
"""Ids of one kind that are listed."""

_ISOLATE = "With --isolate such a test is killed alone, and the report is complete."
_IMPORT = (
    "No test had begun: look for a module that does so as it is imported, which --isolate does "
    "not cut off."
)

_HEAD = struct.Struct("dd")
_WORDS = ("passed", "failed", "errored", "warned", "skipped")
_LABELS = {word[0]: word for word in _WORDS}
_OPEN = " "


class Journal:
    """What the watchdog is to know, in the file ``descriptor``.

    At first stands when time is up, on the monotonic clock, which all processes share,
    and the seconds of the deadline. Then comes one mark for each test that was
    selected, the first letter of what became of it, and a line for each id.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._marks: mmap.mmap | None = None
        self._places: dict[str, int] = {}

    # -- written by the process that is watched

    def set_deadline(self, seconds: float) -> None:
        """Let time be up so many seconds from now, and :data:`PATIENCE`."""
        until = monotonic() + seconds + PATIENCE
        os.pwrite(self._descriptor, _HEAD.pack(until, seconds), 0)

    def expect(self, ids: Sequence[str]) -> None:
        """Note that these have no result yet; the first call says which there are."""
        if not self._places:
            self._places = {name: _HEAD.size + place for place, name in enumerate(ids)}
            lines = "\n".join(name.replace("\n", " ") for name in ids)
            text = f"{_OPEN * len(ids)}\n{lines}".encode(errors="backslashreplace")
            os.pwrite(self._descriptor, text, _HEAD.size)
            # A system call for each of many thousand results would be felt.
            self._marks = mmap.mmap(self._descriptor, _HEAD.size + len(ids))
        for name in ids:
            self.note(name, _OPEN)

    def note(self, name: str, label: str) -> None:
        """Note that the test ``name`` is ``label``."""
        place = self._places.get(name)
        if place is not None and self._marks is not None:
            self._marks[place] = ord(label[0])

    # -- read by the watchdog

    def deadline(self) -> tuple[float, float]:
        """Return when time is up, and the seconds of the deadline."""
        until, seconds = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, 0))
        return until, seconds

    def results(self) -> list[tuple[str, str]]:
        """Return the ids with their labels; the label of what has not ended is empty."""
        size = os.fstat(self._descriptor).st_size
        text = os.pread(self._descriptor, size, _HEAD.size).decode()
        marks, _, lines = text.partition("\n")
        names = lines.split("\n") if lines else []
        return [(name, _LABELS.get(mark, "")) for mark, name in zip(marks, names, strict=True)]


def main(watched: int, journal: Journal) -> None:
    """Wait, and end the process ``watched``, this one's parent, if it is overdue."""
    if _ends_in_time(journal) or os.getppid() != watched:
        return
    _, seconds = journal.deadline()
    os.write(2, account(seconds, journal.results()).encode(errors="backslashreplace"))
    os.kill(watched, signal.SIGQUIT)  # prints the stacks, see supervision.end_on_quit
    if not _has_ended(_LAST_WORDS):
        os.kill(watched, signal.SIGKILL)


def _ends_in_time(journal: Journal) -> bool:
    while (rest := journal.deadline()[0] - monotonic()) > 0:  # a further run moves it
        if _has_ended(rest):
            return True
    return False


def _has_ended(seconds: float) -> bool:
    return bool(select.select([0], [], [], seconds)[0])


def account(seconds: float, results: Sequence[tuple[str, str]]) -> str:
    """Return what can be said of a run that did not answer at its deadline."""
    why = (
        f"ENDED: the run did not answer within {PATIENCE:g} s after its deadline of {seconds:g} s. "
        "Something in the process does not let go of Python's interpreter lock, so that nothing "
        "else in it can go on, or its main thread is stuck. It is ended with exit status 3. "
        f"The stacks below say where it stands. {_ISOLATE if results else _IMPORT}"
    )
    counts = Counter(label for _, label in results if label)
    ended = ", ".join(f"{number} {label}" for label, number in counts.items()) or "none"
    lines = ["", *textwrap.wrap(why, 79), "", f"Tests that ended before: {ended}."]
    for label in ("failed", "errored", "warned"):
        lines += _listed(label, [name for name, found in results if found == label])
    lines += _listed("not ended", [name for name, found in results if not found])
    return "\n".join([*lines, "", ""])


def _listed(label: str, names: Sequence[str]) -> list[str]:
    lines = [f"    {label}: {name}" for name in names[:_SHOWN]]
    more = len(names) - _SHOWN
    return [*lines, f"    {label}: {more} more"] if more > 0 else lines


if __name__ == "__main__":
    main(int(sys.argv[1]), Journal(int(sys.argv[2])))
