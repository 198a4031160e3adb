"""Status pages of every kind, served from here: well, in trouble, and unreadable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest

from smoketest.probes.status_pages import STATUS_PAGES
from tests.probes.running import outcomes, run
from tests.probes.web import Web, served

ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>{title}</title>'
    "<updated>{when}</updated><content>{text}</content></entry></feed>"
)
RSS = (
    '<?xml version="1.0"?><rss><channel><title>Status</title><item><title>{title}</title>'
    "<pubDate>{when}</pubDate><description>{text}</description></item></channel></rss>"
)


@pytest.fixture
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def probed(web: Web, body: object, **attributes: object) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    web.answers["/status"] = 200, {}, text.encode()
    [outcome] = outcomes("StatusPages", pages=[web.url("/status")], **attributes).values()
    return outcome.replace(web.url("/status"), "URL")


def feed(pattern: str, hours: float, title: str = "Kettles are cold", text: str = "We look") -> str:
    when = datetime.now(UTC) - timedelta(hours=hours)
    told = when.isoformat() if pattern is ATOM else format_datetime(when)
    return pattern.format(title=title, when=told, text=text)


def statuspage(indicator: str) -> object:
    return {"status": {"indicator": indicator, "description": "Kettles are cold"}}


@pytest.mark.parametrize("indicator", ["none", "maintenance"])
def test_statuspage_without_trouble_passes(web: Web, indicator: str) -> None:
    assert probed(web, statuspage(indicator)) == "passed"


def test_statuspage_with_trouble_fails_and_may_be_tolerated(web: Web) -> None:
    trouble = statuspage("minor")
    assert probed(web, trouble).startswith("failed: URL tells of trouble: Kettles are cold.")
    assert probed(web, trouble, tolerated=["none", "minor"]) == "passed"


def test_heroku_names_what_is_not_green(web: Web) -> None:
    systems = [{"system": "Apps", "status": "green"}, {"system": "Data", "status": "red"}]
    assert "tells of trouble: Data is red." in probed(web, {"status": systems})
    assert probed(web, {"status": systems[:1]}) == "passed"


@pytest.mark.parametrize("pattern", [ATOM, RSS])
def test_feed_has_trouble_where_a_fresh_entry_is_not_over(web: Web, pattern: str) -> None:
    assert "tells of trouble: Kettles are cold." in probed(web, feed(pattern, 1))
    assert probed(web, feed(pattern, 3)) == "passed"
    assert "tells of trouble" in probed(web, feed(pattern, 3), hours=4)
    assert probed(web, feed(pattern, 1, title="[RESOLVED] Kettles")) == "passed"
    assert probed(web, feed(pattern, 1, text="This has been resolved.")) == "passed"


def test_feed_without_entries_passes(web: Web) -> None:
    assert probed(web, "<rss><channel/></rss>") == "passed"


@pytest.mark.parametrize(
    "body", ["<html", "{", "{}", '{"status": 1}', RSS.format(title="", when="", text="")]
)
def test_page_that_cannot_be_read_fails(web: Web, body: str) -> None:
    assert probed(web, body).startswith("failed: The status page of URL cannot be read: ")


def test_page_that_is_gone_fails(web: Web) -> None:
    [outcome] = outcomes("StatusPages", pages=[web.url("/gone")]).values()
    assert "answered 404. It may have moved." in outcome


def test_trouble_is_a_warning_by_default(web: Web) -> None:
    [result] = run("StatusPages", pages=[web.url("/gone")]).values()
    assert result.warned


def test_names_stand_for_addresses(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {urlsplit(url).scheme for url in STATUS_PAGES.values()} == {"https"}
    web.answers["/status"] = 200, {}, json.dumps(statuspage("none")).encode()
    monkeypatch.setitem(STATUS_PAGES, "github", web.url("/status"))
    assert outcomes("StatusPages", pages=["github"]) == {"test_vendor_github": "passed"}
