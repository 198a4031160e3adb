"""Plain text: the format of django-smoketest 1.x, extended downwards only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from smoketest.escaping import one_line, visible
from smoketest.findings import Finding, findings
from smoketest.matrix import drawn
from smoketest.results import Detail, Report
from smoketest.wording import provenance, remarks, runbook, where, which


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

    def render_refusal(self, message: str) -> str:
        """Return the verdict, and below it why nothing was run."""
        return f"FAIL\n{message}\n"


def _lines(report: Report) -> Iterator[str]:
    yield report.status
    if report.detail is Detail.VERDICT:
        return
    yield from _counts(report)
    apart = report.labelled("failed", "errored", "warned", "skipped")
    for finding in findings(report, apart):
        yield from _finding(finding, report)
    for finding in findings(report, [result for result in report.results if result.retried]):
        yield _line(finding, "retried", report)
    yield from remarks(report)
    if said := provenance(report):
        yield said
    if report.nodes:
        yield "matrix:"
        yield from (f"    {line}" if line else "" for line in drawn(report))


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
    if report.nodes:
        yield f"nodes: {len(report.nodes)}"
        yield f"nodes passed: {sum(node.passed for node in report.nodes)}"


def _finding(finding: Finding, report: Report) -> Iterator[str]:
    result = finding.result
    first, *further = visible(result.message).strip("\n").split("\n")
    line = _line(finding, result.label, report)
    yield f"{line}: {first}" if first else line
    if result.traceback:
        further += visible(result.traceback).rstrip("\n").split("\n")
    further += [more for more in (which(finding, report), _runbook(finding)) if more]
    yield from (f"    {line}" if line else "" for line in further)


def _line(finding: Finding, label: str, report: Report) -> str:
    return f"{one_line(finding.result.id)} {label} {where(finding, report)}".rstrip()


def _runbook(finding: Finding) -> str:
    url = runbook(finding.result)
    return f"Runbook: {url}" if url else ""
