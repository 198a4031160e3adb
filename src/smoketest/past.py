"""What is remembered of a run after its report is gone, and what a row of such runs says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

AGE = "smoketest.history.age"
"""Id of the result that errors where the last run is too long ago."""
RELEASE = "smoketest.history.release"
"""Id of the result that warns where the last run was of another release."""

MOST_NAMED = 10
"""Tests of a run that are named; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run, as the history has it."""

    passed: bool
    inconclusive: bool = False
    """Whether it neither passed nor found anything wrong."""
    started_at: datetime
    """Aware, by the clock of its node."""
    duration: float = 0.0
    """Seconds."""
    tests: int = 0
    """Tests that ran to an outcome."""
    failed: int = 0
    """Tests that failed or errored and were not optional."""
    warned: int = 0
    names: tuple[str, ...] = ()
    """Ids of the first of those that failed or errored."""
    release: str = ""
    node: str = ""
    """Host name."""
    role: str = ""

    @property
    def status(self) -> str:
        """``"PASS"`` or ``"FAIL"``."""
        return "PASS" if self.passed else "FAIL"

    @property
    def ended_at(self) -> datetime:
        """Aware, by the clock of its node."""
        return self.started_at + timedelta(seconds=self.duration)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values, with its ``status``."""
        data = asdict(self) | {"started_at": self.started_at.isoformat(), "names": [*self.names]}
        return {"status": self.status} | data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Past:
        """Return the run that ``to_dict`` was made from; unknown keys are ignored.

        Raises ``KeyError``, ``TypeError`` or ``ValueError`` where ``data`` is no such run.
        """
        values = {name: data[name] for name in _FIELDS if name in data}
        values["started_at"] = datetime.fromisoformat(data["started_at"])
        values["names"] = tuple(data.get("names", ()))
        return cls(**values)


_FIELDS = tuple(f.name for f in fields(Past))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Runs one after the other that did not pass, up to the last one."""

    since: datetime
    """When the first of them began."""
    runs: int
    complete: bool
    """Whether the run before it is known, so that it was the first."""


def failing(recent: Sequence[Past]) -> Series | None:
    """Return since when ``recent`` runs, the oldest first, fail; ``None`` if the last passed."""
    first = len(recent)
    while first and not recent[first - 1].passed:
        first -= 1
    if first == len(recent):
        return None
    since = recent[first].started_at
    return Series(since=since, runs=len(recent) - first, complete=first > 0)


def new_releases(recent: Sequence[Past]) -> Iterator[bool]:
    """Yield for each of ``recent`` runs whether it is of another release than the one before."""
    before = ""
    for one in recent:
        yield bool(before and one.release and one.release != before)
        before = one.release or before
