"""What a person reads at a terminal: the verdict in words, then what did not pass."""

from __future__ import annotations

import json as library
import traceback
from typing import Any

import pytest
from django.core.management.color import color_style, no_style
from django.utils.module_loading import import_string

from smoketest.results import Outcome, Report, TestResult
from smoketest.terminal import own_frames, report_lines, result_line
from smoketest.wording import headline


def result(outcome: Outcome = Outcome.PASSED, **values: Any) -> TestResult:
    return TestResult(**{"id": "shop.smoke.T.test_it", "outcome": outcome, **values})


def lines(*results: TestResult, verbosity: int = 1) -> list[str]:
    report = Report.from_results(results, selected=len(results), duration=1.5)
    return list(report_lines(report, no_style(), verbosity))


BAD = result(
    Outcome.FAILED,
    description="Products can be read.",
    message="1 != 2\n\n- 1",
    traceback="Trace\n",
    runbook="https://wiki.example/",
)


def test_a_pass_is_two_lines_around_a_blank_one() -> None:
    assert lines(result()) == [
        "PASS: 1 of 1 test passed",
        "",
        "Ran 1 test in 1.500 s: 1 passed.",
    ]


def test_a_failure_is_shown_with_all_that_helps() -> None:
    assert lines(BAD, result(Outcome.SKIPPED, message="not here")) == [
        "FAIL: 1 of 1 test failed, 1 skipped",
        "",
        "failed: shop.smoke.T.test_it",
        "    Products can be read.",
        "    1 != 2",
        "",
        "    - 1",
        "    Trace",
        "    Runbook: https://wiki.example/",
        "",
        "skipped: shop.smoke.T.test_it: not here",
        "",
        "Ran 1 test in 1.500 s: 1 failed, 1 skipped.",
    ]


def test_verbosity_0_is_one_line() -> None:
    assert lines(BAD, verbosity=0) == ["FAIL: 1 of 1 test failed"]


def test_a_run_without_tests_says_what_to_do_within_80_columns() -> None:
    shown = lines()
    assert shown[0] == "FAIL: no test ran"
    assert "No test was found or selected" in shown[2]
    assert max(map(len, shown)) < 80


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([result()], "1 of 1 test passed"),
        ([result(), BAD], "1 of 2 tests failed"),
        ([result(Outcome.ERRORED), BAD, BAD], "2 of 3 tests failed, 1 errored"),
        ([result(Outcome.ERRORED), result()], "1 of 2 tests errored"),
        ([result(), result(Outcome.FAILED, optional=True)], "1 of 2 tests passed, 1 warning"),
        ([result(Outcome.SKIPPED)], "no test ran, 1 skipped"),
    ],
)
def test_the_headline_says_the_worst_first(results: list[TestResult], words: str) -> None:
    assert headline(Report.from_results(results, selected=len(results))) == words


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        (result(), "ok"),
        (BAD, "FAIL"),
        (result(Outcome.ERRORED), "ERROR"),
        (result(Outcome.FAILED, optional=True), "warning"),
        (result(Outcome.SKIPPED, message="not\nhere"), r"skipped 'not\\nhere'"),
        (result(retried=True), "ok (retried)"),
    ],
)
def test_a_line_for_each_test_is_in_unittests_style(subject: TestResult, word: str) -> None:
    expected = f"test_it (shop.smoke.T.test_it) ... {word}"
    assert result_line(subject, no_style()) == expected


def test_colours_come_from_djangos_style_and_never_from_a_message() -> None:
    hostile = result(Outcome.FAILED, message="\x1b[2J", description="\x1b[2J", id="a.\x1b[2J.c")
    report = Report.from_results([hostile], selected=1)
    shown = "".join(report_lines(report, color_style(force_color=True), 3))
    assert "\x1b[" in shown
    assert "\x1b[2J" not in shown


def raised() -> str:
    """Return a traceback with a frame of this file, and frames of others after and between."""
    try:
        try:
            import_string("json.no_such_name")
        except ImportError:
            library.loads("{")
    except ValueError:
        return traceback.format_exc()
    raise AssertionError


def test_frames_of_others_are_counted_and_those_of_the_project_kept() -> None:
    shown = own_frames(raised())
    assert shown.count('  File "') == shown.count(f'  File "{__file__}"') == 2
    assert "… 2 frames …" in shown
    assert "json.decoder.JSONDecodeError" in shown
    assert "The above exception" in shown or "During handling" in shown


def test_where_all_frames_are_of_others_they_are_kept() -> None:
    frame = f'  File "{library.__file__}", line 1, in x\n    y\n'
    foreign = f"Traceback (most recent call last):\n{frame}ValueError\n"
    assert own_frames(foreign) == foreign


def test_verbosity_3_shows_all_frames() -> None:
    errored = result(Outcome.ERRORED, traceback=raised())
    assert len(lines(errored, verbosity=3)) > len(lines(errored, verbosity=1))
    assert not [line for line in lines(errored, verbosity=3) if "frames …" in line]
