"""The selected tests without a run: what ``--list`` shows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from smoketest.escaping import one_line
from smoketest.selection import Candidate


def as_text(candidates: Sequence[Candidate]) -> str:
    """Return one id a line; what cannot be loaded is marked."""
    return "".join(
        f"{one_line(one.id)}{' (cannot be loaded)' if one.broken else ''}\n" for one in candidates
    )


def as_json(candidates: Sequence[Candidate]) -> str:
    """Return one JSON object in ASCII, and a newline.

    ``tests`` has all ids, ``cannot_be_loaded`` those of them that are only a place.
    """
    broken = [one.id for one in candidates if one.broken]
    listed = {"tests": [one.id for one in candidates], "cannot_be_loaded": broken}
    return json.dumps(listed) + "\n"
