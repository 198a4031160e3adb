"""A run in JSON: the keys of django-smoketest 1.x first, then what 2.0 knows besides."""

from __future__ import annotations

import json
import re
from typing import Any

from smoketest.results import Detail, Report

_ESCAPE = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|(?P<lone>ud[89a-f]..)|.)")
"""An escape in JSON; a pair of surrogates is one, and stands for one character."""


def dumps(value: Any) -> str:
    r"""Return ``value`` as JSON, in ASCII.

    A lone surrogate, as Python has it for a byte that is no UTF-8, becomes the six characters
    ``\ud800``. Its escape would be grammatical, but jq and others refuse the whole document for
    it (https://www.rfc-editor.org/rfc/rfc8259#section-8.2).
    """
    text = json.dumps(value)
    return _ESCAPE.sub(_spelt_out, text) if "\\ud" in text else text


def _spelt_out(escape: re.Match[str]) -> str:
    return f"\\\\{escape['lone']}" if escape["lone"] else escape[0]


def run(report: Report) -> dict[str, Any]:
    """Return ``report`` as JSON-ready values, without its results.

    ``time`` is in milliseconds as in 1.x, ``duration``, ``age`` and every other time in
    seconds. A report that shows the verdict only is ``{"status": …}``, only one that spans
    nodes has ``nodes``, only one of a process that counts as something has ``role``, and only
    one with the runs before it has ``recent``.
    """
    verdict = {"status": report.status}
    if report.detail is Detail.VERDICT:
        return verdict
    nodes = {"nodes": [node.to_dict() for node in report.nodes]} if report.nodes else {}
    role = {"role": report.role} if report.role else {}
    recent = {"recent": [past.to_dict() for past in report.recent]} if report.recent else {}
    return verdict | _counts(report) | _facts(report) | role | nodes | recent


def refusal(message: str) -> dict[str, Any]:
    """Return what stands in the place of a run that did not begin."""
    return {"status": "FAIL", "error": message}


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


def _facts(report: Report) -> dict[str, Any]:
    return {
        "time": report.duration * 1000,
        "duration": report.duration,
        "started_at": report.started_at.isoformat(),
        "release": report.release,
        "node": report.node,
        "pid": report.pid,
        "cached": report.cached,
        "age": report.age,
        "shared": report.shared,
    }
