"""The stacks that a process printed as it ended, as a traceback."""

from __future__ import annotations

import re
import sys
import traceback

_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')


def stack_of(stacks: str, test: object) -> str:
    """Return the stack of the thread that ran ``test``, as a traceback is written.

    ``stacks`` is what faulthandler printed: a paragraph a thread, its last call first.
    Where no thread was in the test's module, all of it is returned.
    """
    file = getattr(sys.modules.get(type(test).__module__), "__file__", None)
    for paragraph in stacks.split("\n\n"):
        frames = [
            (match["file"], int(match["line"]), match["name"], None)
            for match in _FRAME.finditer(paragraph)
        ]
        while frames and frames[-1][0] != file:
            frames.pop()  # what leads to the test
        if frames:
            summary = traceback.StackSummary.from_list(frames[::-1])
            return "Stack at that moment (most recent call last):\n" + "".join(summary.format())
    return stacks
