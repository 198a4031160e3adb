"""A fleet in each format: read as its standard has it, with the verdict of the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.management.color import no_style
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from smoketest import renderers
from smoketest.access import trim
from smoketest.fleet import ANSWER, RELEASE, Answer, Expectation, merge
from smoketest.renderers.github import GitHubRenderer
from smoketest.renderers.nagios import NagiosRenderer
from smoketest.renderers.ndjson import NDJSONRenderer
from smoketest.results import Detail, Outcome, Report
from smoketest.terminal import report_lines, result_line
from tests.reports import (
    FAILING,
    FLEET,
    HOSTILE,
    OLD,
    PASSING,
    REFUSING,
    SPARED,
    STARTED,
    rendered,
    report,
    result,
)
from tests.test_renderers_github import run_by_runner
from tests.test_renderers_junit import SCHEMA
from tests.test_renderers_nagios import first_line
from tests.test_renderers_tap import fails, points

parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families  # has no types

STOCK = "module1.smoke.DemoTest.test_stock"
MARKDOWN = MarkdownIt().enable("table")

HOSTILE_FLEET = merge(
    [
        Answer(node=HOSTILE, role=HOSTILE, report=report(result("test_a"), release=HOSTILE)),
        Answer(node="b", report=report(result("test_a", Outcome.FAILED), release="r1")),
        Answer(node=f"{HOSTILE}2", problem=HOSTILE),
    ],
    started_at=STARTED,
)
"""Names and releases of nodes come from elsewhere, and may say anything."""


def terminal(subject: Report, **values: Any) -> list[str]:
    return list(report_lines(subject, no_style(), **values))


def test_the_documentation_shows_a_fleet_as_it_is_written() -> None:
    page = Path(__file__).parent.parent / "docs" / "reference" / "formats.md"
    assert f"```text\n{rendered('text', FLEET)}```" in page.read_text("utf-8")


# -- text, and the terminal


def test_text_begins_as_ever_and_counts_the_nodes_below_the_time() -> None:
    lines = rendered("text", FLEET).splitlines()
    assert lines[0] == "FAIL"
    assert [line.partition(":")[0] for line in lines[1:11]] == [
        *("test classes", "tests run", "tests passed", "tests failed", "tests errored"),
        *("tests warned", "tests skipped", "time", "nodes", "nodes passed"),
    ]
    assert lines[9:11] == ["nodes: 6", "nodes passed: 3"]


def test_text_names_the_nodes_of_a_failure_on_its_line() -> None:
    text = rendered("text", FLEET)
    assert f"\n{STOCK} failed on web-3: 0 != 1\n" in text
    assert f"\n{ANSWER} errored on web-5: Connection refused.\n" in text
    assert "\nmodule1.smoke.DemoTest.test_mail skipped on 4 of 6 nodes: no key\n" in text


def test_no_node_can_look_like_a_line_of_the_text() -> None:
    lines = rendered("text", HOSTILE_FLEET).splitlines()
    assert [line for line in lines if line.startswith(("PASS", "FAIL", "tests run"))] == [
        *("FAIL", "tests run: 4"),
    ]
    assert all(line.isprintable() for line in lines)


def test_a_person_reads_releases_first_then_missing_nodes_then_failures() -> None:
    lines = terminal(FLEET)
    titles = [line for line in lines if line.startswith(("warned", "errored", "failed"))]
    assert titles == [
        f"warned: {RELEASE}",
        f"errored: {ANSWER} on web-5",
        f"errored: {ANSWER} on web-6",
        f"failed: {STOCK} on web-3",
    ]
    assert "Ran 3 tests on 6 nodes in 1.500 s: 2 passed, 1 failed, 1 skipped." in lines


def test_the_line_to_run_again_names_tests_only() -> None:
    lines = terminal(FLEET, program="check", option="--test=")
    assert lines[-1] == f"    check --test={STOCK}"
    assert "again" not in "".join(terminal(merge([REFUSING])))


def test_a_line_for_each_test_names_its_node() -> None:
    (failed,) = FLEET.labelled("failed")
    assert result_line(failed, no_style()) == f"test_stock ({STOCK}) on web-3 ... FAIL"


def test_the_slowest_tests_are_named_with_their_nodes() -> None:
    assert "     0.250 s  module1.smoke.DemoTest.test_stock on web-1" in terminal(
        FLEET, durations=1
    )


# -- for programs


def test_json_has_the_nodes_and_where_each_test_ran() -> None:
    data = json.loads(rendered("json", FLEET))
    assert [one["name"] for one in data["nodes"]] == [f"web-{n}" for n in range(1, 7)]
    assert [one["passed"] for one in data["nodes"]] == [True, True, False, True, False, False]
    ran = Counter(one.get("node", "") for one in data["results"])
    assert [ran[name] for name in ("", "web-1", "web-4", "web-5", "web-6")] == [1, 4, 4, 1, 1]
    assert Report.from_dict(FLEET.to_dict()) == FLEET


def test_a_stream_ends_with_what_is_said_of_the_fleet_as_a_whole() -> None:
    lines = [json.loads(line) for line in rendered("ndjson", FLEET).splitlines()]
    assert [(line.get("node"), line.get("id")) for line in lines[-3:-1]] == [
        *(("web-6", ANSWER), (None, RELEASE)),
    ]
    assert len(lines[-1]["nodes"]) == 6
    ndjson = NDJSONRenderer()
    streamed = "".join(ndjson.render_result(one) for one in FLEET.results if one.node)
    assert streamed + ndjson.render_end(FLEET) == ndjson.render(FLEET)


def test_a_check_of_health_has_an_element_for_each_node() -> None:
    checks = json.loads(rendered("health", FLEET))["checks"]
    stock = checks[f"{STOCK}:responseTime"]
    assert [(one["componentId"], one["node"], one["status"]) for one in stock] == [
        *(("web-1", "web-1", "pass"), ("web-2", "web-2", "pass")),
        *(("web-3", "web-3", "fail"), ("web-4", "web-4", "pass")),
    ]
    absent = checks[f"{ANSWER}:responseTime"][1]
    assert (absent["componentId"], absent["status"]) == ("web-6", "fail")
    assert "absent" in absent["output"]


@pytest.mark.parametrize("subject", [FLEET, SPARED, HOSTILE_FLEET])
def test_junit_has_a_suite_for_each_node_and_none_of_a_name_twice(subject: Report) -> None:
    SCHEMA.validate(rendered("junit", subject))
    suites = ET.fromstring(rendered("junit", subject).encode())
    names = [suite.get("name") for suite in suites]
    assert len(names) == len(set(names))


def test_a_suite_of_junit_has_the_host_and_the_facts_of_its_node() -> None:
    suites = ET.fromstring(rendered("junit", FLEET).encode())
    assert [suite.get("hostname") for suite in suites] == [
        None,  # of the fleet as a whole
        *(f"web-{number}" for number in range(1, 7)),
    ]
    old = suites[4]
    facts = {one.get("name"): one.get("value") for one in old.iterfind("properties/property")}
    assert facts == {"node": "web-4", "role": "web", "release": "r1", "pid": "7"}
    assert old.get("name") == "module1.smoke.DemoTest[web-4]"
    assert next(old.iterfind("testcase")).get("name") == "test_stock[web-4]"


def test_each_point_of_tap_names_its_node() -> None:
    found = points(FLEET)
    descriptions = {point.description: point for point in found}
    assert len(descriptions) == len(found) == len(FLEET.results)
    failed = descriptions[f"- {STOCK} on web-3"]
    assert not failed.ok
    assert failed.yaml_block["node"] == "web-3"


# -- metrics


def samples(text: str, parse: Callable[[str], Any]) -> dict[tuple[str, frozenset[Any]], float]:
    """Every sample; two of the same name and labels are refused, as a scrape refuses them."""
    every = [one for family in parse(text) for one in family.samples]
    found = {(one.name, frozenset(one.labels.items())): one.value for one in every}
    assert len(found) == len(every)
    return found


def metrics(subject: Report) -> dict[tuple[str, frozenset[Any]], float]:
    openmetrics = rendered("prometheus", subject, "application/openmetrics-text")
    found = samples(rendered("prometheus", subject), parse_text)
    assert samples(openmetrics, parse_openmetrics) == found
    return found


def value(subject: Report, name: str, **labels: str) -> float | None:
    return metrics(subject).get((f"smoketest_{name}", frozenset(labels.items())))


def test_metrics_have_the_node_as_a_label() -> None:
    labels = {"test": STOCK, "required": "true"}
    assert value(FLEET, "test_success", node="web-3", **labels) == 0
    assert value(FLEET, "test_success", node="web-4", **labels) == 1
    assert value(FLEET, "test_nodes", test=STOCK, status="passed") == 3
    assert value(FLEET, "test_nodes", test=STOCK, status="failed") == 1
    assert value(FLEET, "node_success", node="web-3") == 0
    assert value(FLEET, "node_answered", node="web-3") == 1
    assert value(FLEET, "node_answered", node="web-6") == 0
    facts = {"node": "web-4", "host": "web-4", "release": "r1", "role": "web"}
    assert value(FLEET, "node_info", **facts) == 1


def test_of_many_results_only_those_that_did_not_pass_have_samples_of_their_own() -> None:
    every = [result(f"test_{number}") for number in range(11)]
    nodes = [Answer(node=str(number), report=report(*every)) for number in range(100)]
    large = merge([*nodes, FAILING])
    ran = [dict(labels) for name, labels in metrics(large) if name == "smoketest_test_success"]
    assert [labels["test"] for labels in ran] == [STOCK]
    assert value(large, "test_nodes", test=every[0].id, status="passed") == 100


def test_a_test_that_is_there_twice_has_its_worse_samples_only() -> None:
    twice = report(result("test_a"), result("test_a", Outcome.FAILED), result("test_a"))
    name = "module1.smoke.DemoTest.test_a"
    assert value(twice, "test_success", test=name, required="true") == 0


# -- Nagios


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        (merge(PASSING), 0),
        (merge([*PASSING, OLD]), 1),
        (SPARED, 1),
        (merge([*PASSING, FAILING]), 2),
        (merge([*PASSING, REFUSING]), 2),
        (merge([*PASSING, Answer(node="x", report=report())]), 3),
    ],
)
def test_a_fleet_is_one_service(subject: Report, status: int) -> None:
    assert NagiosRenderer().exit_status(subject) == status
    state, _, perfdata = first_line(subject)
    assert state == ("OK", "WARNING", "CRITICAL", "UNKNOWN")[status]
    assert perfdata["nodes"] == str(len(subject.nodes))
    assert perfdata["nodes_passed"] == str(sum(node.passed for node in subject.nodes))


def test_the_long_output_has_a_line_for_nodes_that_went_the_same_way() -> None:
    lines = rendered("nagios", FLEET).splitlines()
    assert f"[CRITICAL] {STOCK} on web-3: 0 != 1 - https://wiki.example/stock" in lines
    assert "[OK] 2 nodes, passed, release r2, web: web-1, web-2" in lines
    assert "[CRITICAL] web-6: no report" in lines
    assert "[WARNING] web-3: failed, spared, release r2, web" in rendered("nagios", SPARED)


def test_the_first_line_names_tests_only() -> None:
    assert f"1 skipped ({STOCK}) | " in rendered("nagios", FLEET).splitlines()[0]


# -- GitHub


def test_an_annotation_names_the_nodes_and_stands_for_all_of_them() -> None:
    many = [Answer(node=f"n{n}", report=report(result("test_a", Outcome.FAILED))) for n in range(9)]
    (only,) = run_by_runner(rendered("github", merge([*many, *PASSING])))
    assert only.properties["title"] == "module1.smoke.DemoTest.test_a on 9 of 11 nodes"
    assert only.message.endswith("Nodes: n0, n1, n2, n3, n4, n5, n6, n7, n8")


def table_cells(summary: str) -> list[list[str]]:
    """The rows of all tables, as a reader of GitHub's Markdown takes them."""
    rows: list[list[str]] = []
    for token in MARKDOWN.parse(summary):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and token.level >= 4:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_the_summary_has_the_matrix_as_a_table() -> None:
    rows = table_cells(GitHubRenderer().summary(FLEET))
    assert ["1", "2 nodes, passed, release r2, web: web-1, web-2"] in rows
    assert [STOCK, "✅", "❌ failed", "✅", "", ""] in rows
    assert ["test", "1", "2", "3", "4", "5"] in rows


def test_no_node_is_markdown_in_the_summary() -> None:
    markup = "[a](https://evil.example) | ![](x) `*b*` <img src=x> |"
    nodes = [Answer(node=f"{markup}{n}", role=markup, problem=markup) for n in range(3)]
    tokens = MARKDOWN.parse(GitHubRenderer().summary(merge(nodes)))
    kinds = {t.type for token in tokens for t in [token, *(token.children or [])]}
    assert kinds & {"image", "link_open", "em_open", "html_inline"} == set()
    assert "<img" not in "".join(token.content for token in tokens if token.type == "html_block")


def test_no_node_that_is_named_in_a_sentence_is_markdown_in_the_summary() -> None:
    markup = "http://web-1/<img src=x>![](https://evil.example/x.png)*a*"
    silent = Answer(node=markup, report=report())
    earlier = Answer(node=f"{markup}2", report=report(result("test_a")).as_cached(3.0))
    summary = GitHubRenderer().summary(merge([silent, earlier]))
    assert "did not pass: http" in summary
    assert "had ended up to 3.0 s before: http" in summary
    tokens = MARKDOWN.parse(summary)
    kinds = {t.type for token in tokens for t in [token, *(token.children or [])]}
    assert kinds & {"image", "em_open", "html_inline"} == set()
    assert "<img" not in "".join(t.content for t in tokens if t.type == "html_block")


def test_the_summary_of_a_large_fleet_is_one_that_github_shows() -> None:
    long = "ж" * 10_000
    nodes = [
        Answer(
            node=f"{n}{long}",
            report=report(
                *(result(f"test_{t}", Outcome.FAILED, message=f"{n}{long}") for t in range(9))
            ),
        )
        for n in range(60)
    ]
    assert len(GitHubRenderer().summary(merge(nodes)).encode()) < 1024 * 1024


# -- what all of them have in common

words = st.sampled_from(["a", "b", "web-1", HOSTILE, "x\ny", ""])
tests = st.builds(
    result,
    st.sampled_from(["test_a", "test_b", "test_c"]),
    st.sampled_from(Outcome),
    optional=st.booleans(),
    cut_off=st.booleans(),
    retried=st.booleans(),
    message=words,
)
reports = st.builds(
    lambda found, missing, interrupted, values: Report.from_results(
        found, selected=len(found) + missing, interrupted=interrupted, started_at=STARTED, **values
    ),
    st.lists(tests, max_size=3, unique_by=lambda one: one.id),
    st.sampled_from([0, 0, 1]),
    st.sampled_from([False, False, True]),
    st.fixed_dictionaries({"release": words, "node": words}),
)
verdicts = st.builds(lambda passed: Report(passed=passed, detail=Detail.VERDICT), st.booleans())
# tap.py ends a description at an escaped number sign, and misses the TODO behind it.
named = words.filter(bool).map(lambda name: name.replace("#", ""))
answers = st.builds(
    lambda name, told, problem: Answer(node=name, report=told, problem="" if told else problem),
    st.text("abc/:.[]()é", min_size=1, max_size=5) | named,
    st.none() | reports | verdicts,
    words.filter(bool),
)
expectations = st.builds(
    Expectation,
    at_least=st.none() | st.integers(1, 3),
    nodes=st.lists(named, max_size=2),
    number=st.integers(0, 3),
    release=words,
)
fleets = st.builds(
    lambda asked, expected: merge(asked, expected, started_at=STARTED, duration=1.5, deadline=25.0),
    st.lists(answers, min_size=1, max_size=5),
    expectations,
)
nested = st.builds(
    lambda inner, other: merge([Answer(node="outer", report=inner), other], started_at=STARTED),
    fleets,
    answers,
)


def junit_passes(subject: Report) -> bool:
    text = rendered("junit", subject)
    if subject.detail is not Detail.SUMMARY:  # which has a test for each node, and no nodes
        SCHEMA.validate(text)
    root = ET.fromstring(text.encode())
    return root.get("failures") == root.get("errors") == "0"


SHOWN: dict[str, Callable[[Report], bool]] = {
    "text": lambda one: rendered("text", one).startswith("PASS\n"),
    "json": lambda one: json.loads(rendered("json", one))["status"] == "PASS",
    "html": lambda one: "<title>PASS" in rendered("html", one),
    "health": lambda one: json.loads(rendered("health", one))["status"] != "fail",
    "prometheus": lambda one: value(one, "run_success") == 1,
    "junit": junit_passes,
    "tap": lambda one: not fails(one),
    "nagios": lambda one: first_line(one)[0] in ("OK", "WARNING"),
    "github": lambda one: rendered("github", one).startswith("PASS: "),
    "ndjson": lambda one: json.loads(rendered("ndjson", one).splitlines()[-1])["status"] == "PASS",
    "terminal": lambda one: terminal(one)[0].startswith("PASS: "),
    "summary": lambda one: GitHubRenderer().summary(one).startswith("## ✅"),
}
"""For each output whether its reader takes the report for a pass."""


def test_the_verdict_of_every_format_is_looked_at() -> None:
    assert set(SHOWN) - {"terminal", "summary"} == set(renderers.formats())


@settings(deadline=None, max_examples=50)
@given(subject=fleets | nested, detail=st.sampled_from([Detail.DETAILS, Detail.SUMMARY]))
def test_whatever_nodes_answer_each_format_shows_it_with_the_verdict_of_the_report(
    subject: Report, detail: Detail
) -> None:
    seen = trim(subject, detail)
    assert {name: passes(seen) for name, passes in SHOWN.items()} == dict.fromkeys(
        SHOWN, subject.passed
    )
    assert all(rendered(name, seen).encode() for name in renderers.formats())
