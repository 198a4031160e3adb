"""Plain text: the format of django-smoketest 1.x, extended downwards only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from smoketest.escaping import one_line, visible
from smoketest.results import Detail, Report, TestResult
from smoketest.wording import provenance, remarks, runbook


class TextRenderer:
    """``text``: the verdict alone on the first line, the counts, then what did not pass."""

    format: ClassVar[str] = "text"
    media_type: ClassVar[str] = "text/plain"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return the whole report, every line ended by a newline.

        What a message says is escaped and indented, so that no message can look
        like a line of the report.
        """
        return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield report.status
    if report.detail is Detail.VERDICT:
        return
    yield from _counts(report)
    for label in ("failed", "errored", "warned", "skipped"):
        for result in report.labelled(label):
            yield from _result(result)
    yield from (f"{one_line(result.id)} retried" for result in report.results if result.retried)
    yield from remarks(report)
    if report.cached:
        yield provenance(report)


def _counts(report: Report) -> Iterator[str]:
    counts = report.counts
    yield f"test classes: {counts.classes}"
    yield f"tests run: {counts.run}"
    yield f"tests passed: {counts.passed}"
    yield f"tests failed: {counts.failed}"
    yield f"tests errored: {counts.errored}"
    if counts.warned:
        yield f"tests warned: {counts.warned}"
    if counts.skipped:
        yield f"tests skipped: {counts.skipped}"
    yield f"time: {report.duration * 1000:f}ms"


def _result(result: TestResult) -> Iterator[str]:
    first, *further = visible(result.message).strip("\n").split("\n")
    line = f"{one_line(result.id)} {result.label}"
    yield f"{line}: {first}" if first else line
    if result.traceback:
        further += visible(result.traceback).rstrip("\n").split("\n")
    if where := runbook(result):
        further.append(f"Runbook: {where}")
    yield from (f"    {line}" if line else "" for line in further)
