"""The runs before this one as a part of the page: a strip of signs, and a table of the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoketest.escaping import one_line
from smoketest.past import Past, failing, new_releases
from smoketest.spelling import counted
from smoketest.wording import when

_SIGNS = {"passed": "✓", "failed": "✕", "skipped": "?"}
"""Beside the colour: what stands in the strip for a run that passed, failed, could not tell."""


def history(recent: Sequence[Past]) -> dict[str, Any]:
    """Return what ``history.html`` shows of ``recent`` runs, the oldest first.

    One run, of which the page itself tells, has nothing before it to be shown.
    """
    if len(recent) < 2:
        return {}
    runs = [_run(past, new) for past, new in zip(recent, new_releases(recent), strict=True)]
    cells = [_cells(past) for past in recent]
    titles = [title for title in cells[0] if any(one[title] for one in cells)]
    return {
        "said": said(recent),
        "runs": runs,
        "titles": titles,
        "lines": [
            (run, [cell[title] for title in titles])
            for run, cell in zip(reversed(runs), reversed(cells), strict=True)
        ],
    }


def said(recent: Sequence[Past]) -> str:
    """Return a sentence on what matters first of some ``recent`` runs: since when it fails."""
    series = failing(recent)
    if series is not None:
        least = "" if series.complete else "at least "
        return f"Not passing since {least}{when(series.since)}: {counted(series.runs, 'run')}."
    bad = [past for past in recent if not past.passed]
    if bad:
        return f"It last did not pass at {when(bad[-1].started_at)}."
    return f"{counted(len(recent), 'run')}, and all passed."


def _run(past: Past, is_new: bool) -> dict[str, Any]:
    label = "passed" if past.passed else "skipped" if past.inconclusive else "failed"
    return {
        "label": label,
        "sign": _SIGNS[label],
        "status": "could not tell" if label == "skipped" else past.status,
        "started": past.started_at.isoformat(timespec="milliseconds"),
        "at": when(past.started_at),
        "tests": _tests(past),
        "took": f"{past.duration:.3f} s",
        "new_release": one_line(past.release) if is_new else "",
    }


def _cells(past: Past) -> dict[str, str]:
    """Return what not every reader may see, and not every run has, by titles."""
    return {
        "Release": one_line(past.release),
        "Node": one_line(past.node),
        "Role": one_line(past.role),
        "Failed": ", ".join(map(one_line, past.names)),
    }


def _tests(past: Past) -> str:
    failed = f"{past.failed} of " if past.failed else ""
    return f"{failed}{counted(past.tests, 'test')}{' failed' if failed else ''}"
