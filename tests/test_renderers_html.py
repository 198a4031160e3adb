"""``html``: one page that loads nothing, in which no result can be more than text.

What it does in a browser is tried in ``test_page``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest

import smoketest
from smoketest.renderers.html import HTMLRenderer
from smoketest.results import Detail, Outcome, Report
from tests.reports import EVERYTHING, HOSTILE, NOTHING, STARTED, rendered, report, result


class Page(HTMLParser):
    """Reads a page as a browser does, as far as the tests need it."""

    VOID: ClassVar[set[str]] = {"meta", "link", "br", "img", "input"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of each element that has the class ``name``."""
        return [a for _, a in self.tags if name in (a.get("class") or "").split()]


def shown(html: str) -> str:
    """The page as far as it is about results: without style, script and the blank test."""
    return re.sub(r"(?s)<(style|script|template)\b.*?</\1>", "", html)


def page(*results: Any, **values: Any) -> Page:
    return Page(shown(rendered("html", report(*results, **values))))


def test_the_page_is_well_formed_and_says_the_verdict_first() -> None:
    page = Page(rendered("html"))
    assert page.open == []
    words = "3 of 13 tests failed, 5 errored, 2 warnings, 2 skipped"
    assert page.text["title"] == [f"FAIL — {words}"]
    assert page.text["strong"] == ["FAIL"]
    assert page.text["span"][0] == f" — {words}"


def test_the_page_has_no_inline_handler_or_style_and_loads_nothing() -> None:
    page = Page(rendered("html"))
    for tag, attributes in page.tags:
        assert tag not in {"img", "iframe", "form", "object", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "src" not in attributes
    assert all((link["href"] or "").startswith("data:image/svg+xml,") for link in page.all("link"))


def test_times_and_addresses_are_as_the_standard_of_html_has_them() -> None:
    """https://html.spec.whatwg.org/#times: a fraction of a second has up to three digits."""
    begun = STARTED.replace(microsecond=123456)
    run = report(result("test_a"), started_at=begun)
    page = Page(rendered("html", replace(run, recent=(run.as_past(), run.as_past()))))
    times = [time["datetime"] for time in page.all("time")]
    assert times == ["2026-11-22T11:00:00.123+00:00"] * 3
    assert not any(re.search(r"\s", link["href"] or " ") for link in page.all("link"))


def test_the_policy_of_the_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    html = rendered("html", NOTHING)
    digests = []
    for tag in ("style", "script"):
        [inside] = re.findall(rf"(?s)<{tag}>(.*?)</{tag}>", html)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        digests.append(f"'sha256-{digest}'")
    assert HTMLRenderer().content_security_policy == (
        f"default-src 'none'; style-src {digests[0]}; script-src {digests[1]}; "
        "connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_the_script_can_make_no_markup_of_text() -> None:
    script = (Path(smoketest.__file__).parent / "templates/smoketest/report.js").read_text()
    unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    assert re.findall(unsafe, script) == []
    assert "</script" not in script


@pytest.mark.parametrize("field", ["id", "message", "traceback", "description", "file", "runbook"])
def test_the_page_shows_markup_in_any_field_as_text(field: str) -> None:
    payload = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    values: dict[str, Any] = {"file": "f", "line": 1, field: payload}
    read = page(result("a", Outcome.FAILED, **values), release=payload, node=payload)
    assert read.all("script") == read.all("img") == []
    text = "".join(text for texts in read.text.values() for text in texts)
    assert payload.replace(".", "") in text.replace(".", "")


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("https://wiki.example/a?b=1&c", 1),
        ("http://wiki.example/", 1),
        ("javascript:alert(1)", 0),
        ("data:text/html,x", 0),
        (" https://wiki.example", 0),
    ],
)
def test_the_page_links_a_runbook_only_where_that_is_safe(url: str, links: int) -> None:
    hrefs = [a["href"] or "" for a in page(result("a", Outcome.FAILED, runbook=url)).all("a")]
    assert [href for href in hrefs if not href.startswith("#")] == [url] * links


def test_every_id_is_there_once_and_every_link_inside_the_page_leads_to_one() -> None:
    twice = [result("test_it"), result("test_it", Outcome.FAILED), result("with a space")]
    html = rendered("html", report(*twice, *EVERYTHING.results))
    read = Page(shown(html))
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not [one for one in ids if re.search(r"\s", one or "")]
    targets = [unquote(a["href"] or "")[1:] for a in read.all("a") if "#" in (a["href"] or "")[:1]]
    assert set(targets) <= set(ids)
    assert "module1.smoke.DemoTest.test_it~2" in targets


def test_failures_come_first_and_open_and_passes_are_folded_by_class() -> None:
    results = [
        result("test_good"),
        result("test_bad", Outcome.FAILED),
        result("test_odd", Outcome.ERRORED, optional=True),
        result("test_not", Outcome.SKIPPED),
        result("test_x", id="other.smoke.T.test_x"),
    ]
    read = page(*results)
    labels = [(a.get("class") or "").split()[1] for a in read.classed("test")]
    assert labels == ["failed", "warned", "skipped", "passed", "passed"]
    folds = [("open" in a, a.get("class")) for a in read.all("details")]
    assert folds == [(True, None), (False, None), (False, "group"), (False, "group")]


def bars(*durations: float) -> list[str | None]:
    read = page(*(result(f"test_{n}", duration=d) for n, d in enumerate(durations)))
    return [a["width"] for a in read.all("rect")]


def test_the_bar_of_a_test_is_its_duration_relative_to_the_slowest() -> None:
    group, *each = bars(1.0, 2.0, 0.0)
    assert each == ["50.0%", "100.0%", "1.0%"]
    assert group == "100.0%"  # that of the slowest in it
    assert bars(0.0, 0.0) == ["0%"] * 3


DIFF = "Lists differ: [1] != [2]\n\n- [1]\n?  ^\n+ [2]\n?  ^\n : reason"


@pytest.mark.parametrize(
    ("message", "marked"),
    [
        (DIFF, {"del": ["- [1]"], "ins": ["+ [2]"], "i": ["?  ^", "?  ^"]}),
        ("'a' != 'b'\n  same\n+ more", {"ins": ["+ more"]}),
        ("what is missing:\n- one\n- two", {}),
        ("- 1", {}),
        ("", {}),
    ],
)
def test_a_diff_is_marked_line_by_line_and_a_list_is_not(
    message: str, marked: dict[str, list[str]]
) -> None:
    read = page(result("a", Outcome.FAILED, message=message))
    assert {tag: read.text[tag] for tag in ("del", "ins", "i") if tag in read.text} == marked


def test_a_traceback_shows_the_projects_frames_and_the_rest_behind_show_all() -> None:
    foreign = f'  File "{re.__file__}", line 1, in x\n    y\n'
    own = '  File "/srv/shop/smoke.py", line 3, in test_it\n    z\n'
    bad = result("a", Outcome.ERRORED, traceback=f"Traceback:\n{foreign}{own}E: 1\n")
    html = shown(rendered("html", report(bad)))
    before, _, behind = html.partition("Show all frames")
    assert "… 1 frame …" in before
    assert "/srv/shop/smoke.py" in before
    assert re.__file__ not in before
    assert re.__file__ in behind
    assert "Show all" not in shown(rendered("html", report(replace(bad, traceback=own))))


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("shop.smoke.T.test_it", "python manage.py smoketest shop.smoke.T.test_it"),
        ("shop.smoke.T.setUpClass", "python manage.py smoketest shop.smoke.T"),
        (
            "shop.smoke.T.test_$(rm)",
            "python manage.py smoketest &#x27;shop.smoke.T.test_$(rm)&#x27;",
        ),
    ],
)
def test_a_failure_names_the_command_line_that_runs_it_again(id: str, words: str) -> None:
    html = shown(rendered("html", report(result("", Outcome.FAILED, id=id))))
    assert f"<code>{words}</code>" in html


def test_a_pass_needs_no_command_line() -> None:
    assert "manage.py" not in shown(rendered("html", report(result("test_good"))))


def test_the_second_line_says_what_ran_where_when_and_for_how_long() -> None:
    html = shown(rendered("html"))
    for words in ("9f1c2ab", "web-1", "4242", "2026-11-22 11:00:00 UTC", "3.300 s", "of 25 s"):
        assert words in html
    assert "(4.8 s before this page was made)" in html  # it took 3.3 s and is 1.5 s old
    assert "<dt>Report</dt><dd>cached: the run ended 1.5 s ago</dd>" in html


def test_the_second_line_says_whose_run_it_is_where_it_is_not_the_callers_own() -> None:
    one = report(result("a"))
    assert '<div id="whose" hidden>' in rendered("html", one)
    shared = rendered("html", replace(one, shared=True))
    assert '<div id="whose"><dt>Report</dt><dd>shared: the run was under way' in shared


def test_who_sees_less_is_told_how_to_see_more() -> None:
    hint = "Authorization: Bearer TOKEN"
    assert hint not in rendered("html")
    for detail in (Detail.SUMMARY, Detail.VERDICT):
        assert hint in rendered("html", replace(EVERYTHING, detail=detail))


def test_a_run_that_found_nothing_shows_how_to_write_the_first_test() -> None:
    html = rendered("html", NOTHING)
    [code] = re.findall(r"(?s)<pre>(.*?)</pre>", shown(html))
    compile(code.replace("&quot;", '"'), "smoke.py", "exec")
    assert "Write the first smoke test" not in rendered("html")
    assert "Write the first smoke test" not in rendered("html", replace(NOTHING, elsewhere=3))
    skipped = rendered("html", report(result("a", Outcome.SKIPPED)))
    assert "Write the first smoke test" not in skipped


def test_a_hostile_report_stays_one_well_formed_page() -> None:
    hostile = {"id": HOSTILE, "message": HOSTILE, "traceback": HOSTILE, "description": HOSTILE}
    bad = result("", Outcome.FAILED, **hostile, runbook=HOSTILE, file=HOSTILE, line=1)
    read = Page(rendered("html", report(bad, release=HOSTILE, node=HOSTILE)))
    assert read.open == []


def test_a_verdict_alone_is_a_page_too() -> None:
    read = Page(shown(rendered("html", Report(passed=True, detail=Detail.VERDICT))))
    assert read.open == []
    assert read.text["title"] == ["PASS"]
