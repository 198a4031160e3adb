"""What a person reads at a terminal: the verdict in words, then what did not pass."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management.color import color_style, no_style

from smoketest.results import Outcome, Report, TestResult
from smoketest.terminal import program, report_lines, result_line, result_lines
from smoketest.wording import headline
from tests.test_tracebacks import raised


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
        '    "Products can be read."',
        "    1 != 2",
        "",
        "    - 1",
        "    Trace",
        "    Runbook: https://wiki.example/",
        "",
        "skipped: shop.smoke.T.test_it: not here",
        "",
        "Ran 1 test in 1.500 s: 1 failed, 1 skipped.",
        "",
        "To run again what failed:",
        "    python manage.py smoketest shop.smoke.T.test_it",
    ]


def again(*results: TestResult) -> list[str]:
    """Return the lines below "To run again what failed"."""
    shown = lines(*results)
    return shown[shown.index("To run again what failed:") + 1 :]


def test_what_failed_can_be_run_again_by_one_pasted_command() -> None:
    bad = [result(Outcome.ERRORED, id=f"shop.smoke.CatalogueTest.test_{n}") for n in range(3)]
    shown = again(*bad, result(), result(Outcome.FAILED, optional=True, id="shop.smoke.T.test_2"))
    assert shown == [
        "    python manage.py smoketest \\",
        "        shop.smoke.CatalogueTest.test_0 \\",
        "        shop.smoke.CatalogueTest.test_1 \\",
        "        shop.smoke.CatalogueTest.test_2",
    ]


def test_a_fixture_is_run_again_by_its_class_and_an_odd_name_is_quoted() -> None:
    fixture = result(Outcome.ERRORED, id="shop.smoke.T.tearDownClass")
    assert again(fixture, result(Outcome.ERRORED, id="a b;c")) == [
        "    python manage.py smoketest shop.smoke.T 'a b;c'"
    ]


def test_a_run_without_failures_names_nothing_to_run_again() -> None:
    shown = "\n".join(lines(result(), result(Outcome.FAILED, optional=True)))
    assert "again" not in shown


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("manage.py", "python manage.py smoketest"),
        ("/srv/site/manage.py", "python manage.py smoketest"),
        ("/usr/bin/django-admin", "django-admin smoketest"),
        ("/usr/lib/django/__main__.py", "python -m django smoketest"),
        ("", "python manage.py smoketest"),
    ],
)
def test_the_command_is_named_as_it_was_called(path: str, shown: str) -> None:
    assert program(path, "smoketest") == shown


THREE = [result(id=f"shop.smoke.T.test_{n}", duration=float(n)) for n in (1, 3, 2)]


def slowest(duration: float, durations: int | None) -> list[str]:
    """Return the last part of the ids below "Slowest tests", in their order."""
    ended = [*THREE, result(Outcome.SKIPPED, duration=9.0)]
    report = Report.from_results(ended, selected=4, duration=duration)
    shown = list(report_lines(report, no_style(), durations=durations))
    if "Slowest tests:" not in shown:
        return []
    below = shown[shown.index("Slowest tests:") + 1 :]
    return [line.split(".")[-1] for line in below[: below.index("")]]


@pytest.mark.parametrize(
    ("duration", "durations", "shown"),
    [
        (4.9, None, []),
        (5.0, None, ["test_3", "test_2", "test_1"]),
        (0.1, 2, ["test_3", "test_2"]),
        (0.1, 0, ["test_3", "test_2", "test_1"]),
        (9.0, 1, ["test_3"]),
    ],
)
def test_the_slowest_tests_are_shown_when_asked_for_and_when_the_run_was_slow(
    duration: float, durations: int | None, shown: list[str]
) -> None:
    assert slowest(duration, durations) == shown


def test_a_failure_has_its_message_below_its_line_as_it_happens() -> None:
    assert list(result_lines(BAD, no_style())) == [
        "test_it (shop.smoke.T.test_it) ... FAIL",
        "    1 != 2",
        "",
        "    - 1",
    ]
    assert len(list(result_lines(result(Outcome.SKIPPED, message="no"), no_style()))) == 1


def test_verbosity_0_is_one_line() -> None:
    assert lines(BAD, verbosity=0) == ["FAIL: 1 of 1 test failed"]


def test_a_run_without_tests_says_what_to_do_within_80_columns() -> None:
    shown = lines()
    assert shown[0] == "FAIL: no test ran"
    assert "No test was found or selected" in shown[2]
    assert "SMOKETEST_PROBES" in " ".join(shown)
    assert shown[-2:] == ["", "Ran 0 tests in 1.500 s."]
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


def test_verbosity_3_shows_all_frames() -> None:
    errored = result(Outcome.ERRORED, traceback=raised())
    assert len(lines(errored, verbosity=3)) > len(lines(errored, verbosity=1))
    assert not [line for line in lines(errored, verbosity=3) if "frames …" in line]
