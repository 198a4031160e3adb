"""Whether the servers agree that nothing was committed: one result for each database.

A run is verified over connections that had no part in it, when its tests are over. What
cannot be verified is no pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from time import monotonic

from smoketest import isolation
from smoketest.findings import VERIFY
from smoketest.results import Outcome, TestResult

PATIENCE = 2.0
"""Seconds that the server gets to end what was cut off."""


def verify(proofs: isolation.Proofs, results: Iterable[TestResult]) -> Iterator[TestResult]:
    """Yield what became of each database that the tests with ``results`` have used.

    Where no test ran to an end, a verdict that nothing is wrong is left out: it must not
    be what lets the run pass.
    """
    says_something = any(
        result.outcome is not Outcome.SKIPPED and not result.cut_off for result in results
    )
    for alias, evidence in sorted(proofs.by_alias().items()):
        started_at, start = datetime.now(UTC), monotonic()
        findings = isolation.examine(alias, evidence, PATIENCE)
        outcome, message = _judged(alias, findings)
        if says_something or outcome is not Outcome.PASSED:
            yield TestResult(
                id=f"{VERIFY}{alias}",
                outcome=outcome,
                message=message,
                description=f"Whether anything was committed to the database {alias!r}.",
                started_at=started_at,
                duration=monotonic() - start,
            )


def _judged(alias: str, findings: isolation.Findings) -> tuple[Outcome, str]:
    if findings.committed:
        return Outcome.ERRORED, _lines(
            f"Something was committed to the database {alias!r}, or may have been: not every "
            "transaction of the run lasted until its rollback. Look there for what these "
            "tests wrote, remove it by hand, and run them no more until they leave the end "
            "of their transaction alone:",
            findings.committed,
        )
    if findings.unknown:
        return Outcome.ERRORED, _lines(
            f"It could not be verified that nothing was committed to the database {alias!r}. "
            f"Nothing speaks for it that something was, but not all of the "
            f"{findings.transactions} transactions of the run are accounted for. Look whether "
            "the server can be reached and the user may ask it; then run once more:",
            findings.unknown,
        )
    if findings.callers:
        return Outcome.SKIPPED, (
            f"What the tests did in the database {alias!r} is part of a transaction of the "
            "caller's own. Whether that is committed is the caller's to decide."
        )
    return Outcome.PASSED, ""


def _lines(sentence: str, told: Iterable[isolation.Told]) -> str:
    return "\n".join([sentence, *isolation.in_words(told)])
