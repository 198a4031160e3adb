"""JSON: one object with everything that is known of a run."""

from __future__ import annotations

from typing import Any, ClassVar

from smoketest import schema
from smoketest.results import Detail, Report


class JSONRenderer:
    """``json``: one object, in ASCII."""

    format: ClassVar[str] = "json"
    media_type: ClassVar[str] = "application/json"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return one JSON object and a newline."""
        return schema.dumps(schema.run(report) | _results(report)) + "\n"

    def render_refusal(self, message: str) -> str:
        """Return an object with the keys ``status`` and ``error``."""
        return schema.dumps(schema.refusal(message)) + "\n"


def _results(report: Report) -> dict[str, Any]:
    if report.detail is Detail.VERDICT:
        return {}
    return {"results": [result.to_dict() for result in report.results]}
