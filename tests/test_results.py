"""What a report says: its verdict, its counts, its exit status, and its way through JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoketest.results import Counts, Detail, Node, Outcome, Report, TestResult, new_result

LABELS = ("passed", "failed", "errored", "warned", "skipped")

without_database = settings(database=None, deadline=None)
"""Hypothesis keeps no examples between sessions, and measures no single one."""

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
seconds = st.floats(0, 1e9, allow_nan=False)
results = st.builds(
    TestResult,
    id=st.text(),
    outcome=st.sampled_from(Outcome),
    optional=st.booleans(),
    duration=seconds,
    started_at=st.datetimes(timezones=zones),
    description=st.text(),
    tags=st.lists(st.text()).map(tuple),
    # Every code point, lone surrogates and control characters too.
    message=st.text(st.characters(codec=None)),
    traceback=st.text(),
    timed_out=st.booleans(),
    cut_off=st.booleans(),
    retried=st.booleans(),
    file=st.text(),
    line=st.integers(0),
    runbook=st.text(),
    node=st.text(),
)
nodes = st.builds(
    Node,
    name=st.text(),
    role=st.sampled_from(["", "web", "worker"]),
    passed=st.booleans(),
    optional=st.booleans(),
    problem=st.text(),
    host=st.text(),
    release=st.text(),
    pid=st.integers(0),
    duration=seconds,
    cached=st.booleans(),
    age=seconds,
)


def result(outcome: str, name: str = "test", **values: Any) -> TestResult:
    return TestResult(id=f"shop.smoke.ShopTest.{name}", outcome=Outcome(outcome), **values)


def report_of(*found: TestResult, selected: int | None = None, **values: Any) -> Report:
    return Report.from_results(
        found, selected=len(found) if selected is None else selected, **values
    )


PASSED = result("passed")
FAILED = result("failed")
ERRORED = result("errored")
SKIPPED = result("skipped")
WARNED = result("failed", optional=True)


# -- the verdict, and the exit status that goes with it


@pytest.mark.parametrize(
    ("report", "status", "exit_status"),
    [
        pytest.param(report_of(PASSED), "PASS", 0, id="one-passed"),
        pytest.param(report_of(PASSED, SKIPPED), "PASS", 0, id="one-passed-one-skipped"),
        pytest.param(report_of(PASSED, WARNED), "PASS", 0, id="an-optional-one-failed"),
        pytest.param(
            report_of(PASSED, result("errored", optional=True)), "PASS", 0, id="optional-errored"
        ),
        pytest.param(report_of(WARNED), "PASS", 0, id="only-an-optional-one-ran-and-failed"),
        pytest.param(report_of(), "FAIL", 3, id="nothing-found"),
        pytest.param(report_of(SKIPPED, SKIPPED), "FAIL", 3, id="all-skipped"),
        pytest.param(
            report_of(result("skipped", optional=True)), "FAIL", 3, id="all-skipped-and-optional"
        ),
        pytest.param(report_of(PASSED, selected=2), "FAIL", 3, id="a-result-is-missing"),
        pytest.param(report_of(PASSED, interrupted=True), "FAIL", 3, id="interrupted"),
        pytest.param(
            report_of(FAILED, selected=2, interrupted=True), "FAIL", 1, id="failed-then-interrupted"
        ),
        pytest.param(report_of(PASSED, FAILED), "FAIL", 1, id="failed"),
        pytest.param(report_of(PASSED, ERRORED), "FAIL", 1, id="errored"),
        pytest.param(report_of(FAILED, selected=9), "FAIL", 1, id="failfast"),
        pytest.param(report_of(FAILED, WARNED), "FAIL", 1, id="failed-and-warned"),
        pytest.param(
            report_of(PASSED, result("errored", cut_off=True)), "FAIL", 3, id="cut-off-only"
        ),
        pytest.param(
            report_of(FAILED, result("errored", cut_off=True)), "FAIL", 1, id="failed-and-cut-off"
        ),
        pytest.param(
            report_of(PASSED, result("errored", optional=True, cut_off=True)),
            "PASS",
            0,
            id="an-optional-one-cut-off",
        ),
        pytest.param(
            report_of(result("errored", timed_out=True)), "FAIL", 1, id="timed-out-by-itself"
        ),
    ],
)
def test_verdict_and_exit_status(report: Report, status: str, exit_status: int) -> None:
    assert (report.status, report.exit_status) == (status, exit_status)
    assert report.passed is (status == "PASS")
    assert report.inconclusive is (exit_status == 3)


@without_database
@given(st.lists(results, max_size=20), st.integers(0, 3), st.booleans())
def test_report_passes_only_where_something_ran_and_nothing_required_went_wrong(
    found: list[TestResult], missing: int, interrupted: bool
) -> None:
    report = report_of(*found, selected=len(found) + missing, interrupted=interrupted)
    ran = [one for one in found if one.outcome is not Outcome.SKIPPED]
    wrong = [one for one in ran if one.outcome is not Outcome.PASSED and not one.optional]
    ended = [one for one in ran if not one.cut_off]
    assert report.passed is bool(ended and not wrong and not missing and not interrupted)
    assert (report.exit_status == 0) is report.passed
    if any(not one.cut_off for one in wrong):
        assert report.exit_status == 1


# -- the counts


@without_database
@given(st.lists(results))
def test_counts_add_up(found: list[TestResult]) -> None:
    report = report_of(*found)
    counts = report.counts
    assert counts.run == counts.passed + counts.failed + counts.errored + counts.warned
    assert counts.run + counts.skipped == len(found)
    for label in LABELS:
        assert getattr(counts, label) == len(report.ids(label)) == len(report.labelled(label))
    assert [one for label in LABELS for one in report.labelled(label)] == sorted(
        found, key=lambda one: LABELS.index(one.label)
    )


def test_optional_failure_counts_as_warned_and_as_nothing_else() -> None:
    found = [WARNED, result("errored", optional=True), result("passed", optional=True)]
    assert Counts.of(found) == Counts(classes=1, passed=1, warned=2)


def test_optional_test_that_is_skipped_is_skipped() -> None:
    assert result("skipped", optional=True).label == "skipped"


def test_classes_are_counted_by_their_address() -> None:
    found = [
        TestResult(id=name, outcome=Outcome.PASSED)
        for name in ("a.smoke.A.test_1", "a.smoke.A.test_2", "a.smoke.B.test_1", "b.smoke.A.test_1")
    ]
    assert Counts.of(found).classes == 3


# -- the order, and what a reader asks for


def test_results_stay_in_the_order_in_which_they_are_given() -> None:
    names = ["c", "a", "b"]
    report = report_of(*(result("failed", name) for name in names))
    assert report.ids("failed") == [f"shop.smoke.ShopTest.{name}" for name in names]


def test_cached_report_says_so_and_is_otherwise_the_same() -> None:
    report = report_of(PASSED, duration=1.5)
    cached = report.as_cached(0.25)
    assert (cached.cached, cached.age) == (True, 0.25)
    assert (report.cached, report.age) == (False, 0.0)
    assert {**cached.to_dict(), "cached": False, "age": 0.0} == report.to_dict()


@pytest.mark.parametrize(
    ("value", "field"), [(PASSED, "outcome"), (Counts(), "passed"), (report_of(PASSED), "passed")]
)
def test_value_cannot_be_changed(value: Any, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, 0)
    assert not hasattr(value, "__dict__")


# -- through JSON and back


@without_database
@given(
    st.builds(
        Report.from_results,
        st.lists(results, max_size=5),
        selected=st.integers(0),
        started_at=st.datetimes(timezones=zones),
        duration=seconds,
        release=st.text(),
        node=st.text(),
        pid=st.integers(0),
        deadline=seconds,
        interrupted=st.booleans(),
        cached=st.booleans(),
        age=seconds,
        shared=st.booleans(),
        nodes=st.lists(nodes, max_size=2).map(tuple),
        detail=st.sampled_from(Detail),
    )
)
def test_report_comes_back_from_json_as_it_was(report: Report) -> None:
    back = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert back == report
    assert [one.started_at.utcoffset() for one in back.results] == [
        one.started_at.utcoffset() for one in report.results
    ]


@without_database
@given(results)
def test_result_that_is_made_faster_is_the_same(slowly: TestResult) -> None:
    values = {field.name: getattr(slowly, field.name) for field in fields(TestResult)}
    for fast in (new_result(*values.values()), new_result(**values)):
        assert type(fast) is TestResult
        assert (fast, repr(fast), hash(fast)) == (slowly, repr(slowly), hash(slowly))
        assert replace(fast, retried=True) == replace(slowly, retried=True)


def test_result_that_is_made_faster_has_the_same_defaults() -> None:
    assert new_result("shop", Outcome.PASSED) == TestResult(id="shop", outcome=Outcome.PASSED)


def test_result_that_is_made_faster_cannot_be_changed_either() -> None:
    with pytest.raises(FrozenInstanceError):
        new_result("shop", Outcome.PASSED).message = "x"  # type: ignore[misc]


def test_started_at_is_iso_8601_with_its_offset() -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    data = result("passed", started_at=moment).to_dict()
    assert data["started_at"] == "2026-03-01T12:30:00+00:00"


def test_keys_of_a_later_version_are_ignored() -> None:
    data = report_of(FAILED).to_dict()
    data["mood"] = data["results"][0]["mood"] = data["counts"]["mood"] = "good"
    assert Report.from_dict(data) == report_of(FAILED)


def test_keys_that_have_a_default_may_be_missing() -> None:
    assert TestResult.from_dict({"id": "a", "outcome": "passed"}) == TestResult(
        id="a", outcome=Outcome.PASSED
    )


@pytest.mark.parametrize("missing", ["id", "outcome"])
def test_result_without_what_it_needs_is_refused(missing: str) -> None:
    data = PASSED.to_dict()
    del data[missing]
    with pytest.raises(KeyError, match=missing):
        TestResult.from_dict(data)


@pytest.mark.parametrize("missing", ["passed", "counts", "results"])
def test_report_without_what_it_needs_is_refused(missing: str) -> None:
    data = report_of(PASSED).to_dict()
    del data[missing]
    with pytest.raises(KeyError, match=missing):
        Report.from_dict(data)


def test_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="lucky"):
        TestResult.from_dict({**PASSED.to_dict(), "outcome": "lucky"})


def test_unknown_detail_is_refused() -> None:
    with pytest.raises(ValueError, match="gossip"):
        Report.from_dict({**report_of(PASSED).to_dict(), "detail": "gossip"})


def test_run_without_a_test_that_came_to_its_end_does_not_pass() -> None:
    """An optional test fails no run; one that never started proves nothing either."""
    cut_off = TestResult(id="a.T.test", outcome=Outcome.ERRORED, optional=True, cut_off=True)
    report = Report.from_results([cut_off], selected=1)
    assert not report.passed
    assert report.exit_status == 3
