"""Many reports, one verdict: what every node of a fleet answered becomes one report.

What can only be said of a node, or of the fleet, stands in the report as a result of its
own, beside those of the tests. So every format shows it, and none has to judge:

- ``smoketest.fleet.answer`` errors where a node gave no report, or an expected one is absent
- ``smoketest.fleet.release`` errors where a node runs another release than the expected one,
  and warns where none was expected and they differ
- ``smoketest.fleet.verdict`` says why a node did or did not pass, where no test there does
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from smoketest.findings import ANSWER, NOT_TESTS, RELEASE, VERDICT, names
from smoketest.results import Detail, Node, Outcome, Report, TestResult
from smoketest.spelling import counted
from smoketest.wording import remarks

__all__ = [
    "ANSWER",
    "RELEASE",
    "VERDICT",
    "Answer",
    "Expectation",
    "judge",
    "merge",
    "retried",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from one node: its report, or why there is none."""

    node: str
    """What the asker knows it by; unique in the fleet."""
    role: str = ""
    report: Report | None = None
    problem: str = ""
    """Why there is no report, in a sentence or more: what happened, why, what to do."""
    cut_off: bool = False
    """Whether there is none because the asker was interrupted: nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a fleet must be to pass, besides that its tests do."""

    at_least: int | None = None
    """How many nodes must pass, 1 or more; ``None`` is all of them. Those that fail beyond
    that number are warnings."""
    nodes: Collection[str] = ()
    """Nodes that must be there, by the name or by the host name of each."""
    number: int = 0
    """How many nodes must answer."""
    release: str = ""
    """The release that every node must run; empty is any, but the same on all."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an expectation that any fleet would meet: it proves nothing."""
        if self.at_least is not None and self.at_least < 1:
            raise ValueError(
                f"at_least is {self.at_least!r}, and a fleet of which no node must pass proves"
                " nothing. Give 1 or more, or leave it out: then all must."
            )


ANYTHING = Expectation()


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer: the node, those that it spoke for, and all results that they have."""

    nodes: Sequence[Node]
    """The node that answered is the first one."""
    results: Sequence[TestResult]

    @property
    def passed(self) -> bool:
        """Whether nothing about it fails the fleet."""
        return all(node.passed or node.optional for node in self.nodes)


def merge(
    answers: Iterable[Answer],
    expectation: Expectation = ANYTHING,
    *,
    judged_before: Mapping[str, Judged] = MappingProxyType({}),
    **values: Any,
) -> Report:
    """Return the report of the fleet; ``values`` are further fields of :class:`Report`.

    ``judged_before`` has by the name of the node what :func:`judge` returned for its answer,
    where there was time for that as it came.

    Its results are what is to be said of the fleet as a whole, then those of each node in
    the order of ``answers``; absent nodes come last. Its release is that of the nodes, where
    all run the same one. An answer that is the report of a fleet itself brings its nodes
    along, each under both names.
    """
    answers = list(_named_apart(answers))
    answers += list(_absent(answers, expectation))
    judged = [judged_before.get(answer.node) or judge(answer, expectation) for answer in answers]
    if _enough(judged, expectation):
        judged = [_spare(one) for one in judged]
    nodes = tuple(node for one in judged for node in one.nodes)
    results = list(_of_the_fleet(answers, nodes, expectation))
    for one in judged:
        results += one.results
    if started_at := values.get("started_at"):
        results = [_dated(result, started_at) for result in results]
    values = {"release": _common_release(nodes), **values}
    # Whether tests of a node are missing was judged there.
    return Report.from_results(results, selected=len(results), nodes=nodes, **values)


def retried(report: Report, before: Report) -> Report:
    """Return ``report``, in which what had failed ``before`` says that it ran again."""
    failed = {(one.node, one.id) for one in before.results if one.fails_run}
    results = tuple(
        replace(one, retried=True) if (one.node, one.id) in failed else one
        for one in report.results
    )
    return replace(report, results=results)


def _named_apart(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield ``answers``, each under a name of its own: two workers may have the same one."""
    taken: set[str] = set()
    for answer in answers:
        name, number = answer.node, 1
        while name in taken:
            number += 1
            name = f"{answer.node} ({number})"
        taken.add(name)
        yield replace(answer, node=name)


def _absent(answers: Sequence[Answer], expectation: Expectation) -> Iterator[Answer]:
    present = {answer.node for answer in answers}
    present |= {answer.report.node for answer in answers if answer.report is not None}
    for name in dict.fromkeys(expectation.nodes):
        if name not in present:
            yield Answer(
                node=name,
                problem="The node is absent: it is one of the expected nodes, and nothing came"
                " from it. Start it, or take it off the list of expected nodes.",
            )


def judge(answer: Answer, expectation: Expectation = ANYTHING) -> Judged:
    """Return the node as it answered, and all results that it has, whatever the others do."""
    report = answer.report
    node = Node(name=answer.node, role=answer.role, problem=answer.problem)
    if report is None:
        said = replace(_errored(ANSWER, answer.node, answer.problem), cut_off=answer.cut_off)
        return Judged([node], [said])
    node = replace(
        node,
        role=answer.role or report.role,
        host=report.node,
        release=report.release,
        pid=report.pid,
        duration=report.duration,
        cached=report.cached,
        age=report.age,
    )
    others = [replace(one, name=_under(answer.node, one.name)) for one in report.nodes]
    found = [*_releases([node, *others], expectation), *_said(answer.node, report)]
    wrong = {one.node for one in found if one.id == RELEASE and one.outcome is Outcome.ERRORED}
    node = replace(node, passed=report.passed)
    nodes = [replace(one, passed=one.passed and one.name not in wrong) for one in [node, *others]]
    return Judged(nodes, found)


def _under(name: str, other: str) -> str:
    """Return the name of a node that another one spoke for."""
    return f"{name} {other}" if other else name


def _said(name: str, report: Report) -> Iterator[TestResult]:
    if not report.results or (report.inconclusive and not _shows_why(report)):
        yield _verdict(name, report)
    yield from (replace(one, node=_under(name, one.node)) for one in report.results)


def _releases(nodes: Sequence[Node], expectation: Expectation) -> Iterator[TestResult]:
    """Yield what is wrong with the releases of ``nodes``, of which the first one answered."""
    speaker, *others = nodes
    # One that speaks for others may run nothing itself.
    asked = [speaker, *others] if speaker.release or not others else others
    for node in asked:
        if expectation.release not in ("", node.release) and not node.problem:
            yield _errored(RELEASE, node.name, _wrong_release(node.release, expectation.release))


def _shows_why(report: Report) -> bool:
    return any(result.cut_off for result in report.results)


def _wrong_release(found: str, expected: str) -> str:
    if not found:
        return (
            f"The node does not tell its release, and {expected!r} is expected. A"
            " caller without credentials is not told, and a site may have none. Send a"
            " token, and set SMOKETEST_RELEASE there."
        )
    return (
        f"The node runs the release {found!r}, and {expected!r} is expected. It was"
        " not deployed to, or an older process still answers. Deploy to it, or wait until it"
        " was restarted."
    )


def _verdict(name: str, report: Report) -> TestResult:
    """Return what says why a report has its verdict, where none of its tests does."""
    if report.passed:
        return TestResult(id=VERDICT, node=name, outcome=Outcome.PASSED)
    why = " ".join(remarks(report)) if report.detail is Detail.DETAILS else ""
    message = "The node says FAIL, and names no test that failed. " + (
        why or "A caller without credentials may be told no more. Send a token."
    )
    # Where a node could not tell, nothing was found to be wrong with it.
    outcome = Outcome.SKIPPED if why else Outcome.FAILED
    return TestResult(id=VERDICT, node=name, outcome=outcome, message=message)


def _of_the_fleet(
    answers: Sequence[Answer], nodes: Sequence[Node], expectation: Expectation
) -> Iterator[TestResult]:
    running = _running(nodes)
    if len(running) > 1 and not expectation.release:
        yield replace(_errored(RELEASE, "", _different(running)), optional=True)
    number = sum(answer.report is not None for answer in answers)
    if number < expectation.number:
        yield _errored(ANSWER, "", _too_few("answered", number, expectation.number))
    elif len(answers) < (must := expectation.at_least or 0):
        yield _errored(ANSWER, "", _too_few("could pass", len(answers), must))


def _too_few(what: str, number: int, expected: int) -> str:
    return (
        f"{counted(number, 'node')} {what}, and {counted(expected, 'node')} must. Some were not"
        " asked, or gave no report. Look whether all were started, and all addresses given."
    )


def _running(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Return the names of the nodes that run each release, as far as they tell it."""
    running: dict[str, list[str]] = {}
    for node in nodes:
        if node.release:
            running.setdefault(node.release, []).append(node.name)
    return running


def _common_release(nodes: Sequence[Node]) -> str:
    """Return the release of all that answered; nothing where they differ, or one is silent."""
    releases = {node.release for node in nodes if not node.problem}
    return releases.pop() if len(releases) == 1 else ""


def _different(running: dict[str, list[str]]) -> str:
    by_size = sorted(running.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [f"{release}: {names(nodes)}" for release, nodes in by_size]
    what = (
        f"The nodes run {len(running)} different releases. A deploy is under way, or did"
        " not reach all of them. Wait until it is over, or deploy to the rest."
    )
    return "\n".join((what, *lines))


def _errored(about: str, node: str, message: str) -> TestResult:
    return TestResult(id=about, node=node, outcome=Outcome.ERRORED, message=message)


def _dated(result: TestResult, started_at: datetime) -> TestResult:
    """Return ``result``, of the time at which the nodes were asked where it has none."""
    return replace(result, started_at=started_at) if result.id in NOT_TESTS else result


def _enough(judged: Sequence[Judged], expectation: Expectation) -> bool:
    """Whether so many nodes passed that the others do not matter."""
    if expectation.at_least is None:
        return False
    return sum(one.passed for one in judged) >= expectation.at_least


def _spare(one: Judged) -> Judged:
    """Return what was judged, as a warning where it is a failure."""
    if one.passed:
        return one
    nodes = [node if node.passed else replace(node, optional=True) for node in one.nodes]
    return Judged(nodes, [replace(result, optional=True) for result in one.results])
