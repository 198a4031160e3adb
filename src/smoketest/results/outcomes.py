"""What became of one test."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from datetime import UTC, datetime
from typing import Any


class Outcome(enum.StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion did not hold, or an expected failure did not happen."""
    ERRORED = "errored"
    """Anything else that went wrong: an exception, an import, a fixture, a
    time-out, a refused operation."""
    SKIPPED = "skipped"


LABELS = ("passed", "failed", "errored", "warned", "skipped")
"""The words of a report for what became of a test; see :attr:`TestResult.label`."""

_BAD = frozenset({Outcome.FAILED, Outcome.ERRORED})

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What became of one test."""

    __test__ = False  # pytest: not a test class, whatever its name says

    id: str
    """The address of the test: ``shop.smoke.CatalogueTest.test_can_read``."""
    outcome: Outcome
    optional: bool = False
    """Whether a failure is a warning only."""
    duration: float = 0.0
    """Seconds by the monotonic clock, for setUp, test and tearDown together."""
    started_at: datetime = EPOCH
    """Aware."""
    description: str = ""
    """First line of the docstring."""
    tags: tuple[str, ...] = ()
    message: str = ""
    """Why it failed, errored or was skipped; several lines where there is much to say."""
    traceback: str = ""
    timed_out: bool = False
    """Whether it was still running at its own limit."""
    cut_off: bool = False
    """Whether the run ended before it did, or before it began: at its deadline, or for
    another reason that ``message`` says."""
    retried: bool = False
    """Whether it ran a second time; this is the result of that second time."""
    file: str = ""
    line: int = 0
    """Line in ``file`` where it failed, or where the test is defined; 0 is unknown."""
    runbook: str = ""
    """URL of what to do about a failure."""
    node: str = ""
    """The node that it ran on, in a report that spans nodes; one of the report's
    :attr:`Report.nodes`. Empty in the report of one process, and for what is said of
    the fleet as a whole."""

    @property
    def bad(self) -> bool:
        """Whether it failed or errored, optional or not."""
        return self.outcome in _BAD

    @property
    def fails_run(self) -> bool:
        """Whether the run cannot pass because of it."""
        return self.outcome in _BAD and not self.optional

    @property
    def warned(self) -> bool:
        """Whether it failed or errored, and that does not fail the run."""
        return self.optional and self.outcome in _BAD

    @property
    def label(self) -> str:
        """One of :data:`LABELS`: its outcome, but an optional failure is ``warned``."""
        return "warned" if self.warned else self.outcome.value

    @property
    def class_id(self) -> str:
        """The id without its last part."""
        return self.id.rpartition(".")[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values; ``started_at`` becomes ISO 8601.

        There is a ``node`` only where the report spans nodes.
        """
        data = {name: getattr(self, name) for name in _FIELDS if name != "node"}
        data["outcome"] = self.outcome.value
        data["started_at"] = self.started_at.isoformat()
        data["tags"] = list(self.tags)
        return data | ({"node": self.node} if self.node else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TestResult:
        """Return the result that ``to_dict`` was made from; unknown keys are ignored.

        Raises ``KeyError`` or ``ValueError`` where ``data`` is not such a result.
        """
        values = {name: data[name] for name in _FIELDS if name in data}
        values["id"] = data["id"]
        values["outcome"] = Outcome(data["outcome"])
        values["tags"] = tuple(data.get("tags", ()))
        if "started_at" in values:
            values["started_at"] = datetime.fromisoformat(values["started_at"])
        return cls(**values)


_FIELDS = tuple(f.name for f in fields(TestResult))

_Draft = make_dataclass(
    "_Draft",
    [(f.name, f.type, field(default=f.default)) for f in fields(TestResult)],
    slots=True,
    repr=False,
    eq=False,
)
"""A :class:`TestResult` before it is frozen: the same memory, with attributes to set."""


def new_result(*values: Any, **named: Any) -> TestResult:
    """Return ``TestResult(...)`` in a third of the time; ``values`` are in its fields' order.

    The constructor of a frozen dataclass calls ``object.__setattr__`` for each field, which
    for ten thousand tests that do nothing is a tenth of the whole run.
    """
    result = _Draft(*values, **named)
    result.__class__ = TestResult  # both have the same slots, so this is only a new label
    return result  # type: ignore[no-any-return]
