"""The tests as rows of the page: what is shown of each, and of the same one on many nodes."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from smoketest.escaping import one_line
from smoketest.findings import is_test
from smoketest.results import Report, TestResult
from smoketest.selection import label_for
from smoketest.wording import notes, runbook

from .nodes import Names, short_names

COMMAND = "python manage.py smoketest"
_WORST_FIRST = ("failed", "errored", "warned", "skipped", "passed")

FOLDING = ("failed", "errored", "warned")
"""Labels of rows that can be folded, for there is much to say; a warning is folded at first."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was said of a failure, and on which nodes."""

    nodes: Sequence[str]
    message: str
    place: str
    """File and line."""
    traceback: str
    """Whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """One test with what became of it, on one node or on several; texts may say anything."""

    id: str
    anchor: str
    """The element's id; no other has it."""
    label: str
    description: str
    seconds: float
    width: str
    """Of its bar, as in ``12.5%``."""
    notes: str
    accounts: Sequence[Account]
    runbook: str
    command: str
    """What runs it again."""
    nodes: Sequence[str] = ()
    """Where it has this label, in the report of a fleet."""
    of_nodes: int = 0
    """How many nodes there are."""


def rows(report: Report) -> Iterator[Row]:
    """Yield what is to be shown, in the order of the report.

    That is a row for each result, and in the report of a fleet one for each test and
    label, whatever number of nodes has it, the worst labels first.
    """
    slowest = max((result.duration for result in report.results), default=0)
    taken: Counter[str] = Counter()
    called = short_names(report.nodes)
    for found in _together(report):
        first = found[0]
        longest = max(result.duration for result in found)
        yield Row(
            id=first.id,
            anchor=_anchor(first.id, taken),
            label=first.label,
            description=first.description,
            seconds=longest,
            width=percent(longest, slowest),
            notes=", ".join(dict.fromkeys(note for one in found for note in notes(one))),
            accounts=_accounts(found, called),
            runbook=runbook(first),
            command=_command(first),
            nodes=[called.get(one.node, one.node) for one in found if one.node and called],
            of_nodes=len(report.nodes),
        )


def _together(report: Report) -> Iterable[Sequence[TestResult]]:
    """Return the results of each row."""
    if not report.nodes:
        return ((result,) for result in report.results)
    together: dict[tuple[str, str], list[TestResult]] = {}
    for result in report.results:
        together.setdefault((result.id, result.label), []).append(result)
    return sorted(together.values(), key=lambda found: _WORST_FIRST.index(found[0].label))


def percent(part: float, whole: float) -> str:
    """Return the width of a bar; what is not nothing can be seen."""
    return f"{min(max(100 * part / whole, 1), 100):.1f}%" if whole else "0%"


def _anchor(id: str, taken: Counter[str]) -> str:
    """Return an id for the element of a row; the same test may have several."""
    anchor = re.sub(r"\s", "_", one_line(id)) or "_"
    taken[anchor] += 1
    return anchor if taken[anchor] == 1 else f"{anchor}~{taken[anchor]}"


def _accounts(found: Sequence[TestResult], called: Names) -> list[Account]:
    nodes: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        place = f"{one_line(one.file)}:{one.line}" if one.file else ""
        nodes.setdefault((one.message, place, one.traceback), []).append(
            called.get(one.node, one.node)
        )
    return [Account(names, *said) for said, names in nodes.items()]


def _command(result: TestResult) -> str:
    """Return the command line that runs the test again; a shell takes it as it stands."""
    if result.label not in FOLDING or not is_test(result.id):
        return ""
    return f"{COMMAND} {shlex.quote(one_line(label_for(result.id)))}"
