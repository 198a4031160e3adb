"""The values a run is made of: text and numbers only, safe to send anywhere.

The verdict and the counts are computed here, once. No renderer, view or command
counts or judges.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from .past import MOST_NAMED, Past


class Outcome(enum.StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion did not hold, or an expected failure did not happen."""
    ERRORED = "errored"
    """Anything else that went wrong: an exception, an import, a fixture, a
    time-out, a refused operation."""
    SKIPPED = "skipped"


class Detail(enum.StrEnum):
    """How much of a report its reader may see."""

    DETAILS = "details"
    SUMMARY = "summary"
    """Verdict, counts, times, ids and outcomes."""
    VERDICT = "verdict"


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
    def warned(self) -> bool:
        """Whether it did not pass, and that does not fail the run."""
        return self.optional and self.outcome in _BAD

    @property
    def label(self) -> str:
        """The outcome in the words of a report: an optional failure is ``warned``."""
        return "warned" if self.warned else self.outcome.value

    @property
    def class_id(self) -> str:
        """The id without its last part."""
        return self.id.rpartition(".")[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values; ``started_at`` becomes ISO 8601.

        There is a ``node`` only where the report spans nodes.
        """
        data = {name: getattr(self, name) for name in _TEST_FIELDS if name != "node"}
        data["outcome"] = self.outcome.value
        data["started_at"] = self.started_at.isoformat()
        data["tags"] = list(self.tags)
        return data | ({"node": self.node} if self.node else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TestResult:
        """Return the result that ``to_dict`` was made from; unknown keys are ignored.

        Raises ``KeyError`` or ``ValueError`` where ``data`` is not such a result.
        """
        values = {name: data[name] for name in _TEST_FIELDS if name in data}
        values["id"] = data["id"]
        values["outcome"] = Outcome(data["outcome"])
        values["tags"] = tuple(data.get("tags", ()))
        if "started_at" in values:
            values["started_at"] = datetime.fromisoformat(values["started_at"])
        return cls(**values)


_BAD = frozenset({Outcome.FAILED, Outcome.ERRORED})
_TEST_FIELDS = tuple(f.name for f in fields(TestResult))


class _Draft:
    """A :class:`TestResult` before it is frozen: the same memory, with attributes to set."""

    __slots__ = _TEST_FIELDS

    def __init__(  # noqa: PLR0913, PLR0917 - as many as a result has
        self,
        id: str,
        outcome: Outcome,
        optional: bool = False,
        duration: float = 0.0,
        started_at: datetime = EPOCH,
        description: str = "",
        tags: tuple[str, ...] = (),
        message: str = "",
        traceback: str = "",
        timed_out: bool = False,
        cut_off: bool = False,
        retried: bool = False,
        file: str = "",
        line: int = 0,
        runbook: str = "",
        node: str = "",
    ) -> None:
        self.id = id
        self.outcome = outcome
        self.optional = optional
        self.duration = duration
        self.started_at = started_at
        self.description = description
        self.tags = tags
        self.message = message
        self.traceback = traceback
        self.timed_out = timed_out
        self.cut_off = cut_off
        self.retried = retried
        self.file = file
        self.line = line
        self.runbook = runbook
        self.node = node


def new_result(*values: Any, **named: Any) -> TestResult:
    """Return ``TestResult(...)`` in a sixth of the time; ``values`` are in its fields' order.

    The constructor of a frozen dataclass calls ``object.__setattr__`` for each field, which
    for ten thousand tests that do nothing is a tenth of the whole run.
    """
    result: Any = _Draft(*values, **named)
    result.__class__ = TestResult  # both have the same slots, so this is only a new label
    return result  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process of a fleet, and what became of the run there."""

    name: str
    """What the asker knows it by: an address, the node name of a worker."""
    role: str = ""
    """``"web"`` or ``"worker"``."""
    passed: bool = False
    """Whether its run passed and was what the asker expected."""
    optional: bool = False
    """Whether the fleet passes without it, for enough others passed."""
    problem: str = ""
    """Why there is no report of it, in a sentence; empty where there is one."""
    host: str = ""
    release: str = ""
    pid: int = 0
    duration: float = 0.0
    """Seconds that its run took."""
    cached: bool = False
    """Whether it answered with the report of an earlier run."""
    age: float = 0.0
    """Seconds since that run ended."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Node:
        """Return the node that ``to_dict`` was made from; unknown keys are ignored."""
        return cls(**{name: data[name] for name in _NODE_FIELDS if name in data})


_NODE_FIELDS = tuple(f.name for f in fields(Node))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many tests ended in which way; ``run`` is the sum of all but ``skipped``."""

    classes: int = 0
    passed: int = 0
    failed: int = 0
    errored: int = 0
    warned: int = 0
    skipped: int = 0

    @property
    def run(self) -> int:
        """Tests that ran to an outcome."""
        return self.passed + self.failed + self.errored + self.warned

    @classmethod
    def of(cls, results: Iterable[TestResult]) -> Counts:
        """Count ``results``; a test is counted under exactly one word."""
        counted = dict.fromkeys(("passed", "failed", "errored", "warned", "skipped"), 0)
        classes = set()
        for result in results:
            counted[result.label] += 1
            classes.add(result.class_id)
        return cls(classes=len(classes), **counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run, whole: what every format, status and exit status is made from.

    Build it with :meth:`from_results`, which computes the verdict and the counts.
    """

    passed: bool
    counts: Counts = field(default_factory=Counts)
    results: tuple[TestResult, ...] = ()
    """In discovery order, whatever order the tests ended in."""
    selected: int = 0
    """How many tests were asked for. With ``failfast`` fewer may have a result."""
    elsewhere: int = 0
    """How many tests more would have been asked for in a process with another role."""
    started_at: datetime = EPOCH
    """Aware."""
    duration: float = 0.0
    """Seconds by the monotonic clock."""
    release: str = ""
    node: str = ""
    """Host name."""
    role: str = ""
    """What the process counts as: ``"web"`` or ``"worker"``; empty runs every test."""
    pid: int = 0
    deadline: float = 0.0
    """Seconds that the run was given."""
    interrupted: bool = False
    """Whether somebody stopped the run before its end."""
    cached: bool = False
    """Whether it is the report of an earlier run."""
    age: float = 0.0
    """Seconds since the run ended, where it is ``cached``."""
    shared: bool = False
    """Whether it answers a caller who came while the run was under way."""
    nodes: tuple[Node, ...] = ()
    """The processes of a fleet, in the order in which they were asked; empty in the
    report of one process."""
    recent: tuple[Past, ...] = ()
    """Runs of the same selection, the oldest first, where somebody looked them up."""
    detail: Detail = Detail.DETAILS

    @classmethod
    def from_results(cls, results: Iterable[TestResult], *, selected: int, **values: Any) -> Report:
        """Judge ``results``.

        A run passes when at least one test ran, none failed or errored except
        optional ones, every one of the ``selected`` tests has a result, and each of
        the ``nodes`` passed that is not optional.
        """
        results = tuple(results)
        counts = Counts.of(results)
        passed = (
            any(result.outcome is not Outcome.SKIPPED and not result.cut_off for result in results)
            and not counts.failed
            and not counts.errored
            and len(results) >= selected
            and not values.get("interrupted", False)
            and all(node.passed or node.optional for node in values.get("nodes", ()))
        )
        return cls(passed=passed, counts=counts, results=results, selected=selected, **values)

    @property
    def status(self) -> str:
        """``"PASS"`` or ``"FAIL"``."""
        return "PASS" if self.passed else "FAIL"

    @property
    def inconclusive(self) -> bool:
        """Whether the run neither passed nor found anything wrong.

        Nothing ran, or the deadline (or a person) ended it before a test failed.
        """
        return not self.passed and not any(
            result.outcome in _BAD and not result.optional and not result.cut_off
            for result in self.results
        )

    @property
    def exit_status(self) -> int:
        """0 passed, 1 failed, 3 could not tell."""
        if self.passed:
            return 0
        return 3 if self.inconclusive else 1

    def ids(self, label: str) -> list[str]:
        """Return the ids of the results whose :attr:`TestResult.label` is ``label``."""
        return [result.id for result in self.results if result.label == label]

    def labelled(self, label: str) -> list[TestResult]:
        """Return the results whose :attr:`TestResult.label` is ``label``."""
        return [result for result in self.results if result.label == label]

    def as_past(self) -> Past:
        """Return what is remembered of it."""
        counts = self.counts
        return Past(
            passed=self.passed,
            inconclusive=self.inconclusive,
            started_at=self.started_at,
            duration=self.duration,
            tests=counts.run,
            failed=counts.failed + counts.errored,
            warned=counts.warned,
            names=(*self.ids("failed"), *self.ids("errored"))[:MOST_NAMED],
            release=self.release,
            node=self.node,
            role=self.role,
        )

    def as_cached(self, age: float) -> Report:
        """Return it as the answer to a later caller, ``age`` seconds after its end."""
        return replace(self, cached=True, age=age)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values, from which ``from_dict`` makes it again."""
        data = {name: getattr(self, name) for name in _REPORT_FIELDS}
        data["counts"] = asdict(self.counts)
        data["results"] = [result.to_dict() for result in self.results]
        data["recent"] = [past.to_dict() for past in self.recent]
        data["nodes"] = [node.to_dict() for node in self.nodes]
        data["started_at"] = self.started_at.isoformat()
        data["detail"] = self.detail.value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Return the report that ``to_dict`` was made from; unknown keys are ignored.

        Raises ``KeyError`` or ``ValueError`` where ``data`` is not such a report.
        """
        values = {name: data[name] for name in _REPORT_FIELDS if name in data}
        values["passed"] = data["passed"]
        values["counts"] = Counts(
            **{name: data["counts"][name] for name in _COUNT_FIELDS if name in data["counts"]}
        )
        values["results"] = tuple(TestResult.from_dict(item) for item in data["results"])
        values["recent"] = tuple(Past.from_dict(item) for item in data.get("recent", ()))
        values["nodes"] = tuple(Node.from_dict(item) for item in data.get("nodes", ()))
        values["started_at"] = datetime.fromisoformat(data["started_at"])
        values["detail"] = Detail(data.get("detail", Detail.DETAILS))
        return cls(**values)


_COUNT_FIELDS = tuple(f.name for f in fields(Counts))
_REPORT_FIELDS = tuple(f.name for f in fields(Report))
