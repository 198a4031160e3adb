"""The token: from a variable or a file, never from the command line, and shown nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smoketest.arguments import InvalidArgument
from smoketest.cleansing import Cleanse, hiding

VARIABLE = "SMOKETEST_TOKEN"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the nodes are shown; ``repr`` does not tell it."""

    token: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return the header of the token, or none."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def cleanser(self) -> Cleanse:
        """Return a function that takes the token out of a text, however it is written there."""
        return hiding({self.token} if self.token else set())


def read(
    variable: str | None, file: str | None, environment: Mapping[str, str] = os.environ
) -> Credentials:
    """Return the token in ``file``, or else in the environment variable ``variable``.

    Without either it is in SMOKETEST_TOKEN, if anywhere. Raises :class:`InvalidArgument`
    where a token that was named is not there, or cannot be one.
    """
    if file is not None:
        return _checked(_content(file), f"the file {file!r}")
    token = environment.get(variable or VARIABLE, "").strip()
    if variable is not None and not token:
        raise InvalidArgument(
            f"--token-env names {variable!r}, and there is no token in that variable: it is not"
            " set, or empty. Set it, or leave the option out to ask as anybody may."
        )
    return _checked(token, f"the variable {variable or VARIABLE!r}") if token else Credentials()


def _content(file: str) -> str:
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        token = ""
    except OSError as error:
        raise InvalidArgument(
            f"--token-file names {file!r}, which cannot be read: {error.strerror or error}."
            " Name a file that this user may read, with the token and nothing else in it."
        ) from error
    if not token:
        raise InvalidArgument(
            f"--token-file names {file!r}, and there is no token in it. Put one of the site's"
            " SMOKETEST_TOKENS there, and nothing else."
        )
    return token


def _checked(token: str, where: str) -> Credentials:
    if not all("!" <= character <= "~" for character in token):
        raise InvalidArgument(
            f"What is in {where} is no token (not shown): it has blanks, line ends or letters"
            " beyond ASCII in it. Put one of the site's SMOKETEST_TOKENS there, and nothing else."
        )
    return Credentials(token)
