"""JSON: the keys of django-smoketest 1.x first, then what 2.0 knows besides."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from smoketest.results import Detail, Report


class JSONRenderer:
    """``json``: one object, in ASCII."""

    format: ClassVar[str] = "json"
    media_type: ClassVar[str] = "application/json"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return one JSON object and a newline.

        ``time`` is in milliseconds as in 1.x, every ``duration`` in seconds. All but
        ASCII is escaped, so a lone surrogate in a message is no obstacle.
        """
        verdict = {"status": report.status}
        if report.detail is Detail.VERDICT:
            return json.dumps(verdict) + "\n"
        return json.dumps(verdict | _counts(report) | _run(report)) + "\n"


def _counts(report: Report) -> dict[str, Any]:
    counts = report.counts
    return {
        "test_classes": counts.classes,
        "tests_run": counts.run,
        "tests_passed": counts.passed,
        "tests_failed": counts.failed,
        "tests_errored": counts.errored,
        "tests_warned": counts.warned,
        "tests_skipped": counts.skipped,
        "failed_tests": report.ids("failed"),
        "errored_tests": report.ids("errored"),
        "warned_tests": report.ids("warned"),
        "skipped_tests": report.ids("skipped"),
    }


def _run(report: Report) -> dict[str, Any]:
    return {
        "time": report.duration * 1000,
        "duration": report.duration,
        "started_at": report.started_at.isoformat(),
        "release": report.release,
        "node": report.node,
        "pid": report.pid,
        "cached": report.cached,
        "age": report.age,
        "results": [result.to_dict() for result in report.results],
    }
