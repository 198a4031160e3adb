"""The selected tests without a run: what ``--list`` shows."""

from __future__ import annotations

from collections.abc import Sequence

from smoketest import schema
from smoketest.escaping import one_line
from smoketest.options import ROLES
from smoketest.selection import Candidate


def as_text(candidates: Sequence[Candidate]) -> str:
    """Return one id a line; what cannot be loaded, or runs in one role only, is marked."""
    return "".join(f"{one_line(one.id)}{_remark(one)}\n" for one in candidates)


def _remark(candidate: Candidate) -> str:
    if candidate.broken:
        return " (cannot be loaded)"
    return f" ({roles[0]} only)" if (roles := _limited(candidate)) else ""


def _limited(candidate: Candidate) -> list[str]:
    """Return the roles where it runs, unless those are all that there are."""
    return sorted(candidate.runs_on) if candidate.runs_on != frozenset(ROLES) else []


def as_json(candidates: Sequence[Candidate]) -> str:
    """Return one JSON object in ASCII, and a newline.

    ``tests`` has all ids, ``cannot_be_loaded`` those of them that are only a place, and
    ``runs_on`` the roles of those that do not run everywhere.
    """
    broken = [one.id for one in candidates if one.broken]
    limited = {one.id: _limited(one) for one in candidates if _limited(one)}
    tests = [one.id for one in candidates]
    listed = {"tests": tests, "cannot_be_loaded": broken, "runs_on": limited}
    return schema.dumps(listed) + "\n"
