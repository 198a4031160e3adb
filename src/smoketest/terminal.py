"""A report for a person at a terminal: the verdict in words, then what did not pass."""

from __future__ import annotations

import re
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from smoketest.escaping import one_line, visible
from smoketest.results import Report, TestResult
from smoketest.wording import counted, headline, remarks

_WIDTH = 79


class Style(Protocol):
    """Those of Django's colours that are used here, as ``no_style()`` has them too."""

    def SUCCESS(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as good news."""

    def ERROR(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as bad news."""

    def WARNING(self, text: str, /) -> str:  # noqa: N802
        """Return ``text`` as something to look at."""


def report_lines(report: Report, style: Style, verbosity: int = 1) -> Iterator[str]:
    """Yield the lines of ``report``.

    ``verbosity`` is Django's: 0 is the verdict alone, 1 adds messages and tracebacks
    with the frames of the project's own files, 3 shows all frames.
    """
    paint = style.SUCCESS if report.passed else style.ERROR
    yield paint(f"{report.status}: {headline(report)}")
    if verbosity < 1:
        return
    for label in ("failed", "errored", "warned"):
        for result in report.labelled(label):
            yield from _problem(result, style, whole=verbosity >= 3)
    skipped = report.labelled("skipped")
    if skipped:
        yield ""
    yield from (style.WARNING(line) for line in map(_skip, skipped))
    yield ""
    yield from (line for remark in remarks(report) for line in textwrap.wrap(remark, _WIDTH))
    yield _counts(report)


def result_line(result: TestResult, style: Style) -> str:
    """Return one line on ``result``, in unittest's style."""
    address = one_line(result.id)
    name = address.rpartition(".")[2]
    again = " (retried)" if result.retried else ""
    return f"{name} ({address}) ... {_word(result, style)}{again}"


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


def _problem(result: TestResult, style: Style, *, whole: bool) -> Iterator[str]:
    paint = style.WARNING if result.warned else style.ERROR
    yield ""
    yield paint(f"{result.label}: {one_line(result.id)}")
    if result.description:
        yield f"    {one_line(result.description)}"
    yield from _indented(visible(result.message))
    trace = visible(result.traceback)
    yield from _indented(trace if whole else own_frames(trace))
    if result.runbook:
        yield f"    Runbook: {one_line(result.runbook)}"


def _skip(result: TestResult) -> str:
    reason = f": {one_line(result.message)}" if result.message else ""
    return f"skipped: {one_line(result.id)}{reason}"


def _indented(text: str) -> Iterator[str]:
    text = text.strip("\n")
    if text:
        yield from (f"    {line}" if line else "" for line in text.split("\n"))


def _counts(report: Report) -> str:
    counts = report.counts
    words = ("passed", "failed", "errored", "warned", "skipped")
    parts = [f"{number} {word}" for word in words if (number := getattr(counts, word))]
    listed = f": {', '.join(parts)}" if parts else ""
    return f"Ran {counted(counts.run, 'test')} in {report.duration:.3f} s{listed}."


_FRAME = re.compile(r'  File "(?P<file>.*)", line \d+.*\n(?:    .*\n|  \[.*\n)*', re.MULTILINE)
_FOREIGN = (
    f"{sysconfig.get_path('stdlib')}/",
    f"{Path(__file__).parent}/",
    "<frozen ",
)


def own_frames(traceback: str) -> str:
    """Return ``traceback`` with the frames of the project's own files only.

    Frames of Python's library, of installed packages and of this one are replaced by
    their number. Where no frame is the project's own, all are kept.
    """
    frames = [match["file"] for match in _FRAME.finditer(traceback)]
    if all(map(_is_foreign, frames)):
        return traceback
    hidden = re.compile(r"(?:  \x00\n)+")
    marked = _FRAME.sub(lambda m: "  \x00\n" if _is_foreign(m["file"]) else m[0], traceback)
    return hidden.sub(lambda m: f"  … {counted(m[0].count(chr(0)), 'frame')} …\n", marked)


def _is_foreign(file: str) -> bool:
    return file.startswith(_FOREIGN) or "/site-packages/" in file or "/dist-packages/" in file
