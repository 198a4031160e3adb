"""Cuts a traceback to what its reader wrote: the frames of the project's own files."""

from __future__ import annotations

import re
import sysconfig
from functools import lru_cache
from pathlib import Path

_FRAME = re.compile(r'  File "(?P<file>.*)", line \d+.*\n(?:    .*\n|  \[.*\n)*', re.MULTILINE)
_HIDDEN = re.compile(r"(?:  \x00\n)+")
_OURS = (f"{sysconfig.get_path('stdlib')}/", f"{Path(__file__).parent}/", "<frozen ")


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
    return file.startswith(_OURS) or "/site-packages/" in file or "/dist-packages/" in file


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


_HEADER = "Traceback (most recent call last):\n"
_PARTS = re.compile(rf"^{re.escape(_HEADER)}", re.MULTILINE)


def short(traceback: str, message: str) -> str:
    """Return what ``traceback`` tells beyond ``message``, for a reader who has just read that.

    The words of an exception at its end are left out where they are in the message, and
    so are frames that were there before, and the header where there is one traceback
    only. Of the rest the frames are those of :func:`own_frames`. An assertion of this
    package, such as that of a ready-made test, has no frame to show: its message is for
    the reader, and its source is not.
    """
    before, *parts = _PARTS.split(traceback)
    kept = [part for part in dict.fromkeys(_untold(part, message) for part in parts) if part]
    alone = not before and len(kept) == 1 and not _divided(kept[0])[1]
    header = "" if alone else _HEADER
    return own_frames(before + "".join(header + part for part in kept))


def _divided(part: str) -> tuple[str, str]:
    """Return frames and words of what follows a header."""
    frames = re.match(r"(?:  .*\n)*", part)
    end = frames.end() if frames else 0
    return part[:end], part[end:]


def _untold(part: str, message: str) -> str:
    frames, words = _divided(part)
    kind, _, text = words.strip().partition(":")
    failure = kind.rpartition(".")[2] == "AssertionError"
    if failure and text.strip() == "None":  # of self.fail(): its line is the message
        text = ""
    if (text.strip() if failure else words.strip()) not in message:
        return part
    return "" if failure and _is_ours(frames) else frames


def _is_ours(frames: str) -> bool:
    files = [frame["file"] for frame in _FRAME.finditer(frames)]
    return all(file.startswith(_OURS) for file in files)
