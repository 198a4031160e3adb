"""Says what became of a run in words that every output for people shares."""

from __future__ import annotations

from smoketest.results import Report


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
