"""Says on the logger ``smoketest`` what became of a run."""

from __future__ import annotations

import logging

from smoketest.escaping import one_line, visible
from smoketest.findings import Finding, findings
from smoketest.results import LABELS, Report
from smoketest.wording import headline, where

logger = logging.getLogger("smoketest")


def log_report(report: Report) -> None:
    """Log one WARNING for each test that failed or errored, then one INFO for the run.

    A run that somebody ended gets a WARNING of its own.

    Of a fleet a failure is one WARNING, whatever number of nodes it hit.

    An optional test's failure is logged as well, under the word ``warned``. Nothing is
    left out, so the report has to be cleansed before.
    """
    bad = [result for result in report.results if result.bad]
    for finding in findings(report, bad):
        _log_finding(finding, report)
    if report.interrupted:
        logger.warning(
            "The run was interrupted before its end: %d of %d tests have a result.",
            len(report.results),
            report.selected,
        )
    logger.info("%s: %s in %.3f s", report.status, _summary(report), report.duration)


def _summary(report: Report) -> str:
    if report.nodes:
        return headline(report)
    counts = report.counts
    return ", ".join(f"{getattr(counts, word)} {word}" for word in LABELS)


def _log_finding(finding: Finding, report: Report) -> None:
    result = finding.result
    said = filter(None, (visible(result.message), visible(result.traceback).rstrip("\n")))
    ended = " ".join(filter(None, (result.label, where(finding, report))))
    logger.warning("%s %s: %s", one_line(result.id), ended, "\n".join(said))
