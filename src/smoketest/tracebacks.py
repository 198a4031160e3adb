"""Cuts a traceback to what its reader wrote: the frames of the project's own files."""

from __future__ import annotations

import re
import sysconfig
from functools import lru_cache
from pathlib import Path

_FRAME = re.compile(r'  File "(?P<file>.*)", line \d+.*\n(?:    .*\n|  \[.*\n)*', re.MULTILINE)
_HIDDEN = re.compile(r"(?:  \x00\n)+")
_FOREIGN = (
    f"{sysconfig.get_path('stdlib')}/",
    f"{Path(__file__).parent}/",
    "<frozen ",
)


def own_frames(traceback: str) -> str:
    """Return ``traceback`` with the frames of the project's own files only.

    Frames of Python's library, of installed packages and of this one are replaced by
    their number. Where no frame is the project's own, all are kept.
    """
    own = 0

    def marked(frame: re.Match[str]) -> str:
        nonlocal own
        if _is_foreign(frame["file"]):
            return "  \x00\n"
        own += 1
        return frame[0]

    cut = _FRAME.sub(marked, traceback)
    return (
        _HIDDEN.sub(lambda m: f"  … {_counted(m[0].count(chr(0)))} …\n", cut) if own else traceback
    )


@lru_cache(maxsize=1000)
def _is_foreign(file: str) -> bool:
    return file.startswith(_FOREIGN) or "/site-packages/" in file or "/dist-packages/" in file


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"
