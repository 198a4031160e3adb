"""The output of a Nagios or Icinga plugin: a line, perfdata, and a line for each problem.

https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from smoketest.escaping import one_line
from smoketest.findings import NOT_TESTS, Finding, findings
from smoketest.matrix import Column, described, matrix
from smoketest.results import Detail, Report
from smoketest.wording import headline, notes, provenance, reason, remarks, runbook, where

_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

_OUTPUT = 4000
"""Bytes in all: Nagios 3 and NRPE read 4 KB."""

_LINE = 300
"""Characters of one line of text."""

_NAMES = 3
"""Failed tests that are named in the first line."""


class NagiosRenderer:
    """``nagios``: the state first, as a monitoring system shows it.

    ``|`` would begin the perfdata, so it becomes ``¦`` wherever it is said.
    """

    format: ClassVar[str] = "nagios"
    media_type: ClassVar[str] = "text/plain"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return at most 4,000 bytes; problems that do not fit are left out, and counted."""
        state = f"SMOKETEST {_STATES[self.exit_status(report)]}"
        if report.detail is Detail.VERDICT:
            return f"{state}\n"
        summary = _cut(". ".join(_summary(report)))
        first = f"{state} - {summary} | {' '.join(_perfdata(report))}"
        return "".join(f"{line}\n" for line in _fitting([first, *_problems(report)]))

    def exit_status(self, report: Report) -> int:
        """Return 0 OK, 1 WARNING: passed with warnings, 2 CRITICAL, 3 UNKNOWN: could not tell."""
        if report.detail is Detail.VERDICT:
            return 0 if report.passed else 2
        if report.passed:
            return 1 if report.counts.warned else 0
        return 3 if report.inconclusive else 2


def _summary(report: Report) -> Iterator[str]:
    release = f", release {one_line(report.release)}" if report.release else ""
    yield f"{headline(report)}{_named(report)}{release}"
    yield from (remark.rstrip(".") for remark in remarks(report))
    if whose := provenance(report):
        yield whose.rstrip(".")


def _named(report: Report) -> str:
    """Return who failed, for many a notification shows the first line only."""
    failed = report.ids("failed", "errored")
    if report.nodes:  # whose own problems the headline has
        failed = list(dict.fromkeys(id for id in failed if id not in NOT_TESTS))
    ids = [one_line(id) for id in failed]
    more = [f"and {len(ids) - _NAMES} more"] if len(ids) > _NAMES else []
    return f" ({', '.join(ids[:_NAMES] + more)})" if ids else ""


def _perfdata(report: Report) -> Iterator[str]:
    """Yield ``label=value[unit];warn;crit;min``; no value has an exponent."""
    limit = f"{report.deadline:.3f}" if report.deadline else ""
    yield f"time={report.duration:.6f}s;;{limit};0"
    counts = report.counts
    yield f"tests={counts.run};;;0"
    yield f"passed={counts.passed};;;0"
    yield f"failed={counts.failed};;0;0"
    yield f"errored={counts.errored};;0;0"
    yield f"warned={counts.warned};0;;0"
    yield f"skipped={counts.skipped};;;0"
    if report.nodes:
        yield f"nodes={len(report.nodes)};;;0"
        yield f"nodes_passed={sum(node.passed for node in report.nodes)};;;0"
    if report.cached:
        yield f"age={report.age:.3f}s;;;0"


def _problems(report: Report) -> Iterator[str]:
    for finding in findings(report, report.labelled(*_BAD)):
        yield _cut(_line(_BAD[finding.result.label], finding, report))
    if report.nodes:
        yield from (_cut(_node_line(column, report)) for column in matrix(report).columns)
    for finding in findings(report, report.recovered):
        yield _cut(_line("OK", finding, report))
    for finding in findings(report, report.labelled("skipped")):
        yield _cut(_line("OK", finding, report, "skipped"))


_BAD = {"failed": "CRITICAL", "errored": "CRITICAL", "warned": "WARNING"}


def _line(state: str, finding: Finding, report: Report, *more: str) -> str:
    result = finding.result
    said = ", ".join([*more, *notes(result)])
    on = f" {where(finding, report)}".rstrip()
    parts = [f"[{state}] {one_line(result.id)}{on}{f' ({said})' if said else ''}", reason(result)]
    line = ": ".join(part for part in parts if part)
    return " - ".join(part for part in (line, runbook(result)) if part)


def _node_line(column: Column, report: Report) -> str:
    """Return a line on nodes that went the same way; on one that did not, it is its own."""
    if column.nodes[0].passed:
        state = "OK"
    elif column.nodes[0].optional:
        state = "WARNING"
    else:
        state = "UNKNOWN" if report.inconclusive else "CRITICAL"
    return f"[{state}] {described(column)}"


def _cut(text: str) -> str:
    text = text.replace("|", "¦")
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


def _fitting(lines: list[str]) -> Iterator[str]:
    left = _OUTPUT
    for number, line in enumerate(lines):
        left -= len(line.encode()) + 1
        if left < 0:
            yield f"… and {len(lines) - number} more"
            return
        yield line
