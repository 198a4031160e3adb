"""Says what became of a run in words that every output for people shares."""

from __future__ import annotations

from collections.abc import Iterator

from smoketest.escaping import one_line, uncoloured, visible
from smoketest.results import Outcome, Report, TestResult


def counted(number: int, noun: str) -> str:
    """Return ``number`` and ``noun``, in the plural unless there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def headline(report: Report) -> str:
    """Return the verdict in words, without the word PASS or FAIL before it.

    For example ``1 of 14 tests failed, 1 warning, 2 skipped``.
    """
    counts = report.counts
    parts = [_failures(report)]
    if counts.warned:
        parts.append(counted(counts.warned, "warning"))
    if counts.skipped:
        parts.append(f"{counts.skipped} skipped")
    return ", ".join(parts)


def _failures(report: Report) -> str:
    counts = report.counts
    if not counts.run:
        return "no test ran"
    words = [
        f"{number} {word}"
        for number, word in ((counts.failed, "failed"), (counts.errored, "errored"))
        if number
    ]
    if not words:
        return f"{counts.passed} of {counted(counts.run, 'test')} passed"
    first, *rest = words
    number, word = first.split(" ", 1)
    return ", ".join([f"{number} of {counted(counts.run, 'test')} {word}", *rest])


def remarks(report: Report) -> list[str]:
    """Return sentences on what the results alone do not tell.

    Why a run without a failure did not pass, and what to do about it.
    """
    return [sentence for sentence in (_interruption(report), _gap(report)) if sentence]


def _interruption(report: Report) -> str:
    return "The run was interrupted before its end." if report.interrupted else ""


def _gap(report: Report) -> str:
    if not report.selected and not report.results:
        return (
            "No test was found or selected, and that is never a pass. Smoke tests are"
            " classes derived from smoketest.SmokeTest, in the module smoke of an"
            " installed app; --list and ?list=1 show those that a selection has."
        )
    missing = report.selected - len(report.results)
    if missing > 0:
        return f"{counted(missing, 'selected test')} did not run, for the run ended before."
    if not report.counts.run:
        return "Every selected test was skipped, and that is never a pass."
    return ""


def provenance(report: Report) -> str:
    """Return a sentence on whose run it is, where it is not the caller's own; else nothing."""
    if not report.cached:
        return ""
    return f"This is the report of a run that ended {report.age:.1f} s ago."


def notes(result: TestResult) -> list[str]:
    """Return what should be known of ``result`` besides its outcome: ``retried``, for one."""
    return list(_notes(result))


def _notes(result: TestResult) -> Iterator[str]:
    if result.timed_out:
        yield "timed out"
    if result.cut_off:
        yield "cut off by the deadline"
    if result.retried:
        yield "retried"


def reason(result: TestResult) -> str:
    """Return in one line why ``result`` is no pass, where a line is all there is room for.

    That is the first line of its message, else the last one of its traceback.
    """
    message, traceback = result.message.strip(), result.traceback.strip()
    lines = message.splitlines()[:1] or traceback.splitlines()[-1:]
    return one_line(uncoloured("".join(lines)))


def runbook(result: TestResult) -> str:
    """Return where it says what to do about ``result``, where there is something to do."""
    failed = result.outcome in (Outcome.FAILED, Outcome.ERRORED)
    return one_line(result.runbook) if failed else ""


def explanation(result: TestResult) -> str:
    """Return all that says why ``result`` is no pass: message, traceback, notes and runbook."""
    parts = [visible(uncoloured(text)).strip("\n") for text in (result.message, result.traceback)]
    parts += [f"({note})" for note in notes(result)]
    parts += [f"Runbook: {where}"] if (where := runbook(result)) else []
    return "\n".join(part for part in parts if part)
