"""What a worker does with the question: it runs the tests, and leaves a letter."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from smoketest import conf, runner, sharing
from smoketest.cleansing import cleanse, cleanser
from smoketest.exceptions import SmokeTestError
from smoketest.log import log_report
from smoketest.options import WORKER, Options
from smoketest.results import Report
from smoketest.selection import Selection

from . import letters
from .asking import LIMITS

logger = logging.getLogger("smoketest")

TOO_LATE = "too late"


def answer(app: Any, id: str, question: Mapping[str, Any]) -> str:
    """Run the tests that ``question`` asks for, leave the report, and return the verdict.

    Where nobody waits for it any more, nothing is left, and perhaps nothing run.
    """
    if _seconds(question) <= 0:
        return TOO_LATE
    letter, verdict = _letter(question)
    # Whoever asks waits a little longer for what was sent in time. They have taken out
    # all letters then, and one more would stay.
    if _seconds(question) < -question.get("way_back", 0.0):
        return TOO_LATE
    letters.named(question["letterbox"], app).put(id, letter)
    return verdict


def _seconds(question: Mapping[str, Any]) -> float:
    """Return the seconds until the report must be on its way."""
    return float(question["until"]) - time.time()


def _letter(question: Mapping[str, Any]) -> tuple[letters.Letter, str]:
    """Return the letter, and a word for the worker's log."""
    try:
        report = _report(question)
    except (SmokeTestError, ImproperlyConfigured) as error:
        return _problem(str(error)), "refused"
    except Exception as error:
        logger.exception("The smoke tests could not be run for whoever asked this worker.")
        return _problem(f"{type(error).__name__}: {error}"), "crashed"
    return {"report": report.to_dict()}, report.status


def _problem(said: str) -> letters.Letter:
    # Here, for whoever asks may have other settings, and so other secrets.
    return {"problem": cleanser()(said)}


def _report(question: Mapping[str, Any]) -> Report:
    words = question["selection"].items()
    selection = Selection(**{group: tuple(chosen) for group, chosen in words})
    options = _options(question)

    def run(seconds: float) -> Report:
        return runner.run(selection, replace(options, deadline=seconds))

    # In a pool of threads two questions may come to one process.
    key = WORKER, selection, repr(options)
    return sharing.shared_run(key, run, deadline=options.deadline, finish=_finished)


def _finished(report: Report) -> Report:
    report = cleanse(report)
    log_report(report)
    return report


def _options(question: Mapping[str, Any]) -> Options:
    """Return how to run: by this process's settings, within the limits of the question."""
    limits = {name: value for name, value in question["limits"].items() if name in LIMITS}
    deadline = min(float(question["limits"]["deadline"]), _seconds(question))
    return conf.options(**limits, role=WORKER, deadline=max(deadline, 0.0))
