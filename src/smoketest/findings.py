"""What a report says, each thing once: the same failure with all nodes that it hit.

So what a thousand nodes say can be read, and counted as that of one is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from smoketest import past
from smoketest.escaping import one_line
from smoketest.results import Report, TestResult

ANSWER = "smoketest.fleet.answer"
RELEASE = "smoketest.fleet.release"
VERDICT = "smoketest.fleet.verdict"
NOT_TESTS = frozenset({ANSWER, RELEASE, VERDICT, past.AGE, past.RELEASE})
"""Ids of results that no test has."""
VERIFY = "smoketest.verify."
"""What the ids of further results that no test has begin with; an alias follows."""

MOST_ACCOUNTS = 5
"""Findings of one test and label that are told apart, where nodes say different things."""

MOST_NAMES = 10
"""Nodes that are named in one place; the others are counted."""


def is_test(id: str) -> bool:
    """Whether it is the id of a test, so that it can be run again by it."""
    return id not in NOT_TESTS and not id.startswith(VERIFY)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and where."""

    result: TestResult
    """That of the first node; of others it may differ in its times and its traceback."""
    nodes: Sequence[str] = ()
    """Names of the nodes; none in the report of one process, and of the whole fleet."""


def findings(report: Report, results: Iterable[TestResult]) -> list[Finding]:
    """Return ``results``, which are some of ``report``'s, each thing once.

    In the report of one process each result is a finding. In that of a fleet what is said
    of nodes comes first (releases before all), then the tests, in the order of ``results``.
    """
    if not report.nodes:
        return [Finding(result) for result in results]
    together: dict[tuple[str, str], dict[str, list[TestResult]]] = {}
    for one in results:
        accounts = together.setdefault((one.id, one.label), {})
        accounts.setdefault(one.message, []).append(one)
    found = [each for accounts in together.values() for each in _told_apart([*accounts.values()])]
    return sorted(found, key=lambda each: _ORDER.get(each.result.id, len(_ORDER)))


_ORDER = {RELEASE: 0, ANSWER: 1, VERDICT: 2}


def _told_apart(accounts: Sequence[Sequence[TestResult]]) -> Iterator[Finding]:
    shown = len(accounts) if len(accounts) <= MOST_ACCOUNTS else MOST_ACCOUNTS - 1
    for results in accounts[:shown]:
        yield _finding(results)
    if rest := accounts[shown:]:
        together = _finding([result for results in rest for result in results])
        message = f"{len(rest)} different messages, which the format json has"
        yield replace(together, result=replace(together.result, message=message, traceback=""))


def _finding(results: Sequence[TestResult]) -> Finding:
    return Finding(results[0], tuple(result.node for result in results if result.node))


def names(nodes: Sequence[str]) -> str:
    """Return the names of ``nodes`` in one line; where there are more, the others counted."""
    shown = ", ".join(map(one_line, nodes[:MOST_NAMES]))
    more = len(nodes) - MOST_NAMES
    return f"{shown}, and {more} more" if more > 0 else shown


# -- how many


@dataclass(frozen=True, slots=True)
class Tally:
    """The tests of a fleet, each counted once, under the worst label that it has anywhere."""

    failed: int = 0
    errored: int = 0
    warned: int = 0
    passed: int = 0
    skipped: int = 0
    hit: int = 0
    """Nodes on which a test failed or errored."""

    @property
    def run(self) -> int:
        """Tests that ran to an outcome, on whatever node."""
        return self.failed + self.errored + self.warned + self.passed


def tally(report: Report) -> Tally:
    """Count the tests of ``report``; results that are about nodes are left out."""
    worst: dict[str, str] = {}
    hit = set()
    for result in report.results:
        if result.id not in NOT_TESTS:
            worst[result.id] = min(worst.get(result.id, "skipped"), result.label, key=_WORST.index)
            if result.fails_run:
                hit.add(result.node)
    return Tally(**Counter(worst.values()), hit=len(hit))


_WORST = ("failed", "errored", "warned", "passed", "skipped")
