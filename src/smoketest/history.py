"""The last runs, remembered in a cache of the project: best effort, and never in the way.

Each selection has a ring of entries, and of a few whole reports, for each role of the
processes that ran it. A run takes the next number from a counter, which caches count up
atomically, and writes what is in its own place: no list is read, changed and written,
so processes that end at the same time do not lose each other's runs.

Whatever is wrong with the cache, a run is neither failed by it nor held up for more than
:data:`errands.PATIENCE`. What is read from it is never a pass where it could not be read.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from smoketest import conf, errands, isolation
from smoketest.cleansing import cleanser
from smoketest.conf import settings
from smoketest.exceptions import SmokeTestError
from smoketest.past import AGE, RELEASE, Past
from smoketest.results import Outcome, Report, TestResult
from smoketest.selection import Selection

T = TypeVar("T")

logger = logging.getLogger("smoketest")

KEPT_FOR = 90 * 24 * 3600
"""Seconds after which the cache may forget a run."""

REPORTS = 4
"""Whole reports kept of each selection and role: the newest counts, the others are those
of processes that ended at the same time."""

MAX_SKEW = 60.0
"""Seconds that the clocks of two nodes may differ."""

MAX_AGE = 3600.0
"""Seconds. An older run is no pass, unless the caller says how old it may be."""

_PREFIX = "smoketest.history.1"
"""The number is that of the way in which entries are written."""


class NothingKnown(SmokeTestError):
    """The last run was asked for, and none can be told of. It is never a pass."""


# -- writing


def record(report: Report, selection: Selection) -> None:
    """Remember ``report``, which has been cleansed, as the last run of ``selection``.

    Not remembered are a fleet's, one that a person interrupted, and one inside the
    caller's own transaction, which saw rows that nobody else can see.
    """
    size = _size()
    if not size or report.nodes or report.interrupted or isolation.must_run_inline():
        return
    with suppress(Exception):  # it has been logged
        _with_cache(lambda cache: _write(cache, size, report, selection))


def _write(cache: Any, size: int, report: Report, selection: Selection) -> None:
    place = _place(selection, report.role)
    number = _next_number(cache, f"{place}.number")
    past = report.as_past()
    whole = zlib.compress(json.dumps(replace(report, recent=()).to_dict()).encode())
    # With its time outside, so that of several the newest alone has to be unpacked.
    stamped = (past.ended_at.timestamp(), whole)
    cache.set(f"{place}.report.{number % REPORTS}", stamped, KEPT_FOR)
    cache.set(f"{place}.entry.{number % size}", json.dumps(past.to_dict()), KEPT_FOR)


def _next_number(cache: Any, key: str) -> int:
    """Count up; a counter that was evicted begins anew, and the order is by the clock."""
    cache.add(key, 0, KEPT_FOR)
    number = int(cache.incr(key))
    cache.touch(key, KEPT_FOR)  # some backends let what was counted up expire in 5 minutes
    return number


# -- reading


def recent(selection: Selection, role: str) -> tuple[Past, ...]:
    """Return the last runs of ``selection`` that cover ``role``, the oldest first.

    A process that counts as nothing runs the tests of every role, so it covers each. None
    are returned where the cache has none, or cannot be read.
    """
    size = _size()
    if not size:
        return ()
    try:
        return _with_cache(lambda cache: _read(cache, size, selection, role)[0])
    except Exception:  # noqa: BLE001 - it has been logged
        return ()


def latest(selection: Selection, role: str, max_age: float = MAX_AGE) -> Report:
    """Return the report of the last run of ``selection`` that covers ``role``, with its age.

    It does not pass where the run ended more than ``max_age`` seconds ago, and warns where
    it was of another release than the one that this process runs. Raises
    :class:`NothingKnown`.
    """
    size = settings.history
    if not size:
        raise NothingKnown(
            "The last run is not known, because none is remembered: SMOKETEST_HISTORY is 0. "
            "Set it to a number, or ask without latest."
        )
    try:
        past, packed = _with_cache(
            lambda cache: _read(cache, size, selection, role, reports=REPORTS)
        )
    except Exception as error:
        raise NothingKnown(
            "The last run is not known, because the cache that SMOKETEST_HISTORY_CACHE names "
            "could not be read; the log has the reason. Repair it, or ask without latest."
        ) from error
    newest = next(filter(None, map(_report, packed)), None)
    return _judged(replace(_last(newest, past), recent=past), max_age)


def _last(newest: Report | None, past: Sequence[Past]) -> Report:
    """Return ``newest`` if it is the report of the last of the ``past`` runs."""
    if newest is None and not past:
        raise NothingKnown(
            "The last run is not known: none with this selection, in a process with this role, "
            "is remembered. Run the tests once, or give a schedule the same selection; a cache "
            "in the memory of a process is not seen by another."
        )
    if newest is None or (past and past[-1].ended_at > newest.as_past().ended_at):
        raise NothingKnown(
            f"The last run began at {past[-1].started_at.isoformat(timespec='seconds')} and "
            f"ended with {past[-1].status}, but its report is not in the cache, which may be too "
            "small for it. Name another one with SMOKETEST_HISTORY_CACHE, or ask without latest."
        )
    return newest


def _judged(report: Report, max_age: float) -> Report:
    """Return ``report`` as an answer of now."""
    age = (datetime.now(UTC) - report.as_past().ended_at).total_seconds()
    notes = [*_too_old(age, max_age), *_other_release(report.release)]
    results = (*notes, *report.results)
    anew = Report.from_results(results, selected=report.selected + len(notes))
    return replace(
        report,
        passed=report.passed and anew.passed,
        counts=anew.counts,
        results=anew.results,
        selected=anew.selected,
    ).as_cached(max(age, 0.0))


def _too_old(age: float, max_age: float) -> Iterator[TestResult]:
    if age < -MAX_SKEW:
        yield _note(
            AGE,
            f"The last run ended {_span(-age)} from now, by the clock of its node, so nobody can "
            "tell how old it is. Set the clocks, of that node or of this one.",
        )
    if age > max_age:
        yield _note(
            AGE,
            f"The last run ended {_span(age)} ago, and one that is older than {_span(max_age)} "
            "says nothing of now. Look why nothing has run since, or say with max-age how old "
            "it may be.",
        )


def _other_release(release: str) -> Iterator[TestResult]:
    ours = conf.release()
    if ours and release and ours != release:
        message = (
            f"The last run was of the release {release!r}, and this process runs {ours!r}, which "
            "has not been tested. Run the tests, or wait for the schedule."
        )
        yield replace(_note(RELEASE, message), optional=True)


def _note(id: str, message: str) -> TestResult:
    now = datetime.now(UTC)
    return TestResult(id=id, outcome=Outcome.ERRORED, message=message, started_at=now)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds >= 60 else f"{seconds:.1f} s"


# -- what is in the cache


def _read(
    cache: Any, size: int, selection: Selection, role: str, *, reports: int = 0
) -> tuple[tuple[Past, ...], list[bytes]]:
    """Return the last runs, the oldest first, and some packed reports, the newest first."""
    places = _covering(selection, role)
    keys = [*_keys(places, "entry", size), *_keys(places, "report", reports)]
    found = cache.get_many(keys)
    past = filter(None, (_entry(value) for key, value in found.items() if ".entry." in key))
    stamped = sorted(_stamped(value for key, value in found.items() if ".report." in key))
    packed = [whole for _, whole in reversed(stamped)]
    return tuple(sorted(past, key=lambda one: one.ended_at)[-size:]), packed


def _stamped(values: Iterable[object]) -> Iterator[tuple[float, bytes]]:
    for value in values:
        match value:
            case (float() as ended, bytes() as whole):
                yield ended, whole


def _place(selection: Selection, role: str) -> str:
    """Return what the keys of ``selection`` begin with, in characters that memcached takes."""
    groups = (selection.labels, selection.tags, selection.exclude_tags, selection.patterns)
    words = json.dumps([sorted(set(group)) for group in groups])
    return f"{_PREFIX}.{sha256(words.encode()).hexdigest()[:32]}.{role or 'all'}"


def _covering(selection: Selection, role: str) -> list[str]:
    return [_place(selection, one) for one in dict.fromkeys((role, ""))]


def _keys(places: Iterable[str], kind: str, number: int) -> list[str]:
    return [f"{place}.{kind}.{slot}" for place in places for slot in range(number)]


def _entry(value: object) -> Past | None:
    return _readable(lambda: Past.from_dict(json.loads(value)))  # type: ignore[arg-type]


def _report(packed: bytes) -> Report | None:
    return _readable(lambda: Report.from_dict(json.loads(zlib.decompress(packed))))


def _readable(read: Callable[[], T]) -> T | None:
    """Return what ``read`` makes of a value, or ``None`` where another release wrote it."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _size() -> int:
    """Return how many runs are remembered; none where the setting is unusable."""
    try:
        return settings.history
    except ImproperlyConfigured as error:
        _warn(error)
        return 0


def _with_cache(use: Callable[[Any], T]) -> T:
    """Return ``use(cache)``; log and raise what goes wrong, which may be anything."""
    try:
        alias = settings.history_cache
        return errands.run(lambda: use(caches[alias]))
    except Exception as error:
        _warn(error)
        raise


def _warn(error: Exception) -> None:
    said = cleanser()(f"{type(error).__name__}: {error}")
    logger.warning("The history of the smoke tests is not available. %s", said)
