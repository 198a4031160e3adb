"""What a request asks for: by its query string, and by the headers that say how."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, QueryDict

from smoketest import renderers
from smoketest.exceptions import SmokeTestError
from smoketest.options import ROLES
from smoketest.selection import Selection
from smoketest.spelling import did_you_mean

T = TypeVar("T")

PARAMETERS = (
    "format",
    "test",
    "tag",
    "exclude-tag",
    "k",
    "failfast",
    "timeout",
    "deadline",
    "list",
    "latest",
    "max-age",
    "role",
    "verify",
    "workers",
)
"""Every parameter; ``test``, ``tag``, ``exclude-tag`` and ``k`` may be repeated."""

_ABOUT_A_RUN = ("failfast", "timeout", "deadline", "list", "verify", "workers")
_ABOUT_THE_LAST_RUN = ("max-age", "role")

_LONGEST = 200
"""Characters of a wrong value that are repeated in a message."""

MOST_PATTERNS = 20
"""Of a request. With 900, to choose among 3,000 tests took a processor for seconds."""

LONGEST_PATTERN = 200
"""Characters of ``k``. One of 4,000 took 27 ms to compile, and 0.2 MB to keep."""

SCRAPE_MARGIN = 0.5
"""Seconds of a scraper's time-out that are left for the way back, as Prometheus'
blackbox exporter does it."""

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


class InvalidQuery(SmokeTestError):
    """The query string has an unknown parameter, or one with a value that makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query string that makes sense; whether its words are known is seen later."""

    format: str | None = None
    """``None`` leaves it to the ``Accept`` header."""
    selection: Selection = field(default_factory=Selection)
    failfast: bool = False
    timeout: float | None = None
    """Seconds."""
    deadline: float | None = None
    """Seconds."""
    listing: bool = False
    """Whether to show the selected tests instead of running them."""
    latest: bool = False
    """Whether to answer with the last run that is remembered, instead of a new one."""
    max_age: float | None = None
    """Seconds after which the last run is no pass any more."""
    role: str | None = None
    """Where the last run was; ``None`` is in a process like this one."""
    verify: bool = False
    """Whether to verify, after the tests, that nothing was committed."""
    workers: bool = False
    """Whether to run on every Celery worker, instead of in this process."""


def parse(request: HttpRequest) -> Query:
    """Return what ``request`` asks for; raise :class:`InvalidQuery` with what is wrong."""
    asked = parameters(request)
    for name in asked:
        if name not in PARAMETERS:
            raise _unknown(name)
    query = _read(asked)
    _check_latest(asked, query)
    return query


def _read(asked: QueryDict) -> Query:
    return Query(
        format=_single(asked, "format", str),
        selection=Selection(
            labels=_words(asked, "test"),
            tags=_words(asked, "tag"),
            exclude_tags=_words(asked, "exclude-tag"),
            patterns=_patterns(asked),
        ),
        failfast=bool(_single(asked, "failfast", _flag)),
        timeout=_single(asked, "timeout", _seconds),
        deadline=_single(asked, "deadline", _seconds),
        listing=bool(_single(asked, "list", _flag)),
        latest=bool(_single(asked, "latest", _flag)),
        max_age=_single(asked, "max-age", _seconds),
        role=_single(asked, "role", _role),
        verify=bool(_single(asked, "verify", _flag)),
        workers=bool(_single(asked, "workers", _flag)),
    )


def _check_latest(asked: QueryDict, query: Query) -> None:
    """Raise where a parameter would have no effect beside ``latest``, or without it."""
    because = "it is about 'latest=1', which is not there"
    if query.latest:
        because = "'latest' runs nothing"
    for name in _ABOUT_A_RUN if query.latest else _ABOUT_THE_LAST_RUN:
        if name in asked:
            raise InvalidQuery(
                f"The parameter {name!r} would have no effect, for {because}. Leave it out."
            )


def parameters(request: HttpRequest) -> QueryDict:
    """Return ``request.GET``; raise :class:`InvalidQuery` where Django will not read it.

    It refuses more parameters than DATA_UPLOAD_MAX_NUMBER_FIELDS.
    """
    try:
        return request.GET
    except SuspiciousOperation as error:
        raise InvalidQuery(
            f"The query string cannot be read: {error} "
            f"Send fewer parameters. Known ones: {', '.join(PARAMETERS)}."
        ) from error


def _unknown(name: str) -> InvalidQuery:
    word = name[:_LONGEST]
    hint = did_you_mean(word, PARAMETERS)
    return InvalidQuery(
        f"Unknown parameter {word!r}: it would have no effect.{hint} "
        f"Known parameters: {', '.join(PARAMETERS)}."
    )


def _words(asked: QueryDict, name: str) -> tuple[str, ...]:
    """Return every value of the parameter; an empty one would silently select nothing."""
    words = asked.getlist(name)
    if not all(word.strip() for word in words):
        raise InvalidQuery(
            f"The parameter {name!r} is empty, so it names nothing. Give it a value, "
            "or leave it out to run every test."
        )
    return tuple(words)


def _patterns(asked: QueryDict) -> tuple[str, ...]:
    """Return every pattern; a long one costs much to compile, and many to match."""
    patterns = _words(asked, "k")
    if len(patterns) > MOST_PATTERNS:
        raise InvalidQuery(
            f"The parameter 'k' is there {len(patterns)} times, and it may be there "
            f"{MOST_PATTERNS} times at most. Send parts that several names share, or labels as "
            "'test'."
        )
    longest = max(map(len, patterns), default=0)
    if longest > LONGEST_PATTERN:
        raise InvalidQuery(
            f"The parameter 'k' has {longest} characters, and it must have {LONGEST_PATTERN} at "
            "most. Send a part of the name, or the whole label as 'test'."
        )
    return patterns


def _single(asked: QueryDict, name: str, read: Callable[[str], T]) -> T | None:
    values = asked.getlist(name)
    if len(values) > 1:
        raise InvalidQuery(
            f"The parameter {name!r} is there {len(values)} times, and only one can count. "
            "Send it once."
        )
    try:
        return read(values[0]) if values else None
    except ValueError as error:
        raise InvalidQuery(
            f"The parameter {name!r} is {values[0][:_LONGEST]!r}. It must be {error}."
        ) from None


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError(f"one of {', '.join(_FLAGS)}")
    return _FLAGS[text]


def _role(text: str) -> str:
    if text not in ROLES:
        raise ValueError(f"one of {', '.join(ROLES)}")
    return text


def _seconds(text: str) -> float:
    seconds = positive_seconds(text)
    if seconds is None:
        raise ValueError("a number of seconds above 0, as in '2.5'")
    return seconds


def positive_seconds(text: str) -> float | None:
    """Return the number that ``text`` is, or ``None`` if it is no finite one above 0."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None


def renderer(
    request: HttpRequest, name: str | None, extra: Iterable[renderers.Renderer]
) -> renderers.Renderer:
    """Return the renderer ``name``, or without a name the one that ``Accept`` likes best.

    Raises ``UnknownFormat`` and ``UnavailableFormat``.
    """
    accept = request.headers.get("Accept", "")
    if name is None:
        return renderers.negotiate(accept, extra)
    return renderers.get(name, extra, accept)


def has_limits(request: HttpRequest, asked: Query) -> bool:
    """Whether the caller ends a run sooner than the settings do."""
    named = asked.failfast or asked.timeout or asked.deadline
    return bool(named or scrape_deadline(request))


def scrape_deadline(request: HttpRequest) -> float | None:
    """Return the seconds that a scraping Prometheus gives us, less the way back."""
    sent = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", "")
    seconds = positive_seconds(sent)
    return None if seconds is None else max(seconds - SCRAPE_MARGIN, seconds / 2)


def wants_fresh(request: HttpRequest) -> bool:
    """Whether the caller wants no report that was kept: ``Cache-Control: no-cache``."""
    directives = request.headers.get("Cache-Control", "").lower().split(",")
    return "no-cache" in map(str.strip, directives)
