"""Plurals, and the known word that somebody may have meant by an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def counted(number: int, noun: str) -> str:
    """Return ``number`` and ``noun``, in the plural unless there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the ``known`` word that is spelt most like ``word``; ``None`` if none is."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return for example `` Did you mean 'shop'?``, to put behind a sentence; else nothing."""
    meant = nearest(word, known)
    return f" Did you mean {meant!r}?" if meant else ""
