"""Tests × nodes: what went the same way shares a column, or a line."""

from __future__ import annotations

from smoketest.fleet import merge
from smoketest.matrix import drawn, matrix
from tests.reports import FLEET, SPARED, said_on


def test_nodes_that_went_the_same_way_share_a_column() -> None:
    table = matrix(FLEET)
    assert [[node.name for node in column.nodes] for column in table.columns] == [
        *(["web-1", "web-2"], ["web-3"], ["web-4"], ["web-5"], ["web-6"]),
    ]
    assert [column.state for column in table.columns] == [
        *("passed", "failed", "passed", "no report", "no report"),
    ]


def test_a_node_that_is_spared_says_so() -> None:
    assert [column.state for column in matrix(SPARED).columns] == ["passed", "failed, spared"]


def test_tests_that_ended_alike_and_well_share_a_line() -> None:
    lines = {line.ids[0].rpartition(".")[2]: line for line in matrix(FLEET).lines}
    assert len(lines["test_prices"].ids) == 2
    assert lines["test_stock"].labels == ("passed", "failed", "passed", "", "")
    assert lines["answer"].labels == ("", "", "", "errored", "errored")


def test_a_thousand_nodes_are_drawn_in_a_few_lines() -> None:
    nodes = [said_on(str(number), *[""] * 50) for number in range(997)]
    nodes += [said_on(name, *[""] * 49, "1 != 2") for name in ("x", "y", "z")]
    assert list(drawn(merge(nodes))) == [
        "1  997 nodes, passed: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 987 more",
        "2  3 nodes, failed: x, y, z",
        "",
        "1 2",
        ". F  module1.smoke.DemoTest.test_49",
        ". .  49 tests",
        "",
        "(. passed, F failed)",
    ]


def test_nodes_that_all_went_the_same_way_are_one_line() -> None:
    assert list(drawn(merge([said_on("a", "", ""), said_on("b", "", "")]))) == [
        "2 nodes, passed: a, b"
    ]


def test_a_matrix_has_an_end_in_both_directions_and_keeps_what_is_worst() -> None:
    tests = 60
    nodes = [
        said_on(f"n{n}", *("x" if n >> bit & 1 else "" for bit in range(6))) for n in range(64)
    ]
    nodes.append(said_on("wide", *["x"] * tests))
    table = matrix(merge(nodes))
    assert len(table.columns) == 20
    assert table.more_nodes == len(nodes) - 20
    assert {column.state for column in table.columns} == {"failed"}
    assert len(table.lines) == 6  # the node with more tests has one column of many
    wide = matrix(merge(nodes[-1:]))
    assert (len(wide.lines), wide.more_lines) == (50, 10)
    two = merge([nodes[-1], said_on("short", "x")])
    assert "and 10 more lines, which the format json has" in list(drawn(two))
