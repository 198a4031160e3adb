"""GitHub Actions: an annotation for each problem, and a summary of the job in Markdown.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import ClassVar

from smoketest.escaping import one_line, visible
from smoketest.findings import Finding, findings
from smoketest.matrix import Matrix, described, matrix, titled
from smoketest.results import Detail, Report, TestResult
from smoketest.wording import (
    explanation,
    headline,
    notes,
    provenance,
    ran,
    reason,
    remarks,
    where,
    which,
)

_ANNOTATIONS = 10
"""Of one level in one step; the rest vanishes without a word
(https://github.com/orgs/community/discussions/26680)."""

_MESSAGE = 4096
"""Characters of an annotation's message; the runner cuts what is over."""

_TITLE = 255
"""Characters of an annotation's title."""

_SUMMARY = 1024 * 1024
"""Bytes of a summary; GitHub shows none at all of one that is larger."""

_WHOLE = "Smoke tests"
"""Title of what is said of the run as a whole."""


class GitHubRenderer:
    """``github``: errors, warnings for optional tests, and notices for retried ones.

    All foreign text is data of a command or escaped, so no message can be a command
    to the runner.
    """

    format: ClassVar[str] = "github"
    media_type: ClassVar[str] = "text/plain"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return the verdict in words, and at most ten commands of each level."""
        return "".join(f"{line}\n" for line in _lines(report))

    def summary(self, report: Report) -> str:
        """Return Markdown of less than 1 MiB, for the file ``GITHUB_STEP_SUMMARY``."""
        parts = list(_summary(report))
        kept = list(_fitting(parts))
        left_out = len(parts) - len(kept)
        more = [f"… and {left_out} more that GitHub has no room for.\n"] if left_out else []
        return "\n".join([*kept, *more])


def _lines(report: Report) -> Iterator[str]:
    if report.detail is Detail.VERDICT:
        yield report.status
        if not report.passed:
            yield _command("error", _WHOLE, "The smoke tests failed.")
        return
    yield _verdict(report)
    whole = [_command("error", _WHOLE, remark) for remark in remarks(report)]
    failures = report.labelled("failed", "errored")
    yield from _limited("error", whole + _problems("error", report, failures))
    yield from _limited("warning", _problems("warning", report, report.labelled("warned")))
    yield from _limited("notice", _problems("notice", report, report.recovered))


def _verdict(report: Report) -> str:
    return " ".join(filter(None, [f"{report.status}: {headline(report)}.", provenance(report)]))


def _limited(level: str, commands: Sequence[str]) -> Iterator[str]:
    if len(commands) <= _ANNOTATIONS:
        yield from commands
        return
    shown = _ANNOTATIONS - 1
    yield from commands[:shown]
    more = f"… and {len(commands) - shown} more, which the report has."
    yield _command(level, _WHOLE, more)


def _problems(level: str, report: Report, results: Sequence[TestResult]) -> list[str]:
    return [_problem(level, finding, report) for finding in findings(report, results)]


def _problem(level: str, finding: Finding, report: Report) -> str:
    result = finding.result
    place = {}
    if result.file:
        line = str(result.line)
        place = {"file": one_line(result.file), "line": line, "endLine": line}
    title = f"{one_line(result.id)} {where(finding, report)}".rstrip()
    return _command(level, title, _explained(finding, report) or result.label, **place)


def _explained(finding: Finding, report: Report) -> str:
    return "\n".join(filter(None, [explanation(finding.result), which(finding, report)]))


def _command(level: str, title: str, message: str, **place: str) -> str:
    properties = {**place, "title": _cut(title, _TITLE)}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {written}::{_data(_cut(message, _MESSAGE))}"


def _data(text: str) -> str:
    """Escape as the toolkit of GitHub does it (actions/toolkit, ``command.ts``)."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _summary(report: Report) -> Iterator[str]:
    """Yield the parts of the summary: a heading, remarks, and a part for each test."""
    mark = "✅" if report.passed else "❌"
    if report.detail is Detail.VERDICT:
        yield f"## {mark} Smoke tests: {report.status}\n"
        return
    yield f"## {mark} Smoke tests: {report.status}\n\n{headline(report)}.\n"
    yield from map(_paragraph, filter(None, [*remarks(report), provenance(report)]))
    yield from _table(matrix(report)) if report.nodes else ()
    apart = report.labelled("failed", "errored", "warned", "skipped")
    for finding in [*findings(report, apart), *findings(report, report.recovered)]:
        yield _details(finding, report)
    yield _end(report)


_SIGNS = {
    "passed": "✅",
    "failed": "❌ failed",
    "errored": "❌ errored",
    "warned": "⚠️ warned",
    "skipped": "skipped",
    "": "",
}


def _table(table: Matrix) -> Iterator[str]:
    """Yield two tables: what the columns are, and how each test ended in each of them."""
    numbers = range(1, len(table.columns) + 1)
    columns = [
        f"| {number} | {_code(described(column))} |"
        for number, column in zip(numbers, table.columns, strict=True)
    ]
    more = [f"| … | and {table.more_nodes} more nodes |"] if table.more_nodes else []
    yield "\n".join(["| | nodes |", "|---|---|", *columns, *more, ""])
    head = [f"| test | {' | '.join(map(str, numbers))} |", "|---" * (len(numbers) + 1) + "|"]
    lines = [
        f"| {_code(titled(line))} | {' | '.join(_SIGNS[label] for label in line.labels)} |"
        for line in table.lines
    ]
    more = [f"| and {table.more_lines} more lines |"] if table.more_lines else []
    yield "\n".join([*head, *lines, *more, ""])


def _code(text: str) -> str:
    """Return ``text`` as code in a cell of a table, where it can be no Markdown.

    https://github.github.com/gfm/#tables-extension-
    """
    without = text.replace("`", "'").replace("|", "¦")
    return f"`{_cut(without, _TITLE)}`"


def _end(report: Report) -> str:
    release = f" Release <code>{escape(one_line(report.release))}</code>." if report.release else ""
    return f"<p>{ran(report)}.{release}</p>\n"


def _paragraph(sentence: str) -> str:
    """Return ``sentence``, which may name nodes, as a block of HTML, where it is no Markdown."""
    return f"<p>{escape(sentence)}</p>\n"


def _details(finding: Finding, report: Report) -> str:
    """Return blocks of HTML, in which nothing that a message says can be Markdown.

    https://spec.commonmark.org/0.31.2/#html-blocks
    """
    result = finding.result
    said = "".join(f", {note}" for note in notes(result))
    on = escape(f" {where(finding, report)}".rstrip())
    title = f"<b>{result.label}</b>{said} <code>{escape(one_line(result.id))}</code>{on}"
    first = f" {escape(reason(result))}".rstrip()
    opened = " open" if result.fails_run else ""
    why = escape(_explained(finding, report))
    body = f"<pre>{why}</pre>\n\n" if why else ""
    return f"<details{opened}><summary>{title}{first}</summary>\n\n{body}</details>\n"


def _fitting(parts: Sequence[str]) -> Iterator[str]:
    left = _SUMMARY - 100  # for the line on what is left out
    for part in parts:
        left -= len(part.encode()) + 1
        if left < 0:
            return
        yield part
