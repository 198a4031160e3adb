"""JUnit XML, as Jenkins, GitLab and the report actions of GitHub read it.

There is no standard. What each of them reads is on the reference page of the formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from smoketest.escaping import one_line
from smoketest.results import Counts, Detail, Node, Report, TestResult
from smoketest.wording import explanation, reason, remarks

_KINDS = {"failed": "failure", "errored": "error", "skipped": "skipped", "warned": "skipped"}


class JUnitRenderer:
    """``junit``: a test suite for each class, a test case for each test.

    The failure of an optional test is a ``skipped`` whose message begins with
    ``warning:``, as pytest writes its expected failures. A ``failure`` would make the
    build unstable in Jenkins, the test red in a merge request of GitLab and the check
    red at GitHub; a pass with a note would show the note in none of the three.

    All that says why stands in the element's text too, for GitLab reads no
    ``message``. ``file`` and ``line`` are kept, which GitLab and GitHub link to.
    That a test was run again is a property and a line of ``system-out``: the elements
    ``rerunFailure`` and ``flakyFailure`` are for what happened the first time, which
    a report does not have.

    In the report of a fleet each node has suites of its own, with its ``hostname``. The
    names of suites and cases end with that of the node, as pytest writes parameters:
    Jenkins merges suites of one name, and GitLab drops the second case of one name. Where
    the nodes have no names, because the reader may not see them, cases have numbers.
    """

    format: ClassVar[str] = "junit"
    media_type: ClassVar[str] = "application/xml"
    accepts: ClassVar[tuple[str, ...]] = ("text/xml",)
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return the document; what XML 1.0 cannot carry is escaped as in Python."""
        root = _document(report)
        ET.indent(root)
        document = ET.tostring(root, encoding="unicode")
        return f'<?xml version="1.0" encoding="utf-8"?>\n{document}\n'


def _document(report: Report) -> Element:
    suites = list(_suites(report))
    totals = {name: str(sum(int(suite.get(name, 0)) for suite in suites)) for name in _NUMBERS}
    root = Element("testsuites", {"name": "smoketest", **totals})
    if report.detail is not Detail.VERDICT:
        root.set("time", _seconds(report.duration))
    root.extend(suites)
    return root


def _suites(report: Report) -> Iterator[Element]:
    if report.detail is Detail.VERDICT:
        yield _run_suite("" if report.passed else "The smoke tests failed.")
        return
    nodes = {node.name: node for node in report.nodes}
    for (name, on), results in _classes(report).items():
        yield _suite(name, results, report, nodes.get(on))
    # Why a run failed though no test did: a file without a failure is a pass to all readers.
    if why := remarks(report):
        yield _run_suite(" ".join(why))


def _classes(report: Report) -> dict[tuple[str, str], list[TestResult]]:
    """Return the results by class and node."""
    classes: dict[tuple[str, str], list[TestResult]] = {}
    for result in report.results:
        classes.setdefault((_classname(result), result.node), []).append(result)
    return classes


def _classname(result: TestResult) -> str:
    return one_line(result.class_id or result.id)


def _run_suite(error: str) -> Element:
    """Return a suite with one case, which stands for the run as a whole."""
    counts = Counts(errored=1) if error else Counts(passed=1)
    suite = Element("testsuite", {"name": "smoketest", **_numbers(counts)})
    case = SubElement(suite, "testcase", classname="smoketest", name="run", time="0")
    if error:
        SubElement(case, "error", message=error, type="errored").text = error
    return suite


def _suite(name: str, results: list[TestResult], report: Report, node: Node | None) -> Element:
    counts = _numbers(Counts.of(results))
    suite = Element("testsuite", {"name": f"{name}{_on(results[0])}", **counts})
    suite.set("time", _seconds(sum(result.duration for result in results)))
    suite.set("timestamp", min(result.started_at for result in results).isoformat())
    if host := report.node if node is None else node.host or node.name:
        suite.set("hostname", one_line(host))
    if node is None:
        _add_properties(suite, **_facts(report), shared="true" if report.shared else "")
    else:
        _add_properties(suite, node=node.name, role=node.role, **_facts(node))
    seen: Counter[str] = Counter()
    for result in results:
        seen[result.id] += 1
        suite.append(_case(result, seen[result.id]))
    return suite


def _facts(process: Report | Node) -> dict[str, str]:
    return {
        "release": process.release,
        "pid": str(process.pid or ""),
        "cached": "true" if process.cached else "",
        "age": f"{process.age:.3f}" if process.cached else "",
    }


def _on(result: TestResult) -> str:
    return f"[{one_line(result.node)}]" if result.node else ""


_NUMBERS = ("tests", "failures", "errors", "skipped")


def _numbers(counts: Counts) -> dict[str, str]:
    """Return the attributes that count elements; a warning is a ``skipped``, as below."""
    skipped = counts.skipped + counts.warned
    numbers = (counts.run + counts.skipped, counts.failed, counts.errored, skipped)
    return dict(zip(_NUMBERS, map(str, numbers), strict=True))


def _case(result: TestResult, number: int) -> Element:
    """Return the case of ``result``, which is the ``number``-th of its name in its suite."""
    name = one_line(result.id).rpartition(".")[2]
    again = f"[{number}]" if number > 1 else ""
    case = Element("testcase", classname=_classname(result), name=f"{name}{_on(result)}{again}")
    if result.file:
        case.set("file", one_line(result.file))
        case.set("line", str(result.line))
    case.set("time", _seconds(result.duration))
    case.set("timestamp", result.started_at.isoformat())
    _add_properties(
        case,
        description=result.description,
        tags=", ".join(result.tags),
        retried="true" if result.retried else "",
    )
    if result.label in _KINDS:
        case.append(_problem(result))
    if result.retried:
        SubElement(case, "system-out").text = "The test was run again; this is the second result."
    return case


def _problem(result: TestResult) -> Element:
    problem = Element(_KINDS[result.label], type=result.label)
    problem.set("message", _marked(result, reason(result)))
    problem.text = _marked(result, explanation(result))
    return problem


def _marked(result: TestResult, why: str) -> str:
    if result.label == "warned":
        return f"warning: {why or 'it failed without a message'}"
    return why or result.label


def _add_properties(element: Element, **values: str) -> None:
    known = {name: one_line(value) for name, value in values.items() if value}
    if known:
        properties = SubElement(element, "properties")
        for name, value in known.items():
            SubElement(properties, "property", name=name, value=value)


def _seconds(seconds: float) -> str:
    return f"{seconds:.6f}"
