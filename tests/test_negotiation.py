"""How much a header ``Accept`` likes a media type; which format that gives: ``test_renderers``."""

from __future__ import annotations

import pytest

from smoketest.negotiation import LONGEST_HEADER, NOT_ACCEPTABLE, parse, rank


def liked(accept: str, *media_types: str) -> list[str]:
    """Those of ``media_types`` that are acceptable, the best first."""
    ranks = {one: rank(one, parse(accept)) for one in media_types}
    acceptable = [one for one, found in ranks.items() if found > NOT_ACCEPTABLE]
    return sorted(acceptable, key=lambda one: ranks[one], reverse=True)


@pytest.mark.parametrize(
    ("accept", "best_first"),
    [
        ("text/html, text/*;q=0.5", ["text/html", "text/plain"]),
        ("text/plain;q=0.1, */*", ["application/json", "text/html", "text/plain"]),
        ("text/*, text/html;q=0", ["text/plain"]),
        ("text/html;level=1, text/plain", ["text/plain", "text/html"]),
        ("APPLICATION/JSON", ["application/json"]),
        ("image/png", []),
        ("nonsense", []),
        ("", []),
    ],
)
def test_the_narrower_range_overrules_the_wider_one(accept: str, best_first: list[str]) -> None:
    assert liked(accept, "application/json", "text/html", "text/plain") == best_first


def test_a_header_that_is_too_long_likes_nothing() -> None:
    padded = "text/html".ljust(LONGEST_HEADER)
    assert liked(padded, "text/html") == ["text/html"]
    assert liked(f"{padded} ", "text/html") == []
