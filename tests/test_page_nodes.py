"""The page of a fleet: what differs comes first, what is alike is counted."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

from smoketest.fleet import Answer, Expectation, merge
from smoketest.page.markup import MOST_NAMES
from smoketest.page.rows import rows
from smoketest.renderers.html import HTMLRenderer
from smoketest.results import Outcome, Report
from tests.reports import HOSTILE, report, result
from tests.test_renderers_html import Page, shown

CLASS = "module1.smoke.DemoTest"


def answer(name: str, *bad: str, release: str = "r2", said: str = "no folder") -> Answer:
    """A node on which the tests ``bad`` of three fail."""
    every = (
        result(one, Outcome.FAILED, message=said, file="smoke.py", line=7)
        if one in bad
        else result(one)
        for one in ("test_a", "test_b", "test_c")
    )
    return Answer(node=name, role="web", report=report(*every, release=release, pid=7, node=name))


def page(*answers: Answer, **values: Any) -> str:
    return shown(HTMLRenderer().render(merge(answers, **values)))


def text(html: str) -> str:
    """What a reader reads, with one space between words."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split()).replace(" ,", ",")


def element(html: str, tag: str, attribute: str) -> str:
    """The inside of the first ``tag`` that has ``attribute``; none of its kind is inside."""
    found = re.search(rf"(?s)<{tag}[^>]*{re.escape(attribute)}[^>]*>(.*?)</{tag}>", html)
    assert found, attribute
    return found[1]


def table(html: str, name: str) -> list[list[str]]:
    """The cells of a table, as a reader reads them."""
    lines = element(html, "table", f'class="{name}"').split("<tr")[1:]
    return [
        [text(cell) for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", line)]
        for line in lines
    ]


def test_the_first_lines_name_releases_that_differ_and_nodes_that_are_absent() -> None:
    nodes = [answer("web-1"), answer("web-2"), answer("web-3", release="r1")]
    silent = Answer(node="web-4", problem="It did not answer.")
    html = page(*nodes, silent, expectation=Expectation(nodes=["web-9"]))
    first = text(element(html, "header", "class="))
    assert "2 different releases: r2 on web-1, web-2; r1 on web-3." in first
    assert "No report from 2 nodes: web-4, web-9." in first
    assert "Nodes 3 of 5 passed" in first


def test_nothing_is_said_of_releases_and_absence_where_all_is_well() -> None:
    first = text(element(page(answer("web-1"), answer("web-2")), "header", "class="))
    assert "Nodes 2 of 2 passed" in first
    assert "release" not in first
    assert "No report" not in first


def test_an_answer_from_a_cache_is_named() -> None:
    one = answer("web-1")
    assert one.report
    kept = replace(one, report=one.report.as_cached(7.5))
    first = text(element(page(kept, answer("web-2")), "header", "class="))
    assert "7.5 s before: web-1." in first


def test_the_table_has_each_node_with_what_is_known_of_it_worst_first() -> None:
    silent = Answer(node="web-3", role="web", problem="It did not answer.")
    html = page(answer("web-1"), answer("web-2", "test_a", release="r1"), answer("web-4"), silent)
    took = "3.300 s"
    assert table(html, "nodes") == [
        ["Node", "Role", "Verdict", "Release", "Process", "Took"],
        ["web-3", "web", "✕ no report", "", "", ""],
        ["It did not answer."],
        ["web-2", "web", "✕ failed", "r1 differs", "7", took],
        ["web-1", "web", "✓ passed", "r2", "7", took],
        ["web-4", "web", "✓ passed", "r2", "7", took],
    ]


def test_a_failure_on_many_nodes_is_one_entry_with_their_names() -> None:
    names = [f"web-{number}" for number in range(50)]
    html = page(*(answer(name, "test_a") for name in names), answer("well"))
    section = element(html, "section", 'id="show=failed"')
    assert section.count('<li class="test failed"') == 1
    assert "on 50 of 51 nodes" in text(section)
    assert f"On 50 nodes: {', '.join(names)}" in text(section)
    assert section.count("no folder") == 1


def test_what_nodes_say_differently_of_one_failure_stands_in_one_entry() -> None:
    said = [answer(f"web-{number}", "test_a", said=f"said {number}") for number in range(7)]
    section = text(element(page(*said), "section", 'id="show=failed"'))
    assert "On web-0 said 0" in section
    assert "On web-4 said 4" in section
    assert "said 5" not in section
    assert "Something else again on 2 nodes: web-5, web-6" in section


def test_names_without_end_are_counted() -> None:
    names = [f"n{number}" for number in range(MOST_NAMES + 5)]
    section = text(element(page(*(answer(n, "test_a") for n in names)), "section", "show=failed"))
    assert f"n{MOST_NAMES - 1} and 5 more" in section
    assert f"n{MOST_NAMES}" not in section


def test_the_matrix_shows_what_became_of_each_test_where_in_signs_and_in_words() -> None:
    html = page(answer("web-1"), answer("web-2", "test_a"), answer("web-3"))
    assert table(html, "matrix") == [
        ["Test", "2 nodes", "web-2"],
        [f"{CLASS}. test_a", "✓ passed", "✕ failed"],
        ["2 tests", "✓ passed", "✓ passed"],
    ]
    assert "2 nodes, passed, release r2, web: web-1, web-3" in text(html)
    anchor = f"{CLASS}.test_a"
    assert f'<a href="#{anchor}"' in element(html, "table", 'class="matrix"')
    failed = element(html, "section", 'id="show=failed"')
    assert f'id="{anchor}"' in failed


def test_every_id_is_there_once_though_a_test_has_a_result_on_each_node() -> None:
    html = page(answer("web-1"), answer("web-2", "test_a"), answer("web-3", "test_a", "test_b"))
    read = Page(html)
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {f"{CLASS}.test_a", f"{CLASS}.test_a~2"} <= set(ids)


def test_a_thousand_nodes_do_not_make_the_page_long() -> None:
    good = [answer(f"web-{number}") for number in range(995)]
    bad = [answer(f"bad-{number}", "test_a") for number in range(5)]
    html = page(*good, *bad)
    nodes, matrix = table(html, "nodes"), table(html, "matrix")
    assert [line[0] for line in nodes] == ["Node", *(f"bad-{number}" for number in range(5))]
    assert "Not in the table: 995 nodes that passed." in text(html)
    assert matrix[0] == ["Test", "995 nodes", "5 nodes"]
    assert len(html) < 10 * len(page(answer("web-1"), answer("web-2", "test_a")))


def test_a_thousand_nodes_that_all_fail_in_their_own_way_do_not_either() -> None:
    answers = [answer(f"n{n}", "test_a", release=f"r{n}", said=f"said {n}") for n in range(1000)]
    html = page(*answers)
    assert len(table(html, "nodes")) == 101
    assert "900 nodes that did not pass or differ" in text(html)
    assert len(table(html, "matrix")[0]) == 21
    assert "Not in the matrix: 980 nodes." in text(html)


def test_a_page_of_a_fleet_offers_no_run_of_this_process_alone() -> None:
    assert "data-still" in page(answer("web-1"))
    assert "data-still" not in shown(HTMLRenderer().render(report(result("a"))))


def test_what_is_said_of_nodes_needs_no_command_line() -> None:
    html = page(answer("web-1"), Answer(node="web-2", problem="It did not answer."))
    assert "manage.py" not in html
    assert "manage.py smoketest" in page(answer("web-1", "test_a"))


def test_a_hostile_fleet_stays_one_well_formed_page() -> None:
    bad = answer(HOSTILE, "test_a", release=HOSTILE, said=HOSTILE)
    silent = Answer(node=f"{HOSTILE}2", role=HOSTILE, problem=HOSTILE)
    html = page(answer("web-1"), bad, silent)
    assert Page(html).open == []
    assert "<b>|#" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_who_may_not_see_nodes_sees_none() -> None:
    from smoketest.access import trim
    from smoketest.results import Detail

    fleet = merge([answer("secret-1"), answer("secret-2", "test_a", said="secret-3")])
    for detail in (Detail.SUMMARY, Detail.VERDICT):
        assert "secret" not in HTMLRenderer().render(trim(fleet, detail))


def test_the_row_of_a_test_has_its_longest_time() -> None:
    one = replace(result("test_a", duration=1.0), node="web-1")
    fleet = merge([answer("web-1"), answer("web-2")])
    results = (one, replace(one, node="web-2", duration=3.0))
    (row,) = rows(Report.from_results(results, selected=2, nodes=fleet.nodes))
    assert (row.seconds, row.width, row.nodes) == (3.0, "100.0%", ["web-1", "web-2"])


def test_nodes_known_by_a_url_are_called_by_their_host_where_that_tells_them_apart() -> None:
    apart = [answer("https://web-1:8000/smoketest/"), answer("https://web-2/smoketest/", "test_a")]
    html = page(*apart)
    assert table(html, "matrix")[0] == ["Test", "web-1:8000", "web-2"]
    assert "On web-2" in text(element(html, "section", 'id="show=failed"'))
    assert table(html, "nodes")[1][0] == "https://web-2/smoketest/"
    alike = page(answer("https://web/a/"), answer("https://web/b/", "test_a"))
    assert table(alike, "matrix")[0] == ["Test", "https://web/a/", "https://web/b/"]
