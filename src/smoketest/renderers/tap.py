"""Test Anything Protocol, version 14, one point a test.

https://testanything.org/tap-version-14-specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from smoketest.escaping import one_line, uncoloured, visible
from smoketest.results import Detail, Report, TestResult
from smoketest.wording import headline, provenance, reason, remarks, runbook


class TAPRenderer:
    """``tap``: a failure of an optional test is a ``TODO``, which fails no harness.

    Points are not grouped by class or node: most harnesses take the lines of a subtest
    for nothing, and would miss which test it was.
    """

    format: ClassVar[str] = "tap"
    media_type: ClassVar[str] = "text/plain"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return the stream; it has a ``not ok`` that counts exactly when the run fails."""
        return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    points = list(_points(report))
    yield "TAP version 14"
    yield f"1..{len(points)}"
    for number, (word, rest) in enumerate(points, start=1):
        yield f"{word} {number} - {rest}"
    yield from _comments(report)


def _points(report: Report) -> Iterator[tuple[str, str]]:
    """Yield ``ok`` or ``not ok``, and what stands after the number, of each point."""
    if report.detail is Detail.VERDICT:
        yield ("ok" if report.passed else "not ok"), "smoketest"
        return
    for result in report.results:
        word = "ok" if result.label in ("passed", "skipped") else "not ok"
        yield word, "\n".join([_description(result), *_diagnostics(_facts(result))])
    # Why a run failed though no test did. A plan of 1..0 would be a pass, and
    # "Bail out!" would end the tests of others in the same harness as well.
    if why := remarks(report):
        facts = {"message": " ".join(why), "severity": "fail"}
        yield "not ok", "\n".join(["smoketest", *_diagnostics(facts)])


def _description(result: TestResult) -> str:
    on = f" on {one_line(result.node)}" if result.node else ""
    name, why = _plain(f"{one_line(result.id)}{on}"), _plain(reason(result))
    match result.label:
        case "skipped":
            return f"{name} # SKIP {why}".rstrip()
        case "warned":
            return f"{name} # TODO {': '.join(filter(None, ('optional', why)))}"
    return name


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#")


def _facts(result: TestResult) -> dict[str, Any]:
    at = {"file": result.file, "line": result.line} if result.file else None
    return {
        "duration_ms": round(result.duration * 1000, 3),
        "severity": {"failed": "fail", "errored": "error", "warned": "todo"}.get(result.label),
        "message": uncoloured(result.message),
        "traceback": uncoloured(result.traceback),
        "at": at if result.bad else None,
        "runbook": runbook(result),
        "node": result.node,
        "timed_out": result.timed_out,
        "cut_off": result.cut_off,
        "retried": result.retried,
    }


def _diagnostics(facts: dict[str, Any]) -> Iterator[str]:
    """Yield a block of YAML; each value is JSON, which is YAML of version 1.2."""
    yield "  ---"
    yield from (f"  {key}: {_yaml(value)}" for key, value in facts.items() if value)
    yield "  ..."


def _yaml(value: Any) -> str:
    # YAML knows no surrogate pairs, so what is beyond ASCII stays as it is.
    if isinstance(value, str):
        value = visible(value).strip("\n")
    if isinstance(value, dict):
        value = {key: visible(one) if isinstance(one, str) else one for key, one in value.items()}
    return json.dumps(value, ensure_ascii=False)


def _comments(report: Report) -> Iterator[str]:
    if report.detail is Detail.VERDICT:
        return
    yield f"# {report.status}: {headline(report)}"
    if whose := provenance(report):
        yield f"# {whose}"
    facts = {"release": report.release, "node": report.node}
    known = [f"{name}={one_line(value)}" for name, value in facts.items() if value]
    yield " ".join(["#", f"time={report.duration * 1000:.3f}ms", *known])
