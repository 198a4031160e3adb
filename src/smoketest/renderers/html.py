"""The page for a person: one complete HTML document, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from importlib.resources import files
from itertools import groupby
from typing import Any, ClassVar

from django.template import Context, Engine, Template

from smoketest.escaping import one_line, uncoloured, visible
from smoketest.results import Detail, Report, TestResult
from smoketest.selection import label_for
from smoketest.tracebacks import own_frames
from smoketest.wording import counted, headline, notes, provenance, remarks, runbook

SECTIONS = (
    ("failed", "Failed"),
    ("errored", "Errored"),
    ("warned", "Warnings"),
    ("skipped", "Skipped"),
    ("passed", "Passed"),
)
"""The label of the results in each section of the page, and its title; worst first."""

COMMAND = "python manage.py smoketest"

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

    def render(self, report: Report) -> str:
        """Return the page. It loads nothing, so it can be saved or mailed as it is."""
        # Without localisation Django's template engine asks no settings.
        context = Context(_page(report), use_l10n=False, use_tz=False)
        return str(_template().render(context))

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
    return files("smoketest").joinpath("templates", "smoketest", name).read_text("utf-8")


def _digest(name: str) -> str:
    digest = hashlib.sha256(_source(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _template() -> Template:
    sources = {name: _source(name) for name in ("report.html", "test.html")}
    loader: Any = ("django.template.loaders.locmem.Loader", sources)
    return Engine(loaders=[loader]).get_template("report.html")


def _page(report: Report) -> dict[str, Any]:
    shows_tests = report.detail is not Detail.VERDICT
    page: dict[str, Any] = {
        "status": report.status,
        "detail": report.detail.value,
        "icons": _ICONS,
        "style": _source("report.css"),
        "script": _source("report.js"),
        "blank": _BLANK,
    }
    return page | (_findings(report) if shows_tests else {})


def _findings(report: Report) -> dict[str, Any]:
    return {
        "headline": headline(report),
        "remarks": remarks(report),
        "provenance": provenance(report),
        "started": report.started_at,
        "started_words": f"{report.started_at:%Y-%m-%d %H:%M:%S} {report.started_at.tzname()}",
        "ago": _ago(report.duration + report.age),
        "duration": f"{report.duration:.3f} s",
        "deadline": report.deadline or "",
        "limit": f"{report.deadline:g} s" if report.deadline else "",
        "used": _percent(report.duration, report.deadline),
        "facts": _facts(report),
        "sections": list(_sections(report)),
        "total": len(report.results),
        "nothing": not report.results and not report.selected,
    }


def _facts(report: Report) -> list[tuple[str, str]]:
    facts = [
        ("Release", one_line(report.release)),
        ("Node", one_line(report.node)),
        ("Process", str(report.pid or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _ago(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _percent(part: float, whole: float) -> str:
    """Return the width of a bar; what is not nothing can be seen."""
    return f"{min(max(100 * part / whole, 1), 100):.1f}%" if whole else "0%"


def _sections(report: Report) -> Iterator[dict[str, Any]]:
    """Yield what did not pass, worst first, then what did, by class."""
    slowest = max((result.duration for result in report.results), default=0)
    anchors = list(_anchors(report.results))
    for label, title in SECTIONS:
        tests = [
            _test(result, anchor, slowest)
            for result, anchor in zip(report.results, anchors, strict=True)
            if result.label == label
        ]
        if tests:
            groups = list(_classes(tests)) if label == "passed" else []
            word = "warning" if label == "warned" and len(tests) == 1 else title.lower()
            yield {"label": label, "title": title, "tests": tests, "groups": groups, "word": word}


def _classes(tests: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for owner, members in groupby(tests, key=lambda test: test["owner"]):
        listed = list(members)
        yield {"owner": owner.rstrip("."), "tests": listed, "size": counted(len(listed), "test")}


def _anchors(results: Iterable[TestResult]) -> Iterator[str]:
    """Yield an id for the element of each result; the same test may have several results."""
    times: Counter[str] = Counter()
    for result in results:
        anchor = re.sub(r"\s", "_", one_line(result.id)) or "_"
        times[anchor] += 1
        yield anchor if times[anchor] == 1 else f"{anchor}~{times[anchor]}"


def _test(result: TestResult, anchor: str, slowest: float) -> dict[str, Any]:
    owner, dot, name = one_line(result.id).rpartition(".")
    whole = visible(result.traceback).strip("\n")
    own = own_frames(f"{whole}\n").strip("\n")
    return {
        "anchor": anchor,
        "owner": owner + dot,
        "name": name,
        "label": result.label,
        "folds": result.label in ("failed", "errored", "warned"),
        "open": result.label in ("failed", "errored"),
        "description": one_line(result.description),
        "duration": f"{result.duration:.3f} s",
        "width": _percent(result.duration, slowest),
        "notes": ", ".join(notes(result)),
        "message": list(_lines(visible(uncoloured(result.message)).strip("\n"))),
        "place": f"{one_line(result.file)}:{result.line}" if result.file else "",
        "traceback": own,
        "all_frames": whole if whole != own else "",
        "runbook": runbook(result),
        # Anything else might be a script: javascript:…
        "runbook_is_link": result.runbook.startswith(("https://", "http://")),
        "command": "" if result.label in ("passed", "skipped") else _command(result.id),
    }


def _command(id: str) -> str:
    """Return the command line that runs the test again; a shell takes it as it stands."""
    return f"{COMMAND} {shlex.quote(one_line(label_for(id)))}"


_SIGNS = {"- ": "del", "+ ": "ins", "? ": "i", "  ": ""}
"""How a line of a diff begins (difflib.ndiff), and the element that it is shown in."""


def _lines(message: str) -> Iterator[tuple[str, str]]:
    """Yield each line of ``message``, and the element for it where it is part of a diff."""
    lines = message.split("\n") if message else []
    is_diff = _is_diff(lines)
    for line in lines:
        yield _SIGNS.get(line[:2], "") if is_diff else "", line


def _is_diff(lines: list[str]) -> bool:
    """Whether a diff stands below the first line; a list with dashes is none."""
    signs = {line[:2] for line in lines[1:]} & _SIGNS.keys()
    return len(signs) > 1 and bool(signs & {"- ", "+ "})


_BLANK = {
    "anchor": "_",
    "folds": True,
    "open": True,
    "message": [("", "_")],
    "runbook_is_link": True,
    **dict.fromkeys(("owner", "name", "label", "description", "duration", "width", "notes"), "_"),
    **dict.fromkeys(("place", "traceback", "all_frames", "runbook", "command"), "_"),
}
"""A test that has everything: the script fills its own in there."""
