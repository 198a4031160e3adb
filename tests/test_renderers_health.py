"""``health``: what draft-inadarei-api-health-check-06 asks of a response."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from smoketest.results import Outcome, Report
from tests.reports import EVERYTHING, NOTHING, rendered, report, result


def health(subject: Report) -> dict[str, Any]:
    """The object, after a look at its shape."""
    data: dict[str, Any] = json.loads(rendered("health", subject))
    assert set(data) <= {"status", "releaseId", "description", "notes", "output", "checks"}
    assert data["status"] in ("pass", "warn", "fail")
    for key, nodes in data.get("checks", {}).items():
        assert re.fullmatch(r"[^:]+:responseTime", key)
        assert isinstance(nodes, list)
        for node in nodes:
            assert node["componentType"] == "component"
            assert node.get("status", "pass") in ("pass", "warn", "fail")
            assert datetime.fromisoformat(node["time"]).tzinfo
    return data


WARNED = result("test_b", Outcome.FAILED, optional=True, message="meh")


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        (report(result("test_a")), "pass"),
        (report(result("test_a"), WARNED), "warn"),
        (report(result("test_a"), WARNED, result("test_c", Outcome.FAILED)), "fail"),
        (report(result("test_a"), selected=2), "fail"),
        (NOTHING, "fail"),
        (EVERYTHING, "fail"),
    ],
)
def test_the_status_is_that_of_the_run(subject: Report, status: str) -> None:
    assert health(subject)["status"] == status


def test_each_test_is_a_check_with_its_own_status() -> None:
    checks = health(
        report(
            result("test_a"),
            result("test_b", Outcome.FAILED),
            result("test_c", Outcome.ERRORED),
            result("test_d", Outcome.ERRORED, optional=True),
            result("test_e", Outcome.SKIPPED),
        )
    )["checks"]
    assert [nodes[0].get("status") for nodes in checks.values()] == [
        *("pass", "fail", "fail", "warn"),
        None,  # the draft has no word for it
    ]


def test_output_is_left_out_of_what_passed_and_says_why_elsewhere() -> None:
    failed = result("test_b", Outcome.FAILED, message="1 != 2", traceback="Trace", runbook="u://r")
    data = health(report(result("test_a", runbook="u://r"), failed))
    good, bad = (nodes[0] for nodes in data["checks"].values())
    assert data["output"] == "1 of 2 tests failed"
    assert "output" not in good
    assert "links" not in good
    assert bad["output"] == "1 != 2\nTrace\nRunbook: u://r"
    assert bad["links"] == {"help": "u://r"}
    assert "output" not in health(report(result("test_a")))


def test_a_colon_in_an_id_does_not_end_the_name_of_the_component() -> None:
    named = result("", id="shop.smoke:Test.test_a:b")
    assert list(health(report(named))["checks"]) == ["shop.smoke.Test.test_a.b:responseTime"]


def test_ids_that_only_differ_in_a_colon_share_a_key_and_none_is_lost() -> None:
    two = report(result("", id="a:b"), result("", Outcome.FAILED, id="a.b"))
    ((first, second),) = health(two)["checks"].values()
    assert (first["status"], second["status"]) == ("pass", "fail")


def test_what_any_message_says_stays_inside_its_string() -> None:
    text = rendered("health", EVERYTHING)
    assert text.isascii()
    assert text.count("\n") == 1
    assert len(health(EVERYTHING)["checks"]) == len(EVERYTHING.results)


def test_a_run_of_nothing_has_no_checks_and_a_note_on_what_to_do() -> None:
    data = health(NOTHING)
    assert "checks" not in data
    assert data["output"] == "no test ran"
    assert "No test was found or selected" in data["notes"][0]
