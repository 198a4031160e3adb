"""Tests × nodes: which test of a fleet ended in which way on which nodes.

Nodes on which everything went the same way share a column, and so do tests a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smoketest.escaping import one_line
from smoketest.findings import names
from smoketest.results import Node, Report

MOST_COLUMNS = 20
MOST_LINES = 50
"""Of a matrix that a person reads."""


@dataclass(frozen=True, slots=True)
class Column:
    """Nodes on which every test ended in the same way, and which run one release."""

    nodes: Sequence[Node]

    @property
    def state(self) -> str:
        """``passed``, ``failed`` or ``no report``; ``…, spared`` where enough others passed."""
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


def matrix(report: Report) -> Matrix:
    """Return the matrix of ``report``, with no more columns and lines than a person reads."""
    labels = _labels(report)
    alike: dict[object, list[Node]] = {}
    for node in report.nodes:
        found = tuple(on.get(node.name, "") for on in labels.values())
        alike.setdefault((found, Column([node]).state, node.release, node.role), []).append(node)
    shown = _worst([Column(nodes) for nodes in alike.values()])
    every = _lines(labels, shown)
    return Matrix(
        columns=shown,
        lines=every[:MOST_LINES],
        more_nodes=len(report.nodes) - sum(len(column.nodes) for column in shown),
        more_lines=len(every) - len(every[:MOST_LINES]),
    )


def _labels(report: Report) -> dict[str, dict[str, str]]:
    """Return for each id and each node how it ended there."""
    labels: dict[str, dict[str, str]] = {}
    for result in report.results:
        if result.node:
            labels.setdefault(result.id, {})[result.node] = result.label
    return labels


def _worst(columns: Sequence[Column]) -> Sequence[Column]:
    """Return ``columns``, those that failed or have many nodes where there are too many."""
    if len(columns) <= MOST_COLUMNS:
        return columns
    by_weight = sorted(columns, key=lambda one: (one.state == "passed", -len(one.nodes)))
    return by_weight[:MOST_COLUMNS]


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


_BAD = frozenset({"failed", "errored", "warned"})


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
