"""``junit``: held to a schema of what its readers need, and read by junitparser."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from xmlschema import XMLSchema11

from smoketest.access import trim
from smoketest.results import Detail, Outcome, Report
from tests.reports import EVERYTHING, FLEET, HOSTILE, NOTHING, rendered, report, result

SCHEMA = XMLSchema11(str(Path(__file__).parent / "junit.xsd"))
VERDICT = Report(passed=False, detail=Detail.VERDICT)
FAILED = result("test_b", Outcome.FAILED, message="1 != 2\n- 1", traceback="Trace\n")


def cases(subject: Report) -> dict[str, Any]:
    """The cases by name, as junitparser reads them."""
    return {case.name: case for suite in parsed(subject) for case in suite}


def parsed(subject: Report) -> Any:
    return JUnitXml.fromstring(rendered("junit", subject).encode())


def element(subject: Report) -> ET.Element:
    return ET.fromstring(rendered("junit", subject).encode())


SUBJECTS = [EVERYTHING, NOTHING, VERDICT, Report(passed=True, detail=Detail.VERDICT)]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_document_is_as_its_readers_need_it(subject: Report) -> None:
    SCHEMA.validate(rendered("junit", subject))


@pytest.mark.parametrize(
    "broken",
    [
        '<testsuites name="x" tests="0" failures="0" errors="0" skipped="0"/>',
        '<testsuites name="x" tests="two" failures="0" errors="0" skipped="0"/>',
        "<testsuite/>",
    ],
)
def test_the_schema_refuses_what_a_reader_could_not_use(broken: str) -> None:
    assert not SCHEMA.is_valid(broken)


def test_the_schema_refuses_a_case_that_is_there_twice() -> None:
    twice = report(result("test_a"), result("test_b"))
    written = rendered("junit", twice).replace("test_b", "test_a")
    assert not SCHEMA.is_valid(written)


def test_a_case_that_is_there_twice_has_a_number_so_that_gitlab_drops_no_failure() -> None:
    """As in the report of a fleet for a stranger, who learns no node's name."""
    subject = trim(FLEET, Detail.SUMMARY)
    SCHEMA.validate(rendered("junit", subject))
    names = [case.name for suite in parsed(subject) for case in suite]
    assert len(set(names)) == len(names) == len(FLEET.results)
    assert {"test_stock", "test_stock[2]", "test_stock[3]"} < set(names)


def test_outcomes_are_elements_and_a_warning_fails_no_pipeline() -> None:
    found = cases(
        report(
            result("test_a"),
            FAILED,
            result("test_c", Outcome.ERRORED),
            result("test_d", Outcome.FAILED, optional=True, message="meh"),
            result("test_e", Outcome.ERRORED, optional=True),
            result("test_f", Outcome.SKIPPED, message="no key"),
        )
    )
    kinds = {name: [type(one) for one in case.result] for name, case in found.items()}
    assert kinds == {
        "test_a": [],
        "test_b": [Failure],
        "test_c": [Error],
        "test_d": [Skipped],
        "test_e": [Skipped],
        "test_f": [Skipped],
    }
    messages = [case.result[0].message for case in found.values() if case.result]
    assert messages == [
        *("1 != 2", "errored", "warning: meh", "warning: it failed without a message"),
        "no key",
    ]


def test_the_text_has_message_and_traceback_for_who_reads_no_attribute() -> None:
    (failure,) = cases(report(FAILED))["test_b"].result
    assert failure.text == "1 != 2\n- 1\nTrace"


def test_place_time_and_host_are_where_the_readers_look() -> None:
    placed = result("test_a", file="shop/smoke.py", line=31)
    root = element(report(placed, node="web-1", release="9f1c2ab", pid=7))
    suite, case = root[0], root[0][-1]
    assert (suite.get("name"), suite.get("hostname")) == ("module1.smoke.DemoTest", "web-1")
    assert suite.get("timestamp") == case.get("timestamp") == "2026-11-22T11:00:00.250000+00:00"
    assert case.attrib | {"timestamp": ""} == {
        "classname": "module1.smoke.DemoTest",
        "name": "test_a",
        "file": "shop/smoke.py",
        "line": "31",
        "time": "0.250000",
        "timestamp": "",
    }
    properties = {one.get("name"): one.get("value") for one in suite[0]}
    assert properties == {"release": "9f1c2ab", "pid": "7"}


def test_the_numbers_are_those_of_the_elements() -> None:
    root = element(EVERYTHING)
    for holder in (root, *root):
        written = {kind: len(holder.findall(f".//{kind}")) for kind in ("failure", "error")}
        assert int(holder.get("tests", "")) == len(holder.findall(".//testcase"))
        assert int(holder.get("failures", "")) == written["failure"]
        assert int(holder.get("errors", "")) == written["error"]
        assert int(holder.get("skipped", "")) == len(holder.findall(".//skipped"))


def test_each_class_is_a_suite_even_where_others_ran_in_between() -> None:
    one, two = (result("", id=f"a.A.test_{n}") for n in (1, 2))
    other = result("", id="b.B.test_1")
    suites = list(parsed(report(one, other, two)))
    assert [(suite.name, len(list(suite))) for suite in suites] == [("a.A", 2), ("b.B", 1)]


def test_a_retried_test_says_so_to_programs_and_people() -> None:
    case = element(report(result("test_a", retried=True)))[0][-1]
    assert [one.attrib for one in case[0]] == [{"name": "retried", "value": "true"}]
    assert case.findtext("system-out") == "The test was run again; this is the second result."


def test_a_run_that_failed_without_a_failure_has_an_error_that_says_why() -> None:
    (case,) = cases(NOTHING).values()
    assert (case.classname, case.name) == ("smoketest", "run")
    assert "No test was found or selected" in case.result[0].text
    assert len(cases(report(result("test_a"), selected=3))) == 2


def test_what_xml_cannot_carry_is_escaped_and_colours_are_gone() -> None:
    (failure,) = cases(report(result("test_a", Outcome.FAILED, message=HOSTILE)))["test_a"].result
    assert failure.text.startswith("\\x00 red \\x0d\n")
    assert "\\u202e\\ud800 ж 東 <b>|#::%'\"&\\\n" in failure.text
    assert failure.text.endswith("</pre></details>]]>")


def test_an_id_without_a_class_is_its_own_class() -> None:
    (case,) = cases(report(result("", id="smoketest"))).values()
    assert (case.classname, case.name) == ("smoketest", "smoketest")
