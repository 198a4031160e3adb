"""What the gate believes of an answer, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoketest import renderers
from smoketest.access import trim
from smoketest.gate.reading import NoReport, Received, WrongSelection, report
from smoketest.results import Detail, Outcome, Report
from tests.reports import EVERYTHING, in_json
from tests.scripted import report as made

OLD = {
    "status": "PASS",
    "test_classes": 1,
    "tests_run": 8,
    "tests_passed": 8,
    "tests_failed": 0,
    "tests_errored": 0,
    "time": 330.07,
    "failed_tests": [],
    "errored_tests": [],
}
"""What 1.x says."""


def received(body: Any, status: int = 200, **values: Any) -> Received:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Received(status=status, body=data, **values)


def rendered(subject: Report) -> Received:
    body = renderers.get("json").render(subject).encode()
    return received(body, 200 if subject.passed else 500)


def refused(body: Any, status: int = 200, **values: Any) -> str:
    with pytest.raises(NoReport) as caught:
        report(received(body, status, **values))
    return str(caught.value)


def test_a_report_is_read_as_it_was_written() -> None:
    found = report(rendered(EVERYTHING))
    assert found.results == in_json(EVERYTHING.results)
    assert (found.counts, found.passed) == (EVERYTHING.counts, EVERYTHING.passed)
    names = ("started_at", "duration", "release", "node", "pid", "cached", "age", "exit_status")
    assert [getattr(found, name) for name in names] == [getattr(EVERYTHING, name) for name in names]


def test_a_summary_is_read() -> None:
    found = report(rendered(trim(EVERYTHING, Detail.SUMMARY)))
    assert found.ids("failed") == EVERYTHING.ids("failed")
    assert found.counts == EVERYTHING.counts


@pytest.mark.parametrize("passed", [True, False])
def test_a_verdict_alone_is_read(passed: bool) -> None:
    found = report(rendered(Report(passed=passed, detail=Detail.VERDICT)))
    assert (found.passed, found.detail, found.results) == (passed, Detail.VERDICT, ())


def test_a_pass_of_1_x_is_read() -> None:
    found = report(received(OLD))
    assert (found.passed, found.counts.run) == (True, 8)
    assert found.duration == pytest.approx(0.33007)


def test_a_failure_of_1_x_names_its_tests() -> None:
    old = OLD | {"status": "FAIL", "tests_passed": 6, "tests_failed": 1, "tests_errored": 1}
    old |= {"failed_tests": ["a.smoke.T.test_x failed"], "errored_tests": ["a.smoke.T.test_y"]}
    found = report(received(old, 500))
    assert not found.passed
    assert [(one.id, one.outcome, one.message) for one in found.results] == [
        ("a.smoke.T.test_x", Outcome.FAILED, "a.smoke.T.test_x failed"),
        ("a.smoke.T.test_y", Outcome.ERRORED, "a.smoke.T.test_y"),
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tests_failed": 1}, "1 test failed or errored"),
        ({"tests_errored": 2}, "2 tests failed or errored"),
        ({"failed_tests": ["a.smoke.T.test_x"]}, "it names tests that failed"),
        ({"tests_run": 0, "tests_passed": 0}, "no test ran"),
        ({"tests_run": 9}, "it counts 9 tests that ran, and 8 that passed"),
        ({"results": []}, "its counts are not those of its results"),
        (
            {"results": [{"id": "a", "outcome": "errored"}]},
            "it names tests that failed; its counts are not those of its results",
        ),
        (
            {
                "tests_run": 1,
                "tests_passed": 1,
                "errored_tests": ["b"],
                "results": [{"id": "a", "outcome": "passed"}],
            },
            "it names tests that failed",
        ),
    ],
)
def test_a_pass_that_contradicts_itself_is_none(changes: dict[str, Any], why: str) -> None:
    assert f"says PASS and contradicts itself: {why}." in refused(OLD | changes)


@pytest.mark.parametrize("status", [201, 302, 403, 500, 503])
@pytest.mark.parametrize("body", [OLD, {"status": "PASS"}])
def test_a_pass_with_another_status_than_200_is_none(body: dict[str, Any], status: int) -> None:
    assert f"its HTTP status is {status}" in refused(body, status)


def test_a_pass_that_a_cache_has_kept_is_none() -> None:
    said = refused(OLD, age=90.0)
    assert "answered by a cache on the way, with what the node said 90 s before" in said
    assert report(received(OLD, age=0.0)).passed


def test_a_failure_with_status_200_stays_one() -> None:
    body = renderers.get("json").render(made("test_write")).encode()
    assert report(received(body, 200)).ids("failed") == ["shop.smoke.Catalogue.test_write"]


@pytest.mark.parametrize(
    "changes",
    [
        {"tests_run": "8"},
        {"tests_passed": -1},
        {"tests_passed": 8.0},
        {"tests_passed": True},
        {"tests_passed": 10**30},
        {"time": [1]},
        {"time": 1e300},
        {"failed_tests": "a.smoke.T.test_x"},
        {"errored_tests": [1]},
        {"release": 5},
        {"cached": "yes"},
        {"started_at": "yesterday"},
        {"results": {}},
        {"results": [1]},
        {"results": [{"id": "a"}]},
        {"results": [{"outcome": "passed"}]},
        {"results": [{"id": "a", "outcome": "fine"}]},
        {"results": [{"id": "a", "outcome": "passed", "tags": "x"}]},
        {"results": [{"id": "a", "outcome": "passed", "optional": 1}]},
        {"results": [{"id": "a", "outcome": "passed", "duration": "1"}]},
    ],
)
def test_a_value_of_another_type_is_no_report(changes: dict[str, Any]) -> None:
    assert "sent something like a report, but " in refused(OLD | changes)


def test_a_status_and_something_else_is_no_report() -> None:
    assert "but has no 'tests_run'" in refused({"status": "PASS", "database": "up"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PASS\n",
        b"<!doctype html><title>Shop</title>",
        b'{"status": "PA',
        b'{"status": "PASS"',
        b'{"status": "pass"}',
        b'["PASS"]',
        b"null",
        b"[" * 200_000,
        b'{"status": "PASS", "time": NaN}',
        b'{"status": "PASS", "time": Infinity}',
        b"\xff\xfe\x00",
        b'{"status": "PASS", "time": ' + b"9" * 5000 + b"}",
    ],
)
def test_garbage_is_no_report(body: bytes) -> None:
    assert "with something else than a report" in refused(body)


def test_an_excerpt_is_one_harmless_line() -> None:
    said = refused(b"<h1>\x1b[31mGone\n\n  away</h1>" + b"x" * 500, 502, media_type="text/html")
    assert "status 502" in said
    assert r"(text/html: <h1>\x1b[31mGone away</h1>xxx" in said
    assert "x" * 110 not in said
    assert "Wait for it with --wait" in said


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "Send a token"), (403, "Send a token"), (404, "often /smoketest/"), (200, "Correct")],
)
def test_what_is_no_report_has_a_remedy_for_its_status(status: int, remedy: str) -> None:
    assert remedy in refused(b"no", status)


def test_a_refused_selection_is_said_in_the_words_of_the_node() -> None:
    with pytest.raises(WrongSelection, match=r"^Unknown tag 'databse'"):
        report(received({"status": "FAIL", "error": "Unknown tag 'databse': none."}, 400))


def test_refused_credentials_are_said_to_be() -> None:
    said = refused({"status": "FAIL", "error": "The bearer token is not one."}, 403)
    assert said == (
        "The node refuses the credentials, or the lack of them (status 403):"
        " The bearer token is not one."
    )


def test_every_text_is_cleansed() -> None:
    subject = made("test_secret", release="secret", node="secret")
    data = json.loads(renderers.get("json").render(subject))
    data["results"][0] |= {"tags": ["secret"], "traceback": "secret", "runbook": "secret"}
    data["results"][0] |= {"file": "secret", "description": "a secret"}
    found = report(received(data, 500), lambda text: text.replace("secret", "***"))
    assert "secret" not in repr(found)
    assert "***" in repr(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*OLD, "results", "release", "cached", "age"]), JSON))
def test_whatever_stands_in_a_report_it_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = report(received(OLD | changes))
    except NoReport:
        return
    assert isinstance(found, Report)
    assert found.passed == (changes.get("status", "PASS") == "PASS")


@given(st.binary(max_size=200))
def test_bytes_are_no_report(body: bytes) -> None:
    assert refused(body)
