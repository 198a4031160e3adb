"""Tests × nodes: what a report that spans nodes says of each test, and where it says so.

The same failure is one finding, with all nodes that it hit, and nodes on which everything
went the same way share a column. So what a thousand nodes say can be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from smoketest import past
from smoketest.escaping import one_line
from smoketest.results import Node, Report, TestResult

ANSWER = "smoketest.fleet.answer"
RELEASE = "smoketest.fleet.release"
VERDICT = "smoketest.fleet.verdict"
NOT_TESTS = frozenset({ANSWER, RELEASE, VERDICT, past.AGE, past.RELEASE})
"""Ids of results that no test has, so none can be run again by them."""
VERIFY = "smoketest.verify."
"""What the ids of further results that no test has begin with; an alias follows."""

MOST_ACCOUNTS = 5
"""Findings of one test and label that are told apart, where nodes say different things."""

MOST_NAMES = 10
"""Nodes that are named in one place; the others are counted."""

MOST_COLUMNS = 20
MOST_LINES = 50
"""Of a matrix that a person reads."""


# -- findings


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


def names(nodes: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return the names of ``nodes`` in one line; where there are more, the others counted."""
    shown = ", ".join(map(one_line, nodes[:most]))
    more = len(nodes) - most
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
    """Count the tests of ``report``; what is said of nodes is none."""
    worst: dict[str, str] = {}
    hit = set()
    for result in report.results:
        if result.id not in NOT_TESTS:
            worst[result.id] = min(worst.get(result.id, "skipped"), result.label, key=_WORST.index)
            if result.fails_run:
                hit.add(result.node)
    return Tally(**Counter(worst.values()), hit=len(hit))


_WORST = ("failed", "errored", "warned", "passed", "skipped")


# -- the matrix


@dataclass(frozen=True, slots=True)
class Column:
    """Nodes on which every test ended in the same way, and which run one release."""

    nodes: Sequence[Node]

    @property
    def state(self) -> str:
        """``passed``, ``failed``, ``spared``: enough others passed, or ``no report``."""
        first = self.nodes[0]
        if first.passed:
            return "passed"
        state = "no report" if first.problem else "failed"
        return f"{state}, spared" if first.optional else state


@dataclass(frozen=True, slots=True)
class Line:
    """A test, or several that ended everywhere in the same way, and nowhere badly."""

    ids: Sequence[str]
    labels: Sequence[str]
    """One for each column; empty where there is no result."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Which test ended in which way on which nodes."""

    columns: Sequence[Column]
    lines: Sequence[Line]
    more_nodes: int = 0
    """That are in none of the columns, for each would need one of its own."""
    more_lines: int = 0


def matrix(report: Report, columns: int = MOST_COLUMNS, lines: int = MOST_LINES) -> Matrix:
    """Return the matrix of ``report``, with at most so many columns and lines."""
    labels = _labels(report)
    alike: dict[object, list[Node]] = {}
    for node in report.nodes:
        found = tuple(on.get(node.name, "") for on in labels.values())
        alike.setdefault((found, Column([node]).state, node.release, node.role), []).append(node)
    shown = _worst([Column(nodes) for nodes in alike.values()], columns)
    every = _lines(labels, shown)
    return Matrix(
        columns=shown,
        lines=every[:lines],
        more_nodes=len(report.nodes) - sum(len(column.nodes) for column in shown),
        more_lines=len(every) - len(every[:lines]),
    )


def _labels(report: Report) -> dict[str, dict[str, str]]:
    """Return for each id and each node how it ended there."""
    labels: dict[str, dict[str, str]] = {}
    for result in report.results:
        if result.node:
            labels.setdefault(result.id, {})[result.node] = result.label
    return labels


def _worst(columns: Sequence[Column], most: int) -> Sequence[Column]:
    """Return ``columns``, those that failed or have many nodes where there are too many."""
    if len(columns) <= most:
        return columns
    by_weight = sorted(columns, key=lambda one: (one.state == "passed", -len(one.nodes)))
    return by_weight[:most]


def _lines(labels: dict[str, dict[str, str]], columns: Sequence[Column]) -> list[Line]:
    bad: list[Line] = []
    quiet: dict[tuple[str, ...], list[str]] = {}
    for id, on in labels.items():
        found = tuple(on.get(column.nodes[0].name, "") for column in columns)
        if _BAD.intersection(found):
            bad.append(Line([id], found))
        elif any(found):
            quiet.setdefault(found, []).append(id)
    return [*bad, *(Line(ids, found) for found, ids in quiet.items())]


_BAD = frozenset(_WORST[:3])


# -- in plain text

SIGNS = {"passed": ".", "failed": "F", "errored": "E", "warned": "w", "skipped": "s", "": "-"}
"""What stands in the matrix for a label."""


def drawn(report: Report) -> Iterator[str]:
    """Yield the matrix of ``report`` as lines of text: its columns, then a line for each test.

    Where every node went the same way that is one line.
    """
    table = matrix(report)
    if len(table.columns) == 1:  # what went wrong there is said of all nodes already
        yield described(table.columns[0])
        return
    width = len(str(len(table.columns)))
    for number, column in enumerate(table.columns, start=1):
        yield f"{number:{width}}  {described(column)}"
    if table.more_nodes:
        yield f"{'':{width}}  and {table.more_nodes} more nodes, which the format json has"
    yield ""
    yield " ".join(f"{number:{width}}" for number in range(1, len(table.columns) + 1))
    for line in table.lines:
        yield f"{' '.join(f'{SIGNS[label]:>{width}}' for label in line.labels)}  {titled(line)}"
    if table.more_lines:
        yield f"and {table.more_lines} more lines, which the format json has"
    yield ""
    yield f"({', '.join(_legend(table))})"


def _legend(table: Matrix) -> Iterator[str]:
    there = {label for line in table.lines for label in line.labels}
    yield from (f"{sign} {label or 'no result'}" for label, sign in SIGNS.items() if label in there)


def described(column: Column) -> str:
    """Return for example ``994 nodes, passed, release r2: a, b, and 992 more``."""
    first, number = column.nodes[0], len(column.nodes)
    known = [column.state]
    known += [f"release {one_line(first.release)}"] if first.release else []
    known += [one_line(first.role)] if first.role else []
    facts, shown = ", ".join(known), names([node.name for node in column.nodes])
    return f"{number} nodes, {facts}: {shown}" if number > 1 else f"{shown}: {facts}"


def titled(line: Line) -> str:
    """Return the id of the test in ``line``; of several, how many there are."""
    return f"{len(line.ids)} tests" if len(line.ids) > 1 else one_line(line.ids[0])
