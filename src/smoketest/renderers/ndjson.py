"""Newline-delimited JSON: a line as each test ends, and the run in the last one.

https://github.com/ndjson/ndjson-spec
"""

from __future__ import annotations

from typing import Any, ClassVar

from smoketest import schema
from smoketest.results import Detail, Report, TestResult


class _Renderer:
    format: ClassVar[str] = "ndjson"
    charset: ClassVar[str] = "utf-8"
    always_200: ClassVar[bool] = True

    def render(self, report: Report) -> str:
        """Return a line for each result, then the line of the run."""
        ended = () if report.detail is Detail.VERDICT else report.results
        lines = [self.render_result(one) for one in ended if one.node or not report.nodes]
        return "".join(lines) + self.render_end(report)

    def render_result(self, result: TestResult) -> str:
        """Return the line of one test, which has the key ``id`` and no ``status``."""
        return _line(result.to_dict())

    def render_end(self, report: Report) -> str:
        """Return the last line: the keys of ``json`` except ``results``, ``status`` first.

        Before it stands what is said of a fleet as a whole, which is known at the end only.
        """
        lines = [self.render_result(one) for one in report.results if report.nodes and not one.node]
        return "".join(lines) + _line(schema.run(report))


class ProgressRenderer(_Renderer):
    """The same, with a line for what begins: for a page that shows a run as it goes.

    ``{"selected": [ids]}`` comes first, and ``{"begun": id}`` as each test begins. Where
    another caller's run is shared there is none of these lines.
    """

    media_type: ClassVar[str] = "application/vnd.django-smoketest.progress+x-ndjson"

    def render_start(self, ids: list[str]) -> str:
        """Return the line of the selection, before any test begins."""
        return _line({"selected": ids})

    def render_begin(self, id: str) -> str:
        """Return the line of a test that begins."""
        return _line({"begun": id})


class NDJSONRenderer(_Renderer):
    """``ndjson``: one object a line, in ASCII.

    The status of a stream is sent before its end is known, so it is always 200, and
    the verdict is in the last line. A stream without that line was cut off.
    """

    media_type: ClassVar[str] = "application/x-ndjson"
    accepts: ClassVar[tuple[str, ...]] = ("application/ndjson", "application/jsonl")
    variants: ClassVar[tuple[ProgressRenderer, ...]] = (ProgressRenderer(),)


def _line(values: dict[str, Any]) -> str:
    return schema.dumps(values) + "\n"
