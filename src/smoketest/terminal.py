"""A report for a person at a terminal: the verdict in words, then what did not pass."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from smoketest.escaping import one_line, visible
from smoketest.findings import Finding, findings, is_test, tally
from smoketest.matrix import drawn
from smoketest.results import LABELS, Outcome, Report, TestResult
from smoketest.selection import label_for
from smoketest.tracebacks import short
from smoketest.wording import headline, provenance, ran, remarks, where, which

_WIDTH = 79

SLOW = 5.0
"""Seconds; whoever has waited longer for a run wants to know what for."""

_SLOWEST = 5
"""Tests that are named then."""


class Style(Protocol):
    """Those of Django's colours that are used here, as ``no_style()`` has them too."""

    def SUCCESS(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as good news."""

    def ERROR(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as bad news."""

    def WARNING(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as something to look at."""


def report_lines(
    report: Report,
    style: Style,
    verbosity: int = 1,
    *,
    durations: int | None = None,
    program: str = "python manage.py smoketest",
    option: str = "",
) -> Iterator[str]:
    """Yield the lines of ``report``.

    ``verbosity`` is Django's: 0 is the verdict alone, 1 adds messages, and of tracebacks
    the frames of the project's own files, 3 shows tracebacks as they are. ``durations`` is
    how many of the slowest tests are named, 0 for all; ``None`` names some of a slow
    run. ``program`` is what runs the tests again; ``option`` is what it has before a
    label, as in ``--test=``.
    """
    paint = style.SUCCESS if report.passed else style.ERROR
    yield paint(f"{report.status}: {headline(report)}")
    if verbosity < 1:
        return
    bad = report.labelled("failed", "errored", "warned")
    for finding in findings(report, bad):
        yield from _problem(finding, report, style, whole=verbosity >= 3)
    yield from _asides(report, style)
    if durations is None and report.duration >= SLOW:
        durations = _SLOWEST
    if durations is not None:
        yield ""
        yield from slowest_lines(report, durations)
    if report.nodes:
        yield ""
        yield from drawn(report)
    yield ""
    yield from _sentences(report)
    yield _counts(report)
    yield from _again(report, program, option)


def _asides(report: Report, style: Style) -> Iterator[str]:
    """Yield what was skipped, and what passed at its second attempt only."""
    skipped = findings(report, report.labelled("skipped"))
    retried = findings(report, report.recovered)
    if skipped or retried:
        yield ""
    yield from (style.WARNING(_skip(finding, report)) for finding in skipped)
    for finding in retried:
        yield style.WARNING(f"retried: {_titled(finding, report)}, and it passed")


def _sentences(report: Report) -> Iterator[str]:
    # A run of one process that is shown here is always the caller's own.
    said = [provenance(report)] if report.nodes else []
    for sentence in [*remarks(report), *said]:
        yield from textwrap.wrap(sentence, _WIDTH)
        yield ""


def slowest_lines(report: Report, number: int) -> Iterator[str]:
    """Yield the ``number`` slowest tests, the slowest first; 0 is all that ran."""
    ran = [result for result in report.results if result.outcome is not Outcome.SKIPPED]
    ran.sort(key=lambda result: -result.duration)
    yield "Slowest tests:"
    for one in ran[: number or None]:
        yield f"{one.duration:10.3f} s  {one_line(one.id)}{_on(one)}"


def _on(result: TestResult) -> str:
    return f" on {one_line(result.node)}" if result.node else ""


def _again(report: Report, program: str, option: str) -> Iterator[str]:
    """Yield the command line that runs just what failed; a shell takes it as it stands."""
    failed = report.labelled("failed", "errored")
    ids = dict.fromkeys(one.id for one in failed if is_test(one.id))
    if not ids:
        return
    labels = dict.fromkeys(f"{option}{shlex.quote(one_line(label_for(id)))}" for id in ids)
    yield ""
    yield "To run again what failed:"
    line = f"    {' '.join([program, *labels])}"
    if len(line) <= _WIDTH:
        yield line
        return
    *others, last = [f"    {program}", *(f"        {label}" for label in labels)]
    yield from (f"{one} \\" for one in others)
    yield last


def result_line(result: TestResult, style: Style) -> str:
    """Return one line on ``result``, in unittest's style."""
    address = one_line(result.id)
    name = address.rpartition(".")[2]
    again = " (retried)" if result.retried else ""
    return f"{name} ({address}){_on(result)} ... {_word(result, style)}{again}"


def result_lines(result: TestResult, style: Style) -> Iterator[str]:
    """Yield :func:`result_line`, and below it why ``result`` is no pass."""
    yield result_line(result, style)
    if result.bad:
        yield from _indented(visible(result.message))


def program(path: str, subcommand: str) -> str:
    """Return how a shell runs the command that was started as ``path`` ``subcommand``."""
    name = Path(path or "manage.py").name
    if name == "__main__.py":  # of Django: nobody else's runs commands
        name = "python -m django"
    elif name.endswith(".py"):
        name = f"python {name}"
    return f"{name} {subcommand}"


def _word(result: TestResult, style: Style) -> str:
    match result.label:
        case "passed":
            return style.SUCCESS("ok")
        case "skipped":
            return style.WARNING(f"skipped {one_line(result.message)!r}")
        case "warned":
            return style.WARNING("warning")
        case "failed":
            return style.ERROR("FAIL")
    return style.ERROR("ERROR")


def _problem(finding: Finding, report: Report, style: Style, *, whole: bool) -> Iterator[str]:
    result = finding.result
    paint = style.WARNING if result.warned else style.ERROR
    yield ""
    yield paint(f"{result.label}: {_titled(finding, report)}")
    yield from _indented(which(finding, report))
    if result.description:
        yield f'    "{one_line(result.description)}"'
    yield from _indented(visible(result.message))
    trace = visible(result.traceback)
    yield from _indented(trace if whole else short(trace, visible(result.message)))
    if result.runbook:
        yield f"    Runbook: {one_line(result.runbook)}"


def _titled(finding: Finding, report: Report) -> str:
    return f"{one_line(finding.result.id)} {where(finding, report)}".rstrip()


def _skip(finding: Finding, report: Report) -> str:
    reason = f": {one_line(finding.result.message)}" if finding.result.message else ""
    return f"skipped: {_titled(finding, report)}{reason}"


def _indented(text: str) -> Iterator[str]:
    text = text.strip("\n")
    if text:
        yield from (f"    {line}" if line else "" for line in text.split("\n"))


def _counts(report: Report) -> str:
    counts = tally(report) if report.nodes else report.counts
    parts = [f"{number} {word}" for word in LABELS if (number := getattr(counts, word))]
    listed = f": {', '.join(parts)}" if parts else ""
    return f"{ran(report)}{listed}."
