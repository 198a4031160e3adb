"""How much a header ``Accept`` likes a media type: RFC 9110, 12.5.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LONGEST_HEADER = 4096
MOST_RANGES = 64
"""Browsers send about ten; the limits keep a hostile header cheap."""


class Range(NamedTuple):
    """One entry of an ``Accept`` header."""

    main: str
    sub: str
    quality: float
    plain: bool
    """Whether it has no parameter but its quality."""
    position: int


class Rank(NamedTuple):
    """How much a header likes a media type; the greater, the more."""

    quality: float
    width: int
    """0 for ``*/*`` up to 3 for the type itself."""
    position: int
    """0 for the header's first entry, negative for later ones."""


NOT_ACCEPTABLE = Rank(0.0, 0, -MOST_RANGES)
_MEDIA_RANGE = re.compile(r"([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)", re.ASCII)
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def parse(accept: str) -> list[Range]:
    """Return the media ranges of a header; none of what is longer than any client sends."""
    return list(_ranges(accept)) if len(accept) <= LONGEST_HEADER else []


def _ranges(accept: str) -> Iterator[Range]:
    for position, entry in enumerate(accept.lower().split(",", MOST_RANGES)[:MOST_RANGES]):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        match = _MEDIA_RANGE.fullmatch(media_range)
        if match:
            others = [part for part in parameters if part and not part.startswith("q=")]
            yield Range(match[1], match[2], _quality(parameters), not others, -position)


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and _QUALITY.fullmatch(value.strip()):
            return float(value)
    return 1.0  # also for nonsense, as Django's own MediaType.quality has it


def rank(media_type: str, ranges: Iterable[Range]) -> Rank:
    """Return what the narrowest of the ``ranges`` says of ``media_type``.

    RFC 9110, 12.5.1: a narrower range overrules a wider one, also to exclude.
    """
    main, _, sub = media_type.partition(";")[0].strip().lower().partition("/")
    ranks = [
        (width, one.quality, one.position)
        for one in ranges
        if (width := _width(one, main, sub)) is not None
    ]
    if not ranks:
        return NOT_ACCEPTABLE
    width, quality, position = max(ranks)
    return Rank(quality, width, position) if quality else NOT_ACCEPTABLE


def _width(one: Range, main: str, sub: str) -> int | None:
    """Return how narrowly ``one`` matches, or ``None``.

    A parameter such as ``charset=utf-8`` makes a match weaker, not impossible.
    """
    if (one.main, one.sub) == (main, sub):
        return 3 if one.plain else 2
    if one.sub != "*":
        return None
    return {main: 1, "*": 0}.get(one.main)
