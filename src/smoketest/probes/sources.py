"""Where a value comes from: a setting, an environment variable or a file."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

_NOWHERE = object()


def value_from(source: str) -> str:
    """Return what ``"setting:NAME"``, ``"variable:NAME"`` or ``"file:PATH"`` holds, stripped.

    Anything else is the value itself. So an address with a password need not be written
    where a probe is named. Raises ``LookupError`` where nothing is held, and does not
    show what is.
    """
    kind, _, name = source.partition(":")
    value = _READERS[kind](name) if kind in _READERS else source
    if value in (None, "", _NOWHERE):
        raise LookupError(
            f"{source!r} holds nothing. The probe takes a value from there."
            f" Give the {kind} a value, or name another."
        )
    return str(value).strip()


def _file(name: str) -> object:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return _NOWHERE


_READERS = {
    "setting": lambda name: getattr(settings, name, _NOWHERE),
    "variable": lambda name: os.environ.get(name, _NOWHERE),
    "file": _file,
}
