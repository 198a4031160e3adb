"""What a node sent as a report: its own, that of 1.x, the verdict alone, or none at all.

Nothing that is sent is believed without a look. A body that says PASS while its own counts
or the status of HTTP say otherwise is no report, and so is one with a value of another type.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import intern
from typing import Any, NoReturn

from smoketest.escaping import one_line
from smoketest.results import EPOCH, LABELS, Counts, Detail, Outcome, Report, TestResult
from smoketest.spelling import counted

Cleanse = Callable[[str], str]

_EXCERPT = 120
"""Characters of a foreign answer that are repeated."""


class NoReport(Exception):
    """What a node did instead of answering with a report, and what to do about it."""


class WrongSelection(NoReport):
    """The node does not know what it was asked to run."""


@dataclass(frozen=True, slots=True)
class Received:
    """An answer of HTTP, complete."""

    status: int
    body: bytes
    media_type: str = ""
    retry_after: float | None = None
    """Seconds after which to ask again; ``None`` where the node does not say so."""
    age: float = 0.0
    """Seconds for which a cache on the way has kept it; 0 where it comes from the node."""

    @property
    def is_busy(self) -> bool:
        """Whether another run is under way there, or the node asks for patience."""
        return self.status in (429, 503) and self.retry_after is not None


def report(received: Received, cleansed: Cleanse = str) -> Report:
    """Return the report that was received, every text in it ``cleansed``.

    Raises :class:`NoReport` where it is none, or contradicts itself.
    """
    try:
        data = json.loads(received.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or data.get("status") not in ("PASS", "FAIL"):
        raise NoReport(_foreign(received, cleansed))
    if "error" in data and "tests_run" not in data:
        raise _refusal(received, cleansed(str(data["error"])))
    try:
        found = _Reader(data, cleansed).report()
    except _Malformed as error:
        raise NoReport(
            f"The node sent something like a report, but {error}. It runs something else than"
            f" django-smoketest, or something changes its answers on the way. {_TRY}"
        ) from None
    if found.passed and received.age:
        raise NoReport(
            f"The gate was answered by a cache on the way, with what the node said"
            f" {received.age:g} s before: PASS. Nothing is known of the node now. Let what is in"
            " front of it keep no answer of this URL; the node sends Cache-Control: no-store."
        )
    if found.passed and (contradiction := "; ".join(_contradictions(found, received, data))):
        raise NoReport(
            f"The node says PASS and contradicts itself: {contradiction}. Something changes its"
            f" answers on the way, or it is no pass. {_TRY}"
        )
    return found


_TRY = "Ask it with curl, and compare."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _foreign(received: Received, cleansed: Cleanse) -> str:
    """Return what to say of an answer that is no report."""
    what = f"The node answers with status {received.status}, and with something else than a report"
    return f"{what} ({excerpt(received, cleansed)}). {_remedy(received.status)}"


def _remedy(status: int) -> str:
    match status:
        case 401 | 403:
            return (
                "It does not let the gate in, or something in front of it does not. Send a"
                " token that it accepts, and let the gate's address through."
            )
        case 404:
            return (
                "Nothing is at this path. Look where the site's URLs include smoketest.urls:"
                " that is often /smoketest/."
            )
        case _ if status >= 500:
            return (
                "It is down or starting, or a proxy in front of it does not reach it. Wait for"
                " it with --wait, and read its log."
            )
    return (
        "This URL is not that of the smoke tests, or a proxy or a page for logging in answers"
        " in their place. Correct the URL."
    )


def excerpt(received: Received, cleansed: Cleanse) -> str:
    """Return the media type and the beginning of a body, in one harmless line."""
    text = received.body[: _EXCERPT * 20].decode("utf-8", "replace")
    words = cleansed(re.sub(r"\s+", " ", text).strip())
    kind = one_line(received.media_type)[:80] or "no media type"
    if not words:
        return f"{kind}, {counted(len(received.body), 'byte')}"
    more = "…" if len(words) > _EXCERPT else ""
    return f"{kind}: {one_line(words[:_EXCERPT])}{more}"


def _refusal(received: Received, error: str) -> NoReport:
    if received.status == 400:
        return WrongSelection(error)
    if received.status in (401, 403):
        return NoReport(
            f"The node refuses the credentials, or the lack of them (status {received.status}):"
            f" {error}"
        )
    return NoReport(f"The node refuses to run its tests (status {received.status}): {error}")


def _contradictions(found: Report, received: Received, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what speaks against the pass that a body claims."""
    counts = found.counts
    if received.status != 200:
        yield f"its HTTP status is {received.status}"
    if found.detail is Detail.VERDICT:
        return
    if not counts.passed and not counts.warned:
        yield "no test ran"
    bad = counts.failed + counts.errored
    named = any(one.fails_run for one in found.results)
    named = named or any(data.get(key) for key in _NAMED)
    if bad or named:
        yield f"{counted(bad, 'test')} failed or errored" if bad else "it names tests that failed"
    elif data["tests_run"] != counts.run:
        yield f"it counts {data['tests_run']} tests that ran, and {counts.run} that passed"
    if "results" in data and not _adds_up(found):
        yield "its counts are not those of its results"


def _adds_up(found: Report) -> bool:
    listed, counts = Counts.of(found.results), found.counts
    return all(getattr(listed, label) == getattr(counts, label) for label in LABELS)


class _Malformed(Exception):
    """Which key has what it may not have, as the rest of a sentence."""


class _Reader:
    """Reads one JSON object; keys that it does not know are left alone."""

    def __init__(self, data: Mapping[str, Any], cleansed: Cleanse) -> None:
        self._data = data
        self._cleansed = cleansed

    def report(self) -> Report:
        """Return the report; raise :class:`_Malformed` where it is none."""
        passed = self._data["status"] == "PASS"
        if set(self._data) == {"status"}:
            return Report(passed=passed, detail=Detail.VERDICT)
        results = tuple(self._results() if "results" in self._data else self._named())
        return Report(
            passed=passed,
            counts=self._counts(),
            results=results,
            selected=len(results),
            started_at=self._time("started_at"),
            duration=self._number("duration", float) or self._number("time", float) / 1000,
            release=self._text("release"),
            node=self._text("node"),
            role=self._text("role"),
            pid=self._number("pid", int),
            cached=self._flag("cached"),
            age=self._number("age", float),
            shared=self._flag("shared"),
        )

    def _counts(self) -> Counts:
        if "tests_run" not in self._data:
            raise _Malformed("has no 'tests_run'")
        self._number("tests_run", int)
        values = {label: self._number(f"tests_{label}", int) for label in LABELS}
        return Counts(classes=self._number("test_classes", int), **values)

    def _results(self) -> Iterator[TestResult]:
        for item in self._list("results"):
            if not isinstance(item, dict):
                raise _Malformed("one of its 'results' is no object")
            yield _Reader(item, self._cleansed)._result()

    def _result(self) -> TestResult:
        id, outcome = self._text("id"), self._text("outcome")
        if not id or outcome not in _OUTCOMES:
            raise _Malformed("one of its 'results' has no id, or no outcome that is known")
        return TestResult(
            id=intern(id),  # each node sends the same ones
            outcome=Outcome(outcome),
            optional=self._flag("optional"),
            duration=self._number("duration", float),
            started_at=self._time("started_at"),
            description=intern(self._text("description")),
            tags=tuple(map(intern, self._texts("tags"))),
            message=self._text("message"),
            traceback=self._text("traceback"),
            timed_out=self._flag("timed_out"),
            cut_off=self._flag("cut_off"),
            retried=self._flag("retried"),
            file=intern(self._text("file")),
            line=self._number("line", int),
            runbook=intern(self._text("runbook")),
            node=self._text("node"),
        )

    def _named(self) -> Iterator[TestResult]:
        """Yield the failures as 1.x has them: sentences that begin with the id of a test."""
        for key, outcome in _NAMED.items():
            for sentence in self._texts(key):
                id, _, _ = sentence.partition(" ")
                yield TestResult(id=intern(id or key), outcome=outcome, message=sentence)

    def _text(self, key: str) -> str:
        value = self._data.get(key, "")
        if value is None:
            return ""
        return self._cleansed(value) if isinstance(value, str) else self._wrong(key, "a text")

    def _texts(self, key: str) -> list[str]:
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            self._wrong(key, "a list of texts")
        return [self._cleansed(value) for value in values]

    def _list(self, key: str) -> list[Any]:
        value = self._data.get(key, [])
        return value if isinstance(value, list) else self._wrong(key, "a list")

    def _flag(self, key: str) -> bool:
        value = self._data.get(key, False)
        return value if isinstance(value, bool) else self._wrong(key, "true or false")

    def _number(self, key: str, kind: type[Any]) -> Any:
        value = self._data.get(key, 0)
        kinds = int if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            self._wrong(key, "a number")
        if value < 0 or value > _MOST or not math.isfinite(value):
            self._wrong(key, "a number that is possible")
        return kind(value)

    def _time(self, key: str) -> datetime:
        text = self._text(key)
        try:
            value = datetime.fromisoformat(text) if text else EPOCH
        except ValueError:
            self._wrong(key, "a time")
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    def _wrong(self, key: str, expected: str) -> NoReturn:
        raise _Malformed(f"its {key!r} is not {expected}")


_OUTCOMES = frozenset(Outcome)
_NAMED = {"failed_tests": Outcome.FAILED, "errored_tests": Outcome.ERRORED}
_MOST = 10**15
"""No count, and no number of seconds, is higher."""
