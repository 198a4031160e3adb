"""Many reports, one verdict: what every node of a fleet answered becomes one report.

What can only be said of a node, or of the fleet, stands in the report as a result of its
own, beside those of the tests. So every format shows it, and none has to judge:

- ``smoketest.fleet.answer`` errors where a node gave no report, or an expected one is absent
- ``smoketest.fleet.release`` errors where a node runs another release than the expected one,
  and warns where none was expected and they differ
- ``smoketest.fleet.verdict`` says why a node did or did not pass, where no test there does
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .results import Node, Outcome, Report, TestResult
from .wording import counted, remarks

ANSWER = "smoketest.fleet.answer"
RELEASE = "smoketest.fleet.release"
VERDICT = "smoketest.fleet.verdict"
NOT_TESTS = frozenset({ANSWER, RELEASE, VERDICT})
"""Ids of results that no test has, so none can be run again by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from one node: its report, or why there is none."""

    node: str
    """What the asker knows it by; unique in the fleet."""
    role: str = ""
    report: Report | None = None
    problem: str = ""
    """Why there is no report, in a sentence or more: what happened, why, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a fleet must be to pass, besides that its tests do."""

    at_least: int | None = None
    """How many nodes must pass; ``None`` is all of them, and those that fail beyond
    that number are warnings."""
    nodes: Collection[str] = ()
    """Names of nodes that must be there."""
    number: int = 0
    """How many nodes must answer."""
    release: str = ""
    """The release that every node must run; empty is any, but the same on all."""


ANYTHING = Expectation()

Judged = tuple[Node, list[TestResult]]
"""A node, and all results that it has."""


def merge(answers: Iterable[Answer], expectation: Expectation = ANYTHING, **values: Any) -> Report:
    """Return the report of the fleet; ``values`` are further fields of :class:`Report`.

    Its results are what is to be said of the fleet as a whole, then those of each node in
    the order of ``answers``; absent nodes come last.
    """
    answers = list(answers)
    answers += list(_absent(answers, expectation))
    judged = [_judge(answer, expectation) for answer in answers]
    if _enough(judged, expectation):
        judged = [_spare(node, found) for node, found in judged]
    results = list(_of_the_fleet(answers, expectation))
    for _, found in judged:
        results += found
    # Whether tests of a node are missing was judged there.
    return Report.from_results(
        results, selected=len(results), nodes=tuple(node for node, _ in judged), **values
    )


def _absent(answers: Sequence[Answer], expectation: Expectation) -> Iterator[Answer]:
    present = {answer.node for answer in answers}
    for name in expectation.nodes:
        if name not in present:
            yield Answer(
                node=name,
                problem=f"The node {name!r} is absent: it is one of the expected nodes, and"
                " nothing came from it. Start it, or take it off the list of expected nodes.",
            )


def _judge(answer: Answer, expectation: Expectation) -> Judged:
    """Return the node as it answered, and all results that it has."""
    report = answer.report
    node = Node(name=answer.node, role=answer.role, problem=answer.problem)
    if report is None:
        return node, [_errored(ANSWER, answer.node, answer.problem)]
    found = [*_of_the_node(answer.node, report, expectation)]
    right = all(one.outcome is not Outcome.ERRORED for one in found if one.id == RELEASE)
    node = replace(
        node,
        passed=report.passed and right,
        host=report.node,
        release=report.release,
        pid=report.pid,
        duration=report.duration,
        cached=report.cached,
        age=report.age,
    )
    return node, found


def _of_the_node(name: str, report: Report, expectation: Expectation) -> Iterator[TestResult]:
    if expectation.release and report.release != expectation.release:
        yield _errored(RELEASE, name, _wrong_release(name, report.release, expectation.release))
    if not report.results or (report.inconclusive and not _shows_why(report)):
        yield _verdict(name, report)
    yield from (replace(result, node=name) for result in report.results)


def _shows_why(report: Report) -> bool:
    return any(result.cut_off for result in report.results)


def _wrong_release(name: str, found: str, expected: str) -> str:
    if not found:
        return (
            f"The node {name!r} does not tell its release, and {expected!r} is expected. A"
            " caller without credentials is not told, and a site may have none. Send a"
            " token, and set SMOKETEST_RELEASE there."
        )
    return (
        f"The node {name!r} runs the release {found!r}, and {expected!r} is expected. It was"
        " not deployed to, or an older process still answers. Deploy to it, or wait until it"
        " was restarted."
    )


def _verdict(name: str, report: Report) -> TestResult:
    """Return what says why a report has its verdict, where none of its tests does."""
    if report.passed:
        return TestResult(id=VERDICT, node=name, outcome=Outcome.PASSED)
    why = " ".join(remarks(report)) if report.detail is report.detail.DETAILS else ""
    message = f"The node {name!r} says FAIL, and names no test that failed. " + (
        why or "A caller without credentials may be told no more. Send a token."
    )
    # Where a node could not tell, nothing was found to be wrong with it.
    outcome = Outcome.SKIPPED if why else Outcome.FAILED
    return TestResult(id=VERDICT, node=name, outcome=outcome, message=message)


def _of_the_fleet(answers: Sequence[Answer], expectation: Expectation) -> Iterator[TestResult]:
    reports = [answer.report for answer in answers if answer.report is not None]
    releases = {report.release for report in reports if report.release}
    if len(releases) > 1 and not expectation.release:
        yield replace(_errored(RELEASE, "", _different(answers)), optional=True)
    if len(reports) < expectation.number:
        yield _errored(
            ANSWER,
            "",
            f"{counted(len(reports), 'node')} answered, and"
            f" {counted(expectation.number, 'node')} must. Some were not asked, or gave no"
            " report. Look whether all were started, and all addresses given.",
        )


def _different(answers: Sequence[Answer]) -> str:
    running: dict[str, list[str]] = {}
    for answer in answers:
        if answer.report is not None and answer.report.release:
            running.setdefault(answer.report.release, []).append(answer.node)
    lines = [
        f"{release}: {', '.join(names)}"
        for release, names in sorted(running.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    what = (
        f"The nodes run {len(running)} different releases. A deploy is under way, or did"
        " not reach all of them. Wait until it is over, or deploy to the rest."
    )
    return "\n".join((what, *lines))


def _errored(about: str, node: str, message: str) -> TestResult:
    return TestResult(id=about, node=node, outcome=Outcome.ERRORED, message=message)


def _enough(judged: Sequence[Judged], expectation: Expectation) -> bool:
    """Whether so many nodes passed that the others do not matter."""
    if expectation.at_least is None:
        return False
    return sum(node.passed for node, _ in judged) >= expectation.at_least


def _spare(node: Node, found: list[TestResult]) -> Judged:
    """Return what was judged, as a warning where it is a failure."""
    if node.passed:
        return node, found
    return replace(node, optional=True), [replace(result, optional=True) for result in found]
