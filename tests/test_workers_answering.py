"""What a worker does with the question, without a broker: it is a function of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import override_settings

from smoketest.results import Report
from smoketest.workers import answering
from smoketest.workers.letters import Letter, SharedCache
from tests.conftest import MakeApp

SMOKE = """
    from smoketest import SmokeTest, runs_on

    class KettleTest(SmokeTest):
        def test_boils(self):
            key = "the-key-of-this-site-is-secret"
            raise LookupError(f"no water for {key}")

        @runs_on("web")
        def test_pours(self):
            pass
"""


@pytest.fixture(autouse=True)
def kettle(make_app: MakeApp) -> None:
    make_app("kettle", {"smoke.py": SMOKE})


def asked(*labels: str, seconds: float = 5.0, **limits: Any) -> tuple[str, Letter | None]:
    """What the task returns, and the letter that it leaves."""
    question = {
        "selection": {"labels": list(labels)},
        "limits": {"deadline": 5.0, **limits},
        "until": time.time() + seconds,
        "way_back": 0.5,
        "letterbox": SharedCache.name,
    }
    word = answering.answer(None, "an-id", question)
    letter = SharedCache().collect(["an-id"]).get("an-id")
    SharedCache().forget(["an-id"])
    return word, letter


@override_settings(SECRET_KEY="the-key-of-this-site-is-secret")
def test_report_is_that_of_a_worker_and_has_no_secret() -> None:
    word, letter = asked("kettle")
    assert letter is not None
    report = Report.from_dict(letter["report"])
    assert (word, report.role) == ("FAIL", "worker")
    [result] = report.results
    assert "no water for" in result.message
    assert "the-key-of-this-site-is-secret" not in str(letter)


def test_limits_are_those_of_the_question() -> None:
    _, letter = asked("kettle", failfast=True, timeout=1.0, deadline=2.0, host="evil.example")
    assert letter is not None
    assert letter["report"]["deadline"] == 2.0


def test_deadline_ends_when_nobody_waits_any_more() -> None:
    _, letter = asked("kettle", seconds=3.0)
    assert letter is not None
    assert letter["report"]["deadline"] < 3.0


def test_what_a_worker_does_not_know_is_a_problem() -> None:
    word, letter = asked("pot")
    assert word == "refused"
    assert letter is not None
    assert letter["problem"].startswith("Unknown label 'pot'")


@override_settings(SMOKETEST_PARALLEL="many")
def test_settings_that_are_unusable_there_are_a_problem() -> None:
    word, letter = asked("kettle")
    assert word == "refused"
    assert letter is not None
    assert letter["problem"].startswith("SMOKETEST_PARALLEL is 'many'.")


@override_settings(SECRET_KEY="the-key-of-this-site-is-secret")
@override_settings(SMOKETEST_HOST="u:the-key-of-this-site-is-secret@shop.example")
def test_problem_has_no_secret_of_the_worker() -> None:
    _, letter = asked("kettle")
    assert letter is not None
    assert letter["problem"].startswith("SMOKETEST_HOST is 'u:****")


def test_question_that_comes_too_late_leaves_nothing() -> None:
    assert asked("kettle", seconds=-0.1) == (answering.TOO_LATE, None)


def test_answer_that_comes_too_late_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is over while the tests run: whoever asked has taken out all letters by then."""
    left = iter([5.0, 5.0, -1.0])
    monkeypatch.setattr(answering, "_seconds", lambda question: next(left))
    assert asked("kettle") == (answering.TOO_LATE, None)
