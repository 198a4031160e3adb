"""The page for a person: one complete HTML document, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby
from typing import Any, ClassVar

from django.template import Context, Engine, Template
from django.utils.safestring import mark_safe

from smoketest.escaping import one_line
from smoketest.page import nodes
from smoketest.page.history import history
from smoketest.page.markup import BLANK, group, markup
from smoketest.page.rows import Row, percent, rows
from smoketest.results import Detail, Report
from smoketest.wording import headline, remarks, when

SECTIONS = (
    ("failed", "Failed"),
    ("errored", "Errored"),
    ("warned", "Warnings"),
    ("skipped", "Skipped"),
    ("passed", "Passed"),
)
"""The label of the results in each section of the page, and its title; worst first."""

_ICONS = (
    ("PASS", "M5.5 12.5l4.2 4.2 8.8-9.2", "13703a"),
    ("FAIL", "M7 7l10 10M17 7L7 17", "b3261e"),
)
"""For each verdict the path of an SVG, a tick or a cross, and the colour of its ground."""


class HTMLRenderer:
    """``html``: the verdict in words first, then what did not pass, then the rest.

    The page is complete without its script. With it the counters filter, a search
    narrows, and the tests can be run again.
    """

    format: ClassVar[str] = "html"
    media_type: ClassVar[str] = "text/html"
    charset: ClassVar[str] = "utf-8"
    shows_recent: ClassVar[bool] = True

    def render(self, report: Report) -> str:
        """Return the page. It loads nothing, so it can be saved or mailed as it is."""
        # Without localisation Django's template engine asks no settings.
        context = Context(_page(report), use_l10n=False, use_tz=False)
        return str(_template().render(context))

    def render_refusal(self, message: str) -> str:
        """Return a page that says why nothing was run."""
        refused = {"headline": "no test ran", "remarks": [message], "refused": True}
        page = _page(Report(passed=False, detail=Detail.VERDICT)) | refused | {"detail": ""}
        return str(_template().render(Context(page, use_l10n=False, use_tz=False)))

    @cached_property
    def content_security_policy(self) -> str:
        """Value of the ``Content-Security-Policy`` header under which the page works.

        Its own style and script by their hashes, its icon, and requests to where it
        came from; nothing else.
        """
        return (
            f"default-src 'none'; style-src '{_digest('report.css')}'; "
            f"script-src '{_digest('report.js')}'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


@cache
def _source(name: str) -> str:
    # Not by a template loader: the page needs neither TEMPLATES nor INSTALLED_APPS.
    return _folder().joinpath(name).read_text("utf-8")


def _folder() -> Traversable:
    return files("smoketest").joinpath("templates", "smoketest")


def _digest(name: str) -> str:
    digest = hashlib.sha256(_source(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _template() -> Template:
    names = [file.name for file in _folder().iterdir() if file.name.endswith(".html")]
    loader: Any = ("django.template.loaders.locmem.Loader", {one: _source(one) for one in names})
    return Engine(loaders=[loader]).get_template("report.html")


def _page(report: Report) -> dict[str, Any]:
    shows_tests = report.detail is not Detail.VERDICT
    page: dict[str, Any] = {
        "status": report.status,
        "detail": report.detail.value,
        "icons": _ICONS,
        "style": _source("report.css"),
        "script": _source("report.js"),
        "blank": _listed([BLANK]),
    }
    return page | (_findings(report) if shows_tests else {})


def _findings(report: Report) -> dict[str, Any]:
    every = list(rows(report))
    sections = list(_sections(every))
    return {
        "headline": headline(report),
        "remarks": [*nodes.remarks(report), *remarks(report)],
        # HTML knows a fraction of a second of up to three digits.
        "started": report.started_at.isoformat(timespec="milliseconds"),
        "started_words": when(report.started_at),
        "ago": _ago(report.duration + report.age),
        "duration": f"{report.duration:.3f} s",
        "deadline": report.deadline or "",
        "limit": f"{report.deadline:g} s" if report.deadline else "",
        "used": percent(report.duration, report.deadline),
        "whose": _whose(report),
        "facts": _facts(report),
        "sections": sections,
        "total": sum(section["size"] for section in sections),
        "fleet": _fleet(report, every),
        "history": history(report.recent),
        "nothing": not report.results and not report.selected and not report.elsewhere,
    }


def _fleet(report: Report, every: Sequence[Row]) -> dict[str, Any]:
    anchors = {(row.id, row.label): row.anchor for row in every}
    return nodes.fleet(report, anchors) if report.nodes else {}


def _facts(report: Report) -> list[tuple[str, str]]:
    passed = sum(node.passed for node in report.nodes)
    facts = [
        ("Nodes", f"{passed} of {len(report.nodes)} passed" if report.nodes else ""),
        ("Release", one_line(report.release)),
        ("Node", one_line(report.node)),
        ("Process", str(report.pid or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _whose(report: Report) -> str:
    """Return whose run it is, where not the caller's own; the script says the same."""
    if report.shared:
        return "shared: the run was under way when you came"
    return f"cached: the run ended {report.age:.1f} s ago" if report.cached else ""


def _ago(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _sections(every: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield what did not pass, worst first, then what did, by class."""
    for label, title in SECTIONS:
        found = [row for row in every if row.label == label]
        if found:
            yield {
                "label": label,
                "title": title,
                "size": len(found),
                "word": "warning" if label == "warned" and len(found) == 1 else title.lower(),
                "tests": _folded(found) if label == "passed" else _listed(found),
            }


# What rows return is markup already: whatever was said is escaped there.


def _listed(found: Sequence[Row]) -> str:
    return mark_safe(f"<ul>\n{''.join(map(markup, found))}</ul>\n")  # noqa: S308


def _folded(found: Sequence[Row]) -> str:
    groups = groupby(found, key=lambda row: row.id.rpartition(".")[0])
    return mark_safe("".join(group(list(members)) for _, members in groups))  # noqa: S308
