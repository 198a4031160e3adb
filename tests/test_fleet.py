"""Many reports, one verdict: what makes a fleet pass, and what it says where it does not."""

from __future__ import annotations

from typing import Any

import pytest

from smoketest.fleet import ANSWER, RELEASE, VERDICT, Answer, Expectation, merge
from smoketest.results import Detail, Outcome, Report, TestResult

TEST = "shop.smoke.ShopTest.test_stock"


def report(outcome: str = "passed", **values: Any) -> Report:
    result = TestResult(id=TEST, outcome=Outcome(outcome))
    return Report.from_results([result], selected=1, **values)


def nothing_ran(**values: Any) -> Report:
    return Report.from_results([], selected=0, **values)


def answer(name: str, **values: Any) -> Answer:
    return Answer(node=name, **{"report": report(), **values})


def refusing(name: str) -> Answer:
    return Answer(node=name, problem="Connection refused.")


def labels(merged: Report) -> list[tuple[str, str, str]]:
    return [(result.node, result.id, result.label) for result in merged.results]


def test_a_fleet_passes_when_every_node_does() -> None:
    merged = merge([answer("a"), answer("b")], duration=1.5, deadline=25.0)

    assert merged.passed
    assert merged.duration == 1.5
    assert labels(merged) == [("a", TEST, "passed"), ("b", TEST, "passed")]
    assert [(node.name, node.passed) for node in merged.nodes] == [("a", True), ("b", True)]


def test_one_failing_node_fails_the_fleet() -> None:
    merged = merge([answer("a"), answer("b", report=report("failed"))])

    assert merged.exit_status == 1
    assert [node.passed for node in merged.nodes] == [True, False]
    assert labels(merged)[1] == ("b", TEST, "failed")


def test_a_node_says_what_its_report_said_of_it() -> None:
    facts: dict[str, Any] = {"node": "web-1", "release": "r1", "pid": 7, "duration": 0.5}
    merged = merge([answer("http://a/", role="web", report=report(**facts).as_cached(3.0))])

    (node,) = merged.nodes
    assert (node.name, node.role, node.host, node.release) == ("http://a/", "web", "web-1", "r1")
    assert (node.pid, node.duration, node.cached, node.age) == (7, 0.5, True, 3.0)


def test_a_node_counts_as_what_it_was_asked_as_else_as_what_it_says() -> None:
    told = report(role="worker")
    merged = merge([answer("a", report=told), answer("b", report=told, role="web")])

    assert [node.role for node in merged.nodes] == ["worker", "web"]


def test_a_node_that_does_not_answer_is_errored_with_the_reason() -> None:
    merged = merge([answer("a"), refusing("b")])

    assert merged.exit_status == 1
    assert labels(merged)[1] == ("b", ANSWER, "errored")
    assert merged.results[1].message == "Connection refused."
    assert merged.nodes[1].problem == "Connection refused."


def test_an_expected_node_that_is_absent_is_errored_and_named() -> None:
    merged = merge([answer("a")], Expectation(nodes=["a", "b"]))

    assert merged.exit_status == 1
    assert labels(merged)[1] == ("b", ANSWER, "errored")
    assert "The node is absent" in merged.results[1].message


def test_expected_nodes_that_are_there_change_nothing() -> None:
    assert merge([answer("a")], Expectation(nodes=["a"], number=1)).passed


def test_too_few_answers_fail_the_fleet() -> None:
    merged = merge([answer("a"), refusing("b")], Expectation(number=2, at_least=1))

    assert merged.exit_status == 1
    assert labels(merged)[0] == ("", ANSWER, "errored")
    assert "1 node answered, and 2 nodes must" in merged.results[0].message


def test_enough_passing_nodes_make_warnings_of_the_others() -> None:
    nodes = [answer("a"), answer("b", report=report("failed")), refusing("c")]
    merged = merge(nodes, Expectation(at_least=1))

    assert merged.passed
    assert labels(merged)[1:] == [("b", TEST, "warned"), ("c", ANSWER, "warned")]
    assert [node.optional for node in merged.nodes] == [False, True, True]


def test_too_few_passing_nodes_fail_the_fleet() -> None:
    nodes = [answer("a"), answer("b", report=report("failed"))]

    assert not merge(nodes, Expectation(at_least=2)).passed


def test_a_node_on_another_release_than_the_expected_one_fails() -> None:
    nodes = [answer("a", report=report(release="r1")), answer("b", report=report(release="r2"))]
    merged = merge(nodes, Expectation(release="r2"))

    assert merged.exit_status == 1
    assert labels(merged)[0] == ("a", RELEASE, "errored")
    assert "runs the release 'r1', and 'r2' is expected" in merged.results[0].message
    assert [node.passed for node in merged.nodes] == [False, True]


def test_a_node_that_does_not_tell_its_release_fails_where_one_is_expected() -> None:
    merged = merge([answer("a")], Expectation(release="r2"))

    assert merged.exit_status == 1
    assert "does not tell its release" in merged.results[0].message


def test_releases_that_differ_are_a_warning_and_stand_first() -> None:
    nodes = [answer("a", report=report(release="r1"))]
    nodes += [answer(name, report=report(release="r2")) for name in "bc"]
    merged = merge(nodes)

    assert merged.passed
    assert labels(merged)[0] == ("", RELEASE, "warned")
    assert merged.results[0].message.splitlines()[1:] == ["r2: b, c", "r1: a"]


def test_equal_releases_are_not_worth_a_word() -> None:
    assert len(merge([answer("a", report=report(release="r1"))]).results) == 1


@pytest.mark.parametrize(("passed", "label"), [(True, "passed"), (False, "failed")])
def test_a_report_of_the_verdict_alone_stands_for_its_tests(passed: bool, label: str) -> None:
    merged = merge([answer("a", report=Report(passed=passed, detail=Detail.VERDICT))])

    assert labels(merged) == [("a", VERDICT, label)]
    assert merged.passed is passed


def test_a_fleet_in_which_nothing_ran_could_not_tell() -> None:
    merged = merge([answer("a", report=nothing_ran())])

    assert merged.exit_status == 3
    assert "No test was found" in merged.results[0].message


def test_a_node_on_which_nothing_ran_keeps_the_fleet_from_passing() -> None:
    merged = merge([answer("a"), answer("b", report=nothing_ran())])

    assert not merged.passed
    assert labels(merged)[1] == ("b", VERDICT, "skipped")


def test_an_interrupted_node_says_so() -> None:
    cut = Report.from_results(report().results, selected=3, interrupted=True)
    merged = merge([answer("a", report=cut)])

    assert not merged.passed
    assert "interrupted" in merged.results[0].message
    assert merged.results[0].outcome is Outcome.SKIPPED


def test_a_fleet_of_nobody_is_no_pass() -> None:
    assert merge([]).exit_status == 3


@pytest.mark.parametrize("number", [0, -1])
def test_a_fleet_of_which_no_node_must_pass_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"at_least is {number}, and .* Give 1 or more"):
        Expectation(at_least=number)


def test_more_nodes_must_pass_than_there_are() -> None:
    merged = merge([answer("a"), answer("b")], Expectation(at_least=3))

    assert merged.exit_status == 1
    assert "2 nodes could pass, and 3 nodes must" in merged.results[0].message


def test_an_expected_node_may_be_known_by_its_host_name() -> None:
    asked = answer("http://10.0.0.1/", report=report(node="web-1"))

    assert merge([asked], Expectation(nodes=["web-1", "web-1"])).passed


def test_two_nodes_of_one_name_are_told_apart() -> None:
    merged = merge([answer("a"), answer("a", report=report("failed")), answer("a")])

    assert [(node.name, node.passed) for node in merged.nodes] == [
        *(("a", True), ("a (2)", False), ("a (3)", True)),
    ]
    of_second = [result.label for result in merged.results if result.node == "a (2)"]
    assert of_second == ["failed"]


@pytest.mark.parametrize(("releases", "common"), [("xx", "x"), ("xy", ""), ("x-", "")])
def test_the_release_of_the_fleet_is_that_of_all_who_answered(releases: str, common: str) -> None:
    told = [report(release=one.strip("-")) for one in releases]
    answers = [answer(str(number), report=one) for number, one in enumerate(told)]

    assert merge([*answers, refusing("c")]).release == common


def test_the_names_of_many_nodes_on_one_release_are_counted() -> None:
    nodes = [answer(str(number), report=report(release="r1")) for number in range(1000)]
    nodes += [answer("z", report=report(release="r2"))]

    assert merge(nodes).results[0].message.splitlines()[1:] == [
        *("r1: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 990 more", "r2: z"),
    ]


WORKERS = merge(
    [answer("w1", report=report(release="r1")), answer("w2", report=report("failed"))],
    Expectation(number=3),
)


def test_a_node_that_speaks_for_others_brings_them_along() -> None:
    merged = merge([answer("web", report=WORKERS), answer("other")])

    assert merged.exit_status == 1
    assert [(node.name, node.passed) for node in merged.nodes] == [
        *(("web", False), ("web w1", True), ("web w2", False), ("other", True)),
    ]
    assert labels(merged) == [
        ("web", ANSWER, "errored"),
        ("web w1", TEST, "passed"),
        ("web w2", TEST, "failed"),
        ("other", TEST, "passed"),
    ]


def test_nodes_that_were_spoken_for_are_spared_with_the_one_that_spoke() -> None:
    merged = merge([answer("web", report=WORKERS), answer("other")], Expectation(at_least=1))

    assert merged.passed
    assert [node.optional for node in merged.nodes] == [True, False, True, False]


def test_a_node_that_was_spoken_for_is_held_to_the_expected_release() -> None:
    merged = merge([answer("web", report=WORKERS)], Expectation(release="r2"))

    wrong = [result.node for result in merged.results if result.id == RELEASE]
    assert wrong == ["web w1", "web w2"]
