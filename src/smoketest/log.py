"""Says on the logger ``smoketest`` what became of a run."""

from __future__ import annotations

import logging

from smoketest.escaping import one_line, visible
from smoketest.results import Outcome, Report, TestResult

logger = logging.getLogger("smoketest")

_LOGGED = frozenset({Outcome.FAILED, Outcome.ERRORED})


def log_report(report: Report) -> None:
    """Log one WARNING for each test that failed or errored, then one INFO for the run.

    A run that somebody ended gets a WARNING of its own.

    An optional test's failure is logged as well, under the word ``warned``. Nothing is
    left out, so the report has to be cleansed before.
    """
    for result in report.results:
        if result.outcome in _LOGGED:
            _log_result(result)
    counts = report.counts
    if report.interrupted:
        logger.warning(
            "The run was interrupted before its end: %d of %d tests have a result.",
            len(report.results),
            report.selected,
        )
    logger.info(
        "%s: %d passed, %d failed, %d errored, %d warned, %d skipped in %.3f s",
        report.status,
        counts.passed,
        counts.failed,
        counts.errored,
        counts.warned,
        counts.skipped,
        report.duration,
    )


def _log_result(result: TestResult) -> None:
    said = filter(None, (visible(result.message), visible(result.traceback).rstrip("\n")))
    logger.warning("%s %s: %s", one_line(result.id), result.label, "\n".join(said))
