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
    flags = ("failfast", "list", "verify", "workers", "latest")
    values = dict.fromkeys((*flags, "timeout", "deadline", "max-age"), "1") | {"role": "worker"}
    for name in query.PARAMETERS:
        besides = "latest=1&" if name in ("max-age", "role") else ""
        before = parse(besides) if besides else Query()
        assert parse(f"{besides}{name}={values.get(name, 'word')}") != before


def test_the_last_run_is_asked_for_with_its_age_and_its_role() -> None:
    asked = parse("latest=1&max-age=90&role=worker&tag=db")
    assert (asked.latest, asked.max_age, asked.role) == (True, 90, "worker")


@pytest.mark.parametrize(
    "name",
    ["failfast=1", "timeout=1", "deadline=1", "list=1", "verify=1", "workers=1", "failfast=0"],
)
def test_what_is_about_a_run_makes_no_sense_beside_latest(name: str) -> None:
    with pytest.raises(InvalidQuery, match="'latest' runs nothing"):
        parse(f"latest=1&{name}")


@pytest.mark.parametrize("name", ["max-age=5", "role=web"])
def test_what_is_about_the_last_run_makes_no_sense_without_it(name: str) -> None:
    with pytest.raises(InvalidQuery, match="which is not there"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "said"), [("role=cron", "one of web, worker"), ("max-age=0", "above 0")]
)
def test_what_is_no_role_and_no_age_is_refused(name: str, said: str) -> None:
    with pytest.raises(InvalidQuery, match=said):
        parse(f"latest=1&{name}")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e999", "", "1s", "٣x"])
def test_a_limit_is_a_finite_number_above_zero(text: str) -> None:
    with pytest.raises(InvalidQuery, match="'deadline' is"):
        parse(f"deadline={text}")


def test_a_long_wrong_word_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse("x" * 5000 + "=1")
    assert len(str(caught.value)) < 500


def test_a_long_pattern_is_refused() -> None:
    assert parse("k=" + "x" * 200).selection.patterns == ("x" * 200,)
    with pytest.raises(InvalidQuery, match="has 201 characters"):
        parse("k=short&k=" + "*" * 201)


def test_many_patterns_are_refused() -> None:
    assert len(parse("&".join(["k=x"] * 20)).selection.patterns) == 20
    with pytest.raises(InvalidQuery, match="'k' is there 21 times"):
        parse("&".join(["k=x"] * 21))
