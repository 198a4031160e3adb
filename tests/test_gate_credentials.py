"""Where the token comes from, and that nothing tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoketest.arguments import InvalidArgument
from smoketest.gate.asking import Question
from smoketest.gate.credentials import Credentials, read

TOKEN = 'a-"token"/of-24-letters'
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def refused(variable: str | None, file: str | None, **environment: str) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read(variable, file, environment)
    said = str(caught.value)
    assert "secret" not in said
    return said


def test_the_token_is_in_the_usual_variable() -> None:
    assert read(None, None, {"SMOKETEST_TOKEN": f"{TOKEN}\n"}).headers() == HEADERS


@pytest.mark.parametrize("environment", [{}, {"SMOKETEST_TOKEN": ""}])
def test_without_the_usual_variable_nobody_is_shown_anything(environment: dict[str, str]) -> None:
    assert read(None, None, environment).headers() == {}


def test_another_variable_may_be_named() -> None:
    environment = {"SMOKETEST_TOKEN": "not-this-one", "OTHER": TOKEN}
    assert read("OTHER", None, environment).headers() == HEADERS


def test_a_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    found = read(None, str(tmp_path / "token"), {"SMOKETEST_TOKEN": "not-this-one"})
    assert found.headers() == HEADERS


@pytest.mark.parametrize("environment", [{}, {"OTHER": " "}])
def test_a_named_variable_without_a_token_is_refused(environment: dict[str, str]) -> None:
    assert "there is no token in that variable" in refused("OTHER", None, **environment)


def test_a_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    said = refused(None, str(tmp_path / "absent"))
    assert "which cannot be read: No such file or directory." in said


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    assert "there is no token in it" in refused(None, str(tmp_path / "token"))


@pytest.mark.parametrize(
    "token", ["secret two", "secret\r\nHost: x", "secret-\u00e9", "secret\x00"]
)
def test_what_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    assert "is no token (not shown)" in refused(None, None, SMOKETEST_TOKEN=token)


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN},",
        repr(TOKEN),
        'a-\\"token\\"/of-24-letters',
        "a-&quot;token&quot;/of-24-letters",
        "x=a-%22token%22%2Fof-24-letters",
    ],
)
def test_the_token_is_hidden_however_it_is_written(text: str) -> None:
    assert "of-24-letters" not in Credentials(TOKEN).cleanser()(f"before {text} after")


def test_without_a_token_nothing_is_hidden() -> None:
    assert Credentials().cleanser()("plain") == "plain"


def test_no_repr_tells_the_token() -> None:
    shown = Credentials(TOKEN)
    assert TOKEN not in repr((shown, Question(headers=shown.headers())))
