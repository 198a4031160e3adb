"""The nodes of a fleet as parts of the page: which differ, a table of them, and the matrix.

A fleet may have a thousand nodes, and its page is read by a person. So what is odd is
shown, and what is as it should be is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from smoketest.escaping import one_line, visible
from smoketest.findings import names
from smoketest.matrix import Column, Line, described, matrix, titled
from smoketest.results import Node, Report
from smoketest.spelling import counted
from smoketest.wording import provenance

MOST_NODES = 25
"""Nodes that are all in the table; of more, those that are as they should be are counted."""

MOST_ODD = 100
"""Nodes in the table where it has the odd ones only."""

SIGNS = {"passed": "✓", "failed": "✕", "errored": "!", "warned": "▲", "skipped": "–", "": "·"}
"""What stands in the matrix for a label; the word stands beside it for who cannot see."""

_STATES = {"no report": 0, "failed": 1, "no report, spared": 2, "failed, spared": 3, "passed": 4}
"""What may be said of a node, worst first."""

Names = Mapping[str, str]
"""How each node is called on the page."""

Anchors = Mapping[tuple[str, str], str]
"""The row of each test and label."""


def short_names(nodes: Sequence[Node]) -> Names:
    """Return the host of each node that is known by a URL, where that tells them apart."""
    split = [urlsplit(node.name) for node in nodes]
    hosts = [one.netloc for one in split]
    if len(set(hosts)) < len(nodes) or not all(hosts):
        return {node.name: node.name for node in nodes}
    return {node.name: host for node, host in zip(nodes, hosts, strict=True)}


def fleet(report: Report, anchors: Anchors) -> dict[str, Any]:
    """Return what ``nodes.html`` shows of ``report``, which spans nodes."""
    return {
        "size": len(report.nodes),
        "roles": any(node.role for node in report.nodes),
        "matrix": _matrix(report, anchors),
    } | _table(report)


def remarks(report: Report) -> Iterator[str]:
    """Yield the first things to know of a fleet: releases that differ, and who is absent."""
    called = short_names(report.nodes)
    running: dict[str, list[str]] = {}
    for node in report.nodes:
        if node.release:
            running.setdefault(node.release, []).append(called[node.name])
    if len(running) > 1:
        most_first = sorted(running.items(), key=lambda item: -len(item[1]))
        told = "; ".join(f"{one_line(release)} on {names(on)}" for release, on in most_first)
        yield f"{len(running)} different releases: {told}."
    if absent := [called[node.name] for node in report.nodes if node.problem]:
        yield f"No report from {counted(len(absent), 'node')}: {names(absent)}."
    if report.nodes and (earlier := provenance(report)):
        yield earlier


def _table(report: Report) -> dict[str, Any]:
    usual = Counter(node.release for node in report.nodes if node.release).most_common(1)
    release = usual[0][0] if usual else ""
    odd = [node for node in report.nodes if not node.passed or node.release != release]
    many = len(report.nodes) > MOST_NODES
    listed = odd[:MOST_ODD] if many else list(report.nodes)
    listed.sort(key=lambda node: _STATES[_state(node)])
    return {
        "nodes": [_node(node, release) for node in listed],
        "more": _more(report.nodes, odd, listed),
    }


def _more(nodes: Sequence[Node], odd: Sequence[Node], listed: Sequence[Node]) -> str:
    """Return how many nodes are not in the table, and that they are well where they are."""
    if len(listed) == len(nodes):
        return ""
    parts = []
    if len(odd) > len(listed):
        parts.append(f"{counted(len(odd) - len(listed), 'node')} that did not pass or differ")
    if len(nodes) > len(odd):
        parts.append(f"{counted(len(nodes) - len(odd), 'node')} that passed")
    return f"Not in the table: {' and '.join(parts)}. The format json has all of them."


def _state(node: Node) -> str:
    return Column([node]).state


def _node(node: Node, usual: str) -> dict[str, Any]:
    state = _state(node)
    return {
        "name": one_line(node.name),
        "host": one_line(node.host) if node.host != node.name else "",
        "role": one_line(node.role),
        "state": state,
        "label": "passed" if node.passed else "warned" if node.optional else "failed",
        "sign": SIGNS["passed" if node.passed else "failed"],
        "release": one_line(node.release),
        "differs": node.release not in ("", usual),
        "pid": node.pid or "",
        "duration": f"{node.duration:.3f} s" if node.duration else "",
        "age": f"{node.age:.1f} s old" if node.cached else "",
        "problem": visible(node.problem),
    }


def _matrix(report: Report, anchors: Anchors) -> dict[str, Any]:
    found = matrix(report)
    called = short_names(report.nodes)
    used = {label for line in found.lines for label in line.labels}
    return {
        "columns": [_column(column, called) for column in found.columns],
        "lines": [_line(line, anchors) for line in found.lines],
        "groups": [described(column) for column in found.columns if len(column.nodes) > 1],
        "signs": [(sign, label or "no result") for label, sign in SIGNS.items() if label in used],
        "more": _not_shown(found.more_nodes, found.more_lines),
    }


def _not_shown(nodes: int, lines: int) -> str:
    parts = [counted(nodes, "node")] if nodes else []
    parts += [counted(lines, "test")] if lines else []
    return f"Not in the matrix: {' and '.join(parts)}." if parts else ""


def _column(column: Column, called: Names) -> str:
    number = len(column.nodes)
    return one_line(called[column.nodes[0].name]) if number == 1 else f"{number} nodes"


def _line(line: Line, anchors: Anchors) -> dict[str, Any]:
    alone = line.ids[0] if len(line.ids) == 1 else ""
    cells = [
        (label or "none", label or "no result", SIGNS[label], anchors.get((alone, label), ""))
        for label in line.labels
    ]
    owner, dot, name = titled(line).rpartition(".")
    return {"owner": owner + dot, "name": name, "cells": cells}
