"""Cuts a traceback to what its reader wrote: the frames of the project's own files."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

_FRAME = re.compile(r'  File "(?P<file>.*)", line \d+.*\n(?:    .*\n|  \[.*\n)*', re.MULTILINE)
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
    frames = [match["file"] for match in _FRAME.finditer(traceback)]
    if all(map(_is_foreign, frames)):
        return traceback
    hidden = re.compile(r"(?:  \x00\n)+")
    marked = _FRAME.sub(lambda m: "  \x00\n" if _is_foreign(m["file"]) else m[0], traceback)
    return hidden.sub(lambda m: f"  … {_counted(m[0].count(chr(0)))} …\n", marked)


def _is_foreign(file: str) -> bool:
    return file.startswith(_FOREIGN) or "/site-packages/" in file or "/dist-packages/" in file


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"
