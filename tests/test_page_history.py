"""The strip of recent runs on the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smoketest.access import trim
from smoketest.page.history import history, said
from smoketest.past import Past, failing, new_releases
from smoketest.renderers.html import HTMLRenderer
from smoketest.results import Detail, Outcome, Report, TestResult

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def runs(verdicts: str, releases: str = "") -> list[Past]:
    """Return a run a minute: ``P`` passed, ``F`` failed, ``?`` could not tell."""
    return [
        past(number, verdict, releases[number : number + 1].strip())
        for number, verdict in enumerate(verdicts)
    ]


def past(minute: int, verdict: str, release: str = "", **values: Any) -> Past:
    failed = verdict == "F"
    return Past(
        passed=verdict == "P",
        inconclusive=verdict == "?",
        started_at=NOON + timedelta(minutes=minute),
        duration=0.25,
        tests=14,
        failed=int(failed),
        names=("shop.smoke.T.test_<x>",) if failed else (),
        release=release,
        **values,
    )


def page(recent: Sequence[Past], detail: Detail = Detail.DETAILS) -> str:
    result = TestResult(id="shop.smoke.T.test_it", outcome=Outcome.PASSED)
    report = Report.from_results([result], selected=1, recent=tuple(recent))
    return HTMLRenderer().render(trim(report, detail))


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ("PPP", "3 runs, and all passed."),
        ("P", "1 run, and all passed."),
        ("PFF", "Not passing since 2026-11-22 12:01:00 UTC: 2 runs."),
        ("FPF", "Not passing since 2026-11-22 12:02:00 UTC: 1 run."),
        ("FF?", "Not passing since at least 2026-11-22 12:00:00 UTC: 3 runs."),
        ("PFP", "It last did not pass at 2026-11-22 12:01:00 UTC."),
    ],
)
def test_the_first_thing_it_says_is_since_when_it_fails(verdicts: str, sentence: str) -> None:
    assert said(runs(verdicts)) == sentence


def test_nothing_fails_where_nothing_ran() -> None:
    assert failing([]) is None
    assert history([]) == {}
    assert "Recent runs" not in page([])


def test_a_new_release_is_marked_where_it_began() -> None:
    assert list(new_releases(runs("PPPPPP", "778 89"))) == [False, False, True, False, False, True]
    assert list(new_releases(runs("PP"))) == [False, False]


def test_each_run_has_a_sign_and_words_besides_its_colour() -> None:
    html = page(runs("PF?", "788"))
    items = re.findall(r'<li class="(\w+)">(.*?)</li>', html.split("<ol")[1].split("</ol>")[0])
    assert [label for label, _ in items] == ["passed", "failed", "skipped"]
    for (_, item), sign, words in zip(
        items,
        "✓✕?",
        [
            "PASS, 2026-11-22 12:00:00 UTC, 14 tests",
            "FAIL, 2026-11-22 12:01:00 UTC, 1 of 14 tests failed",
            "could not tell, 2026-11-22 12:02:00 UTC, 14 tests",
        ],
        strict=True,
    ):
        assert f'aria-hidden="true">{sign}</span>' in item
        assert f'<span class="spoken">{words}</span>' in item
    assert '<span class="spoken">new release </span>8' in items[1][1]
    assert "new release" not in items[2][1]


def test_the_table_has_the_latest_first_and_escapes_what_it_shows() -> None:
    html = page([past(0, "P", "7", node="web-1"), past(1, "F", "7", node="web-2")])
    table = html.split('<table class="nodes">')[1].split("</table>")[0]
    assert table.index("12:01:00") < table.index("12:00:00")
    assert "<td>web-2</td>" in table
    assert "shop.smoke.T.test_&lt;x&gt;" in table
    assert "test_<x>" not in html


def test_a_summary_has_neither_releases_nor_nodes() -> None:
    html = page([past(0, "P", "rel-7", node="web-1"), past(1, "F", "rel-8")], Detail.SUMMARY)
    assert "Not passing since" in html
    assert "rel-" not in html
    assert "web-1" not in html
    assert "new release" not in html


def test_a_verdict_has_no_history() -> None:
    html = page(runs("PF"), Detail.VERDICT)
    assert "Recent runs" not in html


def test_a_single_run_has_no_strip_for_the_page_tells_of_it() -> None:
    assert history(runs("F")) == {}
    assert "Recent runs" not in page(runs("F"))
    assert "Recent runs" in page(runs("PF"))
