"""What the logger ``smoketest`` is told."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from smoketest.log import log_report
from smoketest.results import Node, Outcome, Report, TestResult


def logged(caplog: pytest.LogCaptureFixture, *results: TestResult) -> list[tuple[str, int, str]]:
    with caplog.at_level(logging.INFO, "smoketest"):
        log_report(Report.from_results(results, selected=len(results), duration=1.5))
    return caplog.record_tuples


def test_a_run_that_passes_is_one_info(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, TestResult(id="a.T.b", outcome=Outcome.PASSED)) == [
        (
            "smoketest",
            logging.INFO,
            "PASS: 1 passed, 0 failed, 0 errored, 0 warned, 0 skipped in 1.500 s",
        )
    ]


def test_each_test_that_did_not_pass_is_a_warning_with_message_and_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = logged(
        caplog,
        TestResult(id="a.T.bad", outcome=Outcome.FAILED, message="1 != 2", traceback="Trace\n"),
        TestResult(id="a.T.worse", outcome=Outcome.ERRORED, message="boom"),
        TestResult(id="a.T.extra", outcome=Outcome.FAILED, optional=True, message="meh"),
        TestResult(id="a.T.later", outcome=Outcome.SKIPPED, message="not now"),
    )
    assert [(level, message) for _, level, message in records] == [
        (logging.WARNING, "a.T.bad failed: 1 != 2\nTrace"),
        (logging.WARNING, "a.T.worse errored: boom"),
        (logging.WARNING, "a.T.extra warned: meh"),
        (
            logging.INFO,
            "FAIL: 0 passed, 1 failed, 1 errored, 1 warned, 1 skipped in 1.500 s",
        ),
    ]


def test_a_failure_on_many_nodes_is_one_warning_that_names_or_counts_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = TestResult(id="a.T.bad", outcome=Outcome.FAILED, message="1 != 2")
    nodes = tuple(Node(name=f"web-{number}") for number in range(9))
    results = [replace(bad, node=node.name) for node in nodes[:7]]
    results.append(replace(bad, id="a.T.worse", node="web-8"))
    report = Report.from_results(results, selected=len(results), nodes=nodes, duration=1.5)
    with caplog.at_level(logging.INFO, "smoketest"):
        log_report(report)
    assert [record.getMessage() for record in caplog.records] == [
        "a.T.bad failed on 7 of 9 nodes: 1 != 2",
        "a.T.worse failed on web-8: 1 != 2",
        "FAIL: 2 of 2 tests failed, on 8 of 9 nodes in 1.500 s",
    ]


def test_what_no_stream_can_carry_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    result = TestResult(id="a.T.\ud800", outcome=Outcome.FAILED, message="\x1b[31m\ud800")
    (_, _, message), _ = logged(caplog, result)
    assert message == "a.T.\\ud800 failed: \\x1b[31m\\ud800"
