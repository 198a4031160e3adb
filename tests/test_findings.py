"""What a report says, each thing once: a thousand nodes can be read."""

from __future__ import annotations

import pytest

from smoketest.access import trim
from smoketest.findings import findings, is_test, names, tally
from smoketest.fleet import ANSWER, RELEASE, Answer, merge
from smoketest.results import Detail, Outcome, Report
from smoketest.wording import headline, provenance, remarks, where, which
from tests.reports import FLEET, REFUSING, SPARED, report, result, said_on

BAD = ("failed", "errored", "warned")


def found(subject: Report) -> list[tuple[str, str, str]]:
    """The last part of the id, the message and the place of all that went wrong."""
    return [
        (one.result.id.rpartition(".")[2], one.result.message, where(one, subject))
        for one in findings(subject, subject.labelled(*BAD))
    ]


def test_the_same_failure_is_one_finding_with_all_its_nodes() -> None:
    subject = merge(
        [said_on("a", "1 != 2"), said_on("b", ""), said_on("c", "1 != 2"), said_on("d", "3 != 2")]
    )
    assert found(subject) == [
        ("test_0", "1 != 2", "on a, c"),
        ("test_0", "3 != 2", "on d"),
    ]


def test_where_nodes_say_many_things_the_last_finding_counts_them() -> None:
    subject = merge([said_on(str(number), f"{number} != 99") for number in range(30)])
    assert [said for _, said, _ in found(subject)] == [
        *(f"{number} != 99" for number in range(4)),
        "26 different messages, which the format json has",
    ]
    assert found(subject)[-1][2] == "on 26 of 30 nodes"


def test_what_is_said_of_nodes_stands_before_the_tests_and_releases_first() -> None:
    ids = [one.result.id for one in findings(FLEET, FLEET.labelled(*BAD))]
    assert ids == [RELEASE, ANSWER, ANSWER, "module1.smoke.DemoTest.test_stock"]


def test_in_the_report_of_one_process_each_result_is_a_finding() -> None:
    two = report(result("test_a", Outcome.FAILED), result("test_a", Outcome.FAILED))
    assert [one.nodes for one in findings(two, two.results)] == [(), ()]
    assert where(findings(two, two.results)[0], two) == ""


@pytest.mark.parametrize(
    ("hit", "nodes", "place", "listed"),
    [
        (1, 1, "on 0", ""),
        (1, 9, "on 0", ""),
        (3, 9, "on 0, 1, 2", ""),
        (3, 3, "on all 3 nodes", ""),
        (4, 9, "on 4 of 9 nodes", "Nodes: 0, 1, 2, 3"),
        (997, 1000, "on 997 of 1000 nodes", "Nodes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 987 more"),
    ],
)
def test_few_nodes_are_named_and_many_are_counted(
    hit: int, nodes: int, place: str, listed: str
) -> None:
    subject = merge(
        [said_on(str(number), "1 != 2" if number < hit else "") for number in range(nodes)]
    )
    (finding,) = findings(subject, subject.labelled("failed"))
    assert where(finding, subject) == place
    assert which(finding, subject) == listed


def test_names_are_on_one_line_whatever_they_are() -> None:
    assert names(["a\nPASS", "\x1b[2J"]) == r"a\nPASS, \x1b[2J"


def test_a_test_is_counted_once_under_the_worst_that_became_of_it() -> None:
    subject = merge([said_on("a", "", "", "1 != 2"), said_on("b", "", "3 != 4", ""), REFUSING])
    counts = tally(subject)
    assert (counts.run, counts.passed, counts.failed, counts.hit) == (3, 1, 2, 2)


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (
            merge([said_on("a", "", ""), said_on("b", "", "")]),
            "2 of 2 tests passed, on 2 of 2 nodes",
        ),
        (merge([said_on("a", ""), said_on("b", "1")]), "1 of 1 test failed, on 1 of 2 nodes"),
        (
            merge([said_on("a", ""), REFUSING]),
            "1 of 1 test passed, on 1 of 2 nodes, 1 node without",
        ),
        (SPARED, "2 of 3 tests passed, on 2 of 3 nodes, 1 warning, 1 skipped"),
        (
            FLEET,
            "2 different releases, 1 of 3 tests failed, on 1 of 6 nodes, 2 nodes without",
        ),
        (merge([REFUSING]), "0 of 1 node passed, 1 node without a report"),
        (merge([Answer(node="a", report=report())]), "0 of 1 node passed, 1 node that could not"),
    ],
)
def test_the_headline_of_a_fleet_counts_tests_and_nodes(subject: Report, words: str) -> None:
    assert headline(subject).startswith(words)


def test_a_fleet_that_could_not_tell_names_the_nodes_that_could_not() -> None:
    subject = merge([said_on("a", ""), Answer(node="b", report=report())])
    assert subject.exit_status == 3
    assert remarks(subject) == ["Nothing failed on these nodes, and they did not pass: b."]


def test_why_a_fleet_could_not_tell_is_said_to_whom_no_node_is_shown() -> None:
    trimmed = trim(merge([said_on("a", ""), Answer(node="b", report=report())]), Detail.SUMMARY)
    assert remarks(trimmed) == ["Nothing failed, and not all that was asked for came to an end."]


def test_a_run_whose_only_test_was_optional_and_cut_off_says_why_it_is_no_pass() -> None:
    cut = report(result("test_a", Outcome.ERRORED, optional=True, cut_off=True))
    assert not cut.passed
    assert remarks(cut) == ["No test ran to its end before the deadline, and that is never a pass."]


def test_a_fleet_tells_which_nodes_answered_with_an_earlier_run() -> None:
    earlier = Answer(node="b", report=report(result("test_0")).as_cached(3.0))
    said = provenance(merge([said_on("a", ""), earlier]))
    assert said == "1 node answered with the report of a run that had ended up to 3.0 s before: b."
    assert provenance(merge([said_on("a", "")])) == ""


@pytest.mark.parametrize("id", [ANSWER, RELEASE, "smoketest.verify.default"])
def test_what_no_test_has_said_cannot_be_run_again(id: str) -> None:
    assert not is_test(id)
    assert is_test("smoketest.verification.VerifyTest.test_a")
