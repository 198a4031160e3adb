"""Health check response for HTTP APIs: draft-inadarei-api-health-check-06.

https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06
"""

from __future__ import annotations

from typing import Any, ClassVar

from smoketest import schema
from smoketest.results import Detail, Report, TestResult
from smoketest.wording import explanation, headline, notes, provenance, remarks, runbook

_STATUS = {"passed": "pass", "failed": "fail", "errored": "fail", "warned": "warn"}
"""The draft has no word for a check that was skipped, so that one has no status."""


class HealthRenderer:
    """``health``: one JSON object with a check for each test, in ASCII.

    The array of a check has an element for each node, as section 4 of the draft has it;
    ``componentId`` is what the node is known by, ``node`` its host name.

    ``warn`` is a run that passed with warnings, so its HTTP status is that of a pass,
    as section 3.1 of the draft wants it.
    """

    format: ClassVar[str] = "health"
    media_type: ClassVar[str] = "application/health+json"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return one JSON object and a newline; what is not known is left out."""
        return schema.dumps(_known(_root(report))) + "\n"


def _root(report: Report) -> dict[str, Any]:
    if report.detail is Detail.VERDICT:
        return {"status": "pass" if report.passed else "fail"}
    return {
        "status": _status(report),
        "releaseId": report.release,
        "description": "smoke tests",
        "notes": [note for note in (*remarks(report), provenance(report)) if note],
        "output": "" if report.passed else headline(report),
        "checks": _checks(report),
    }


def _status(report: Report) -> str:
    if not report.passed:
        return "fail"
    return "warn" if report.counts.warned else "pass"


def _checks(report: Report) -> dict[str, list[dict[str, Any]]]:
    checks: dict[str, list[dict[str, Any]]] = {}
    hosts = {node.name: node.host for node in report.nodes}
    for result in report.results:
        # Section 4 of the draft: the colon parts the component from what is measured.
        key = f"{result.id.replace(':', '.')}:responseTime"
        checks.setdefault(key, []).append(
            _known(_check(result, hosts.get(result.node, report.node)))
        )
    return checks


def _check(result: TestResult, node: str) -> dict[str, Any]:
    passed = result.label == "passed"
    return {
        "componentId": result.node,
        "componentType": "component",
        "node": node,
        "observedValue": round(result.duration * 1000, 3),
        "observedUnit": "ms",
        "status": _STATUS.get(result.label, ""),
        "outcome": result.label,
        "time": result.started_at.isoformat(),
        "notes": notes(result),
        "output": "" if passed else explanation(result),
        "links": _known({"help": runbook(result)}),
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in ("", [], {})}
