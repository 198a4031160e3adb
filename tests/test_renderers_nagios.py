"""``nagios``: read as the plugin guidelines say that a plugin's output is read."""

from __future__ import annotations

import re

import pytest

from smoketest.renderers.nagios import NagiosRenderer
from smoketest.results import Detail, Outcome, Report
from tests.reports import EVERYTHING, HOSTILE, NOTHING, rendered, report, result

NAGIOS = NagiosRenderer()
STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
METRIC = re.compile(
    r"(?P<label>[^\s='|]+)=(?P<value>-?\d+(\.\d+)?)(s|%|B|c|ms|us)?"
    r"(;(?P<warn>[\d.:~@]*)(;(?P<crit>[\d.:~@]*)(;(?P<min>[\d.]*)(;[\d.]*)?)?)?)?"
)


def first_line(subject: Report) -> tuple[str, str, dict[str, str]]:
    """State, text and perfdata of the first line."""
    line = rendered("nagios", subject).splitlines()[0]
    text, bar, perfdata = line.partition(" | ")
    assert bar
    assert "|" not in perfdata
    match = re.fullmatch(r"SMOKETEST (\w+) - (.+)", text)
    assert match
    metrics = [METRIC.fullmatch(word) for word in perfdata.split(" ")]
    assert all(metrics), perfdata
    return match[1], match[2], {m["label"]: m["value"] for m in metrics if m}


FAILED = result("test_bad", Outcome.FAILED, message="1 != 2\nmore", runbook="https://wiki.example")
WARNED = result("test_meh", Outcome.ERRORED, optional=True, message="meh")
SKIPPED = result("test_skip", Outcome.SKIPPED, message="no key")
LATE = result("test_late", Outcome.ERRORED, cut_off=True)


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        (report(result("test_a")), 0),
        (report(result("test_a"), SKIPPED), 0),
        (report(result("test_a"), WARNED), 1),
        (report(result("test_a"), FAILED), 2),
        (report(result("test_a"), FAILED, LATE), 2),
        (report(result("test_a"), result("test_b", Outcome.ERRORED, timed_out=True)), 2),
        (report(result("test_a"), LATE), 3),
        (report(result("test_a"), selected=2), 3),
        (report(result("test_a"), interrupted=True), 3),
        (report(SKIPPED), 3),
        (NOTHING, 3),
        (EVERYTHING, 2),
    ],
)
def test_state_and_exit_status_say_the_same(subject: Report, status: int) -> None:
    assert NAGIOS.exit_status(subject) == status
    assert first_line(subject)[0] == STATES[status]


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 2)])
def test_the_verdict_alone_is_ok_or_critical(passed: bool, status: int) -> None:
    verdict = Report(passed=passed, detail=Detail.VERDICT)
    assert NAGIOS.exit_status(verdict) == status
    assert NAGIOS.render(verdict) == f"SMOKETEST {STATES[status]}\n"


def test_the_first_line_names_what_failed_and_the_release() -> None:
    subject = report(result("test_a"), FAILED, SKIPPED, release="9f1c2ab", deadline=25.0)
    assert rendered("nagios", subject).splitlines() == [
        (
            "SMOKETEST CRITICAL - 1 of 2 tests failed, 1 skipped"
            " (module1.smoke.DemoTest.test_bad), release 9f1c2ab"
            " | time=3.300079s;;25.000;0 tests=2;;;0 passed=1;;;0 failed=1;;0;0"
            " errored=0;;0;0 warned=0;0;;0 skipped=1;;;0"
        ),
        "[CRITICAL] module1.smoke.DemoTest.test_bad: 1 != 2 - https://wiki.example",
        "[OK] module1.smoke.DemoTest.test_skip (skipped): no key",
    ]


def test_only_some_of_many_failures_are_named_in_the_first_line() -> None:
    many = report(*(result(f"test_{n}", Outcome.FAILED) for n in range(5)))
    assert first_line(many)[1].endswith("DemoTest.test_2, and 2 more)")


def test_perfdata_has_the_counts_and_plain_decimals() -> None:
    perfdata = first_line(report(result("test_a"), duration=1e-7).as_cached(2e-5))[2]
    assert perfdata["time"] == "0.000000"
    assert perfdata["age"] == "0.000"
    everything = first_line(EVERYTHING)[2]
    counted = ("passed", "failed", "errored", "warned", "skipped")
    assert [everything[word] for word in counted] == ["3", "3", "5", "2", "2"]


def test_nothing_that_is_said_can_be_taken_for_perfdata_or_another_line() -> None:
    bad = result(
        "test|a=1",
        Outcome.FAILED,
        message="disk | free=0%;;;\n[OK] x",
        runbook="https://wiki.example/|a",
    )
    text = rendered("nagios", report(bad, release="1|2\n[OK] y"))
    first, *more = text.splitlines()
    assert first.count("|") == 1
    assert more == [
        "[CRITICAL] module1.smoke.DemoTest.test¦a=1: disk ¦ free=0%;;; - https://wiki.example/¦a"
    ]


def test_long_output_ends_within_what_is_read_and_says_what_is_missing() -> None:
    many = [result(f"test_{n}", Outcome.ERRORED, message="ж" * 1000) for n in range(100)]
    text = rendered("nagios", report(*many, release="é" * 5000))
    assert len(text.encode()) <= 4096
    state, _, perfdata = first_line(report(*many, release="é" * 5000))
    assert (state, perfdata["errored"]) == ("CRITICAL", "100")
    shown = len(text.splitlines()) - 2
    assert text.splitlines()[-1] == f"… and {100 - shown} more"


def test_every_line_can_be_shown() -> None:
    text = rendered("nagios", report(result(HOSTILE, Outcome.ERRORED, message=HOSTILE)))
    assert all(line.isprintable() for line in text.split("\n"))
