"""Makes foreign text harmless to show: no message can forge a line or drive a terminal."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, without tab and newline
    "\u2028\u2029"  # separators that many readers take for a new line
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # order of reading: https://trojansource.codes
    "\ufeff\ufffe\uffff"
    "\ud800-\udfff]"  # lone surrogates, which no encoding can carry
)

_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""A control sequence of a terminal (ECMA-48, 5.4), of which colours are the usual ones."""


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def visible(text: str) -> str:
    r"""Return ``text`` with all but its printable characters, tabs and newlines escaped.

    Escapes are Python's (``\x1b``, ``\ud800``), so the result can always be
    encoded as UTF-8.
    """
    # All that is unsafe is not printable; to ask costs a tenth of looking for it.
    if text.replace("\n", "").isprintable():
        return text
    return _UNSAFE.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return ``text`` as :func:`visible` does, and with newlines and tabs escaped too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def uncoloured(text: str) -> str:
    """Return ``text`` without the sequences that colour it on a terminal."""
    return _COLOUR.sub("", text)
