"""Says what became of a run in words that every output for people shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from smoketest.escaping import one_line, uncoloured, visible
from smoketest.findings import ANSWER, NOT_TESTS, RELEASE, VERDICT, Finding, Tally, names, tally
from smoketest.results import Counts, Node, Outcome, Report, TestResult
from smoketest.spelling import counted


def headline(report: Report) -> str:
    """Return the verdict in words, without the word PASS or FAIL before it.

    For example ``1 of 14 tests failed, 1 warning, 2 skipped``. Of a fleet each test is
    counted once: ``2 different releases, 1 of 14 tests failed, on 2 of 3 nodes``.
    """
    counts = tally(report) if report.nodes else report.counts
    first = _of_nodes(report, counts) if isinstance(counts, Tally) else [_failures(counts)]
    parts = [*first]
    if counts.warned:
        parts.append(counted(counts.warned, "warning"))
    if counts.skipped:
        parts.append(f"{counts.skipped} skipped")
    return ", ".join(parts)


def _failures(counts: Counts | Tally) -> str:
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


def _of_nodes(report: Report, counts: Tally) -> Iterator[str]:
    """Yield what a headline says of a fleet: its releases, its tests, its nodes."""
    releases = {node.release for node in report.nodes if node.release}
    if len(releases) > 1:
        yield f"{len(releases)} different releases"
    number = counts.hit or sum(node.passed for node in report.nodes)
    nodes = f"{number} of {counted(len(report.nodes), 'node')}"
    yield f"{_failures(counts)}, on {nodes}" if counts.run else f"{nodes} passed"
    found = Counter(
        (one.id, one.outcome) for one in report.results if one.node and one.id in NOT_TESTS
    )
    yield from (
        f"{counted(found[about], 'node')} {words}" for about, words in _APART if found[about]
    )


_APART = (
    ((RELEASE, Outcome.ERRORED), "on another release than the expected one"),
    ((ANSWER, Outcome.ERRORED), "without a report"),
    ((VERDICT, Outcome.FAILED), "that failed without naming a test"),
    ((VERDICT, Outcome.SKIPPED), "that could not tell"),
)
"""What can be said of a node apart from its tests."""


def when(moment: datetime) -> str:
    """Return for example ``2026-11-22 11:00:00 UTC``."""
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"


def ran(report: Report) -> str:
    """Return for example ``Ran 14 tests on 3 nodes in 1.204 s``."""
    counts = tally(report) if report.nodes else report.counts
    nodes = f" on {counted(len(report.nodes), 'node')}" if report.nodes else ""
    return f"Ran {counted(counts.run, 'test')}{nodes} in {report.duration:.3f} s"


def where(finding: Finding, report: Report) -> str:
    """Return for example ``on web-1`` or ``on 997 of 1000 nodes``; of one process nothing."""
    number, every = len(finding.nodes), len(report.nodes)
    if not number:
        return ""
    if number == every > 1:
        return f"on all {every} nodes"
    return f"on {number} of {every} nodes" if number > _FEW else f"on {names(finding.nodes)}"


def which(finding: Finding, report: Report) -> str:
    """Return the names of the nodes, where :func:`where` does not; else nothing."""
    counted_only = _FEW < len(finding.nodes) < len(report.nodes)
    return f"Nodes: {names(finding.nodes)}" if counted_only else ""


_FEW = 3
"""Nodes that are named rather than counted."""


def remarks(report: Report) -> list[str]:
    """Return sentences on what the results alone do not tell.

    Why a run without a failure did not pass, and what to do about it.
    """
    said = [_interruption(report), _gap(report), _undecided(report)]
    return [sentence for sentence in said if sentence]


def _interruption(report: Report) -> str:
    return "The run was interrupted before its end." if report.interrupted else ""


def _gap(report: Report) -> str:
    if not report.selected and not report.results:
        if report.elsewhere:
            return nothing_selected(report.elsewhere, report.role)
        return (
            "No test was found or selected, and that is never a pass. Write a class derived"
            " from smoketest.SmokeTest into the module smoke of an installed app, or name"
            " ready-made tests in SMOKETEST_PROBES. --list and ?list=1 show those that a"
            " selection has."
        )
    missing = report.selected - len(report.results)
    if missing > 0:
        return f"{counted(missing, 'selected test')} did not run, for the run ended before."
    if not report.counts.run and not report.nodes:
        return "Every selected test was skipped, and that is never a pass."
    return ""


def _undecided(report: Report) -> str:
    """Return why nothing that failed the run is among its results, where that is so."""
    if report.passed or report.counts.failed or report.counts.errored:
        return ""
    if undecided := [node.name for node in report.nodes if not (node.passed or node.optional)]:
        return f"Nothing failed on these nodes, and they did not pass: {names(undecided)}."
    if not report.counts.run or len(report.results) < report.selected or report.interrupted:
        return ""
    if any(result.cut_off for result in report.results):
        return "No test ran to its end before the deadline, and that is never a pass."
    # Its reader may not see more, as the nodes of a fleet.
    return "Nothing failed, and not all that was asked for came to an end."


def nothing_selected(elsewhere: int, role: str) -> str:
    """Return that nothing is selected, and why where ``elsewhere`` tests run in another role."""
    if not elsewhere:
        return "Nothing is selected, and that is never a pass."
    tests = "The selected test runs" if elsewhere == 1 else f"All {elsewhere} selected tests run"
    return (
        f"Nothing is selected, because this process counts as {role!r}: {tests} elsewhere only,"
        " by runs_on. That is never a pass. Ask a process with the other role; SMOKETEST_ROLE"
        " says what this one counts as."
    )


def provenance(report: Report) -> str:
    """Return a sentence on whose run it is, where it is not the caller's own; else nothing."""
    said = [_not_own(report), _earlier([node for node in report.nodes if node.cached])]
    return " ".join(sentence for sentence in said if sentence)


def _not_own(report: Report) -> str:
    if report.shared:
        return "This is the report of a run that was under way already; its callers share it."
    if not report.cached:
        return ""
    return f"This is the report of a run that ended {report.age:.1f} s ago."


def _earlier(nodes: list[Node]) -> str:
    if not nodes:
        return ""
    age = max(node.age for node in nodes)
    return (
        f"{counted(len(nodes), 'node')} answered with the report of a run that had ended up to"
        f" {age:.1f} s before: {names([node.name for node in nodes])}."
    )


def notes(result: TestResult) -> list[str]:
    """Return what should be known of ``result`` besides its outcome: ``retried``, for one."""
    return list(_notes(result))


def _notes(result: TestResult) -> Iterator[str]:
    if result.timed_out:
        yield "timed out"
    if result.cut_off:
        yield "cut off with the run"
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
    return one_line(result.runbook) if result.bad else ""


def explanation(result: TestResult) -> str:
    """Return all that says why ``result`` is no pass: message, traceback, notes and runbook."""
    parts = [visible(uncoloured(text)).strip("\n") for text in (result.message, result.traceback)]
    parts += [f"({note})" for note in notes(result)]
    parts += [f"Runbook: {url}"] if (url := runbook(result)) else []
    return "\n".join(part for part in parts if part)
