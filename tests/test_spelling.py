"""Plurals and near matches."""

from __future__ import annotations

import pytest

from smoketest.spelling import counted, did_you_mean, nearest


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 tests"), (1, "1 test"), (2, "2 tests"), (1000, "1000 tests")]
)
def test_one_is_alone_in_the_singular(number: int, words: str) -> None:
    assert counted(number, "test") == words


def test_the_nearest_word_is_offered_and_none_where_all_are_far() -> None:
    known = ("checkout", "shop", "shops")
    assert nearest("shopp", known) == "shop"
    assert did_you_mean("shopp", known) == " Did you mean 'shop'?"
    assert (nearest("auth", known), did_you_mean("auth", known)) == (None, "")


def test_nothing_is_offered_where_nothing_is_known() -> None:
    assert did_you_mean("shop", ()) == ""
