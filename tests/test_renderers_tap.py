"""``tap``: read by the parser of tap.py, and by the letter of TAP 14 where that is coarser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tap.parser import Parser  # type: ignore[import-untyped]

from smoketest.results import Outcome, Report
from tests.reports import EVERYTHING, HOSTILE, NOTHING, rendered, report, result


def lines(subject: Report, category: str) -> list[Any]:
    return [line for line in parsed(subject) if line.category == category]


def parsed(subject: Report) -> list[Any]:
    return list(Parser().parse_text(rendered("tap", subject)))


def points(subject: Report) -> list[Any]:
    return lines(subject, "test")


def fails(subject: Report) -> bool:
    """Whether a harness takes the stream for a failure."""
    (plan,) = lines(subject, "plan")
    found = points(subject)
    numbers = [point.number for point in found]
    return (
        numbers != list(range(1, plan.expected_tests + 1))
        or plan.expected_tests == 0
        or any(not point.ok and not point.todo for point in found)
    )


@pytest.mark.parametrize("subject", [EVERYTHING, NOTHING, report(result("test_a"))])
def test_every_line_is_one_that_the_parser_knows(subject: Report) -> None:
    text = rendered("tap", subject)
    assert text.startswith("TAP version 14\n1..")
    assert text.count("\n1..") == 1
    assert lines(subject, "unknown") == []
    assert lines(subject, "bail") == []


WARNED = result("test_w", Outcome.FAILED, optional=True, message="meh")


@pytest.mark.parametrize(
    "subject",
    [
        report(result("test_a")),
        report(result("test_a"), WARNED),
        report(result("test_a"), result("test_b", Outcome.SKIPPED)),
        report(result("test_a"), result("test_b", Outcome.FAILED)),
        report(result("test_a"), result("test_b", Outcome.ERRORED)),
        report(result("test_a"), selected=2),
        report(result("test_a"), interrupted=True),
        report(result("test_b", Outcome.SKIPPED)),
        NOTHING,
        EVERYTHING,
    ],
)
def test_a_harness_fails_exactly_when_the_run_does(subject: Report) -> None:
    assert fails(subject) is not subject.passed


def test_outcomes_are_points_and_directives() -> None:
    found = points(
        report(
            result("test_a"),
            result("test_b", Outcome.FAILED, message="1 != 2"),
            WARNED,
            result("test_d", Outcome.ERRORED, optional=True),
            result("test_e", Outcome.SKIPPED, message="no #1 here"),
            result("test_f", Outcome.SKIPPED),
        )
    )
    assert [(point.ok, point.directive.text) for point in found] == [
        (True, ""),
        (False, ""),
        (False, "TODO optional: meh"),
        (False, "TODO optional"),
        (True, "SKIP no \\#1 here"),
        (True, "SKIP"),
    ]
    assert [point.todo for point in found] == [False, False, True, True, False, False]
    assert [point.skip for point in found] == [False, False, False, False, True, True]


def test_the_block_below_a_point_says_why() -> None:
    (point,) = points(
        report(
            result(
                "test_a",
                Outcome.ERRORED,
                message="\x1b[31mred\x1b[0m\nmore 😀",
                traceback="Trace\n",
                file="shop/smoke.py",
                line=3,
                runbook="https://wiki.example",
                timed_out=True,
                retried=True,
            )
        )
    )
    assert point.yaml_block == {
        "duration_ms": 250.0,
        "severity": "error",
        "message": "red\nmore 😀",
        "traceback": "Trace",
        "at": {"file": "shop/smoke.py", "line": 3},
        "runbook": "https://wiki.example",
        "timed_out": True,
        "retried": True,
    }


def test_no_message_can_end_its_block_or_forge_a_point() -> None:
    bad = result(HOSTILE, Outcome.ERRORED, message=HOSTILE, traceback=HOSTILE, file=HOSTILE)
    (point,) = points(report(bad))
    assert not point.ok
    assert not point.skip
    assert "not ok 99" in point.yaml_block["message"]


def test_number_signs_and_backslashes_of_a_description_are_escaped() -> None:
    text = rendered("tap", report(result("test_#1\\\n")))
    (line,) = re.findall(r"^ok 1 - (.*)$", text, re.MULTILINE)
    # By TAP 14, the two escapes are undone from left to right.
    unescaped = re.sub(r"\\([\\#])", r"\1", line)
    assert unescaped == "module1.smoke.DemoTest.test_#1\\\\n"
    assert " # " not in line


def test_a_run_that_failed_without_a_failure_has_a_point_that_says_why() -> None:
    (point,) = points(NOTHING)
    assert (point.ok, point.description) == (False, "- smoketest")
    assert "No test was found or selected" in point.yaml_block["message"]
