"""The page for a person: one complete HTML document, without any script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, ClassVar

from django.template import Context, Engine, Template

from smoketest.escaping import one_line, visible
from smoketest.results import Detail, Report, TestResult
from smoketest.wording import headline, notes, remarks


class HTMLRenderer:
    """``html``: the verdict in words first, then what did not pass, then the rest."""

    format: ClassVar[str] = "html"
    media_type: ClassVar[str] = "text/html"
    charset: ClassVar[str] = "utf-8"

    def render(self, report: Report) -> str:
        """Return the page. It loads nothing, so it can be saved or mailed as it is."""
        # Without localisation Django's template engine asks no settings.
        context = Context(_page(report), use_l10n=False, use_tz=False)
        return str(_template().render(context))

    @cached_property
    def content_security_policy(self) -> str:
        """Value of the ``Content-Security-Policy`` header under which the page works."""
        style = _source().partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


@cache
def _source() -> str:
    # Not by a template loader: the page needs neither TEMPLATES nor INSTALLED_APPS.
    return files("smoketest").joinpath("templates/smoketest/report.html").read_text("utf-8")


@cache
def _template() -> Template:
    return Engine().from_string(_source())


def _page(report: Report) -> dict[str, Any]:
    if report.detail is Detail.VERDICT:
        return {"status": report.status}
    return {
        "status": report.status,
        "headline": headline(report),
        "remarks": remarks(report),
        "facts": _facts(report),
        "sections": list(_sections(report)),
        "passes": _tests(report, "passed"),
    }


def _sections(report: Report) -> Iterator[dict[str, Any]]:
    """Yield what did not pass, worst first; the tracebacks of failures are open."""
    for title, *labels in (
        ("Failures", "failed", "errored"),
        ("Warnings", "warned"),
        ("Skipped", "skipped"),
    ):
        if tests := _tests(report, *labels):
            name = title.lower()
            yield {"title": title, "name": name, "tests": tests, "open": name == "failures"}


def _facts(report: Report) -> list[tuple[str, str]]:
    facts = [
        ("Started", report.started_at.isoformat(sep=" ", timespec="seconds")),
        ("Duration", f"{report.duration:.3f} s"),
        ("Release", one_line(report.release)),
        ("Node", one_line(report.node)),
        ("Process", str(report.pid) if report.pid else ""),
        ("Cached", f"{report.age:.1f} s ago" if report.cached else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _tests(report: Report, *labels: str) -> list[dict[str, Any]]:
    return [_test(result) for label in labels for result in report.labelled(label)]


def _test(result: TestResult) -> dict[str, Any]:
    return {
        "id": one_line(result.id),
        "label": result.label,
        "description": one_line(result.description),
        "duration": f"{result.duration:.3f} s",
        "notes": ", ".join(notes(result)),
        "message": visible(result.message).strip("\n"),
        "traceback": visible(result.traceback).strip("\n"),
        "place": f"{one_line(result.file)}:{result.line}" if result.file else "",
        "runbook": one_line(result.runbook),
        # Anything else might be a script: javascript:…
        "runbook_is_link": result.runbook.startswith(("https://", "http://")),
    }
