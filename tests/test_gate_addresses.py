"""Whom the gate asks, and by what name it calls them."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from smoketest.arguments import InvalidArgument
from smoketest.gate.addresses import Address, listed, parse, resolved

URL = "https://www.example.com/smoketest/"


def refused(*urls: str) -> str:
    with pytest.raises(InvalidArgument) as caught:
        parse(urls)
    return str(caught.value)


def test_a_node_is_called_by_its_url_without_the_query() -> None:
    [found] = parse([f"{URL}?a=1&b=#top"], [("format", "json"), ("tag", "a b")])
    assert found == Address(name=URL, url=f"{URL}?a=1&b=&format=json&tag=a+b")


def test_an_argument_that_the_locale_cannot_decode_is_sent_as_it_was() -> None:
    [found] = parse([URL], [("tag", os.fsencode("\u0436").decode("ascii", "surrogateescape"))])
    assert found.url == f"{URL}?tag=%D0%B6"


def test_a_url_that_is_there_twice_is_asked_once() -> None:
    assert len(parse([URL, URL, "http://[::1]:8000"])) == 2


def test_two_questions_to_one_node_are_refused() -> None:
    assert "is there twice, with different queries." in refused(URL, f"{URL}?tag=x")


@pytest.mark.parametrize("secret", ["user:hunter2@", "hunter2@", ":hunter2@", "@"])
def test_a_password_in_a_url_is_refused_and_not_repeated(secret: str) -> None:
    said = refused(f"https://{secret}www.example.com/")
    assert "A URL for 'www.example.com' has a user or a password in it." in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["https://me:hunter2@[/", "https://me:hunter2@h:x/"])
def test_a_broken_url_does_not_tell_its_password(url: str) -> None:
    assert "hunter2" not in refused(url)


def test_a_url_without_a_scheme_has_a_near_one() -> None:
    assert "Did you mean 'https://www.example.com/'?" in refused("www.example.com/")


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "https://", "https:///path", "https://a:0/", "http://[::1", "http://a:x/", ""],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    assert "Write for example https://www.example.com/smoketest/." in refused(url)


@pytest.mark.parametrize("url", ["https://a b/", "https://a/b c", "https://a/\x00"])
def test_blanks_and_controls_are_refused(url: str) -> None:
    assert "it has a blank in it" in refused(url)


def test_a_file_has_a_url_a_line(tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text(f"# web\n\n  {URL}\nhttp://10.0.0.2/#x # the second\n")
    assert list(listed(str(tmp_path / "nodes"))) == [URL, "http://10.0.0.2/#x"]


def test_urls_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{URL}\n"))
    assert list(listed("-")) == [URL]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "nodes").write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"--nodes-file names .* which cannot be read"):
        list(listed(str(tmp_path / "nodes")))


def test_an_address_needs_no_resolving() -> None:
    given = parse(["http://127.0.0.1/", "http://[::1]:8000/"])
    assert asyncio.run(resolved(given)) == given


def test_a_name_is_resolved_to_its_addresses() -> None:
    found = asyncio.run(resolved(parse(["http://localhost:8000/x/"])))
    assert ("http://localhost:8000/x/ (127.0.0.1)", "127.0.0.1") in [
        (one.name, one.address) for one in found
    ]
    assert {one.url for one in found} == {"http://localhost:8000/x/"}


def test_a_name_that_is_too_long_has_no_address() -> None:
    [found] = asyncio.run(resolved(parse([f"http://{'a' * 70}.example/"])))
    assert "has no address: " in found.problem
