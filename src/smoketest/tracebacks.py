"""Cuts a traceback to what its reader wrote: the frames of the project's own files."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from smoketest.spelling import counted

_FRAME = re.compile(r'  File "(?P<file>.*)", line \d+.*\n(?:    .*\n|  \[.*\n)*', re.MULTILINE)
_HIDDEN = re.compile(r"(?:  \x00\n)+")
_HERE = f"{Path(__file__).parent}/"
_OURS = (f"{sysconfig.get_path('stdlib')}/", _HERE, "<frozen ")
_STACK = "Stack at that moment"


def own_frames(traceback: str) -> str:
    """Return ``traceback`` with the frames of the project's own files only.

    Frames of Python's library, of installed packages and of this one are replaced by
    their number. Where no frame is the project's own, all are kept. Of a stack the
    innermost is kept as well, for that is what was being waited for.
    """
    own = 0
    innermost = _innermost(traceback) if traceback.startswith(_STACK) else None

    def marked(frame: re.Match[str]) -> str:
        nonlocal own
        if _is_foreign(frame["file"]):
            return frame[0] if frame.start() == innermost else "  \x00\n"
        own += 1
        return frame[0]

    cut = _FRAME.sub(marked, traceback)
    return _HIDDEN.sub(_hidden, cut) if own else traceback


def _hidden(frames: re.Match[str]) -> str:
    return f"  … {counted(frames[0].count(chr(0)), 'frame')} …\n"


def _innermost(stack: str) -> int | None:
    """Return where the innermost frame of ``stack`` begins, that of this package left out."""
    frames = [frame for frame in _FRAME.finditer(stack) if not frame["file"].startswith(_HERE)]
    return frames[-1].start() if frames else None


@lru_cache(maxsize=1000)
def _is_foreign(file: str) -> bool:
    return file.startswith(_OURS) or "/site-packages/" in file or "/dist-packages/" in file


_HEADER = "Traceback (most recent call last):\n"
_PARTS = re.compile(rf"^{re.escape(_HEADER)}", re.MULTILINE)
_PART = re.compile(
    r"(?P<frames>(?:  .*\n)*)(?P<words>[\s\S]*?)"
    r"(?P<link>\n(?:The above exception was|During handling of) .*\n\n)?"
)


class _Part(NamedTuple):
    """One traceback of a chain: its frames, its exception, and how it led to the next."""

    frames: str
    words: str
    link: str


def short(traceback: str, message: str) -> str:
    """Return what ``traceback`` tells beyond ``message``, for a reader who has just read that.

    The words of an exception are left out where they are in the message, and so are
    tracebacks that are there twice, the header where there is one traceback only, and a
    cause that says the same from foreign code. Of the rest the frames are those of
    :func:`own_frames`. An assertion or an exception of this package has no frame to
    show: its message is for the reader, and its source is not.
    """
    before, *texts = _PARTS.split(traceback)
    parts = [kept for text in texts if (kept := _untold(text, message))]
    if parts and parts[-1].link:  # the exception that it led to is told
        frames, words, _ = parts.pop()
        parts.append(_Part(frames, "" if words.strip() in message else words, ""))
    if not before and len(set(parts)) == 1 and not parts[0].words:
        return own_frames(parts[0].frames)
    return own_frames(before + "".join(dict.fromkeys(f"{_HEADER}{''.join(one)}" for one in parts)))


def _untold(text: str, message: str) -> _Part | None:
    """Return what ``text``, which followed a header, says beyond ``message``; perhaps nothing."""
    found = _PART.fullmatch(text)
    frames, words, link = found.group("frames", "words", "link") if found else ("", text, None)
    kind, said = _split(words)
    if link:
        is_told = said in message and _is_all(_is_foreign, frames)
        return None if is_told else _Part(frames, words, link)
    for_readers = kind == "AssertionError" or kind.startswith(f"{__package__}.")
    if (said if for_readers else words.strip()) not in message:
        return _Part(frames, words, "")
    return None if for_readers and _is_all(_is_ours, frames) else _Part(frames, "", "")


def _split(words: str) -> tuple[str, str]:
    """Return the class of an exception and what it says."""
    kind, _, said = map(str.strip, words.strip().partition(":"))
    if kind.rpartition(".")[2] != "AssertionError":
        return kind, said
    return "AssertionError", "" if said == "None" else said  # of self.fail()


def _is_all(what: Callable[[str], bool], frames: str) -> bool:
    return all(what(frame["file"]) for frame in _FRAME.finditer(frames))


def _is_ours(file: str) -> bool:
    return file.startswith(_OURS)
