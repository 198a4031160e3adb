"""What a query string asks for; the view's tests have what makes no sense."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from smoketest import query
from smoketest.query import InvalidQuery, Query
from smoketest.selection import Selection


def parse(text: str) -> Query:
    return query.parse(RequestFactory().get(f"/?{text}"))


def test_no_parameter_asks_for_every_test() -> None:
    assert parse("") == Query(selection=Selection())


def test_every_parameter_has_its_place() -> None:
    asked = (
        "format=json&test=shop&test=stock&tag=a&exclude-tag=b&k=c&k=d%2A"
        "&failfast=1&timeout=2.5&deadline=10&list=0"
    )
    assert parse(asked) == Query(
        format="json",
        selection=Selection(
            labels=("shop", "stock"), tags=("a",), exclude_tags=("b",), patterns=("c", "d*")
        ),
        failfast=True,
        timeout=2.5,
        deadline=10,
        listing=False,
    )


def test_every_known_parameter_is_read() -> None:
    values = {"timeout": "1", "deadline": "1", "failfast": "1", "list": "1"}
    for name in query.PARAMETERS:
        assert parse(f"{name}={values.get(name, 'word')}") != Query()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e999", "", "1s", "٣x"])
def test_a_limit_is_a_finite_number_above_zero(text: str) -> None:
    with pytest.raises(InvalidQuery, match="'deadline' is"):
        parse(f"deadline={text}")


def test_a_long_wrong_word_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse("x" * 5000 + "=1")
    assert len(str(caught.value)) < 500
