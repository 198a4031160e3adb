"""What became of a run: its verdict and its counts, computed here and once.

No renderer, view or command counts or judges.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from smoketest.past import MOST_NAMED, Past

from .outcomes import EPOCH, LABELS, Outcome, TestResult


class Detail(enum.StrEnum):
    """How much of a report its reader may see."""

    DETAILS = "details"
    SUMMARY = "summary"
    """Verdict, counts, times, ids and outcomes."""
    VERDICT = "verdict"


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
        counted = dict.fromkeys(LABELS, 0)
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
            result.fails_run and not result.cut_off for result in self.results
        )

    @property
    def exit_status(self) -> int:
        """0 passed, 1 failed, 3 could not tell."""
        if self.passed:
            return 0
        return 3 if self.inconclusive else 1

    def ids(self, *labels: str) -> list[str]:
        """Return the ids of what :meth:`labelled` returns."""
        return [result.id for result in self.labelled(*labels)]

    def labelled(self, *labels: str) -> list[TestResult]:
        """Return the results with one of ``labels``: all with the first one, then the next."""
        found = [result for result in self.results if result.label in labels]
        return sorted(found, key=lambda result: labels.index(result.label))

    @property
    def recovered(self) -> list[TestResult]:
        """The results that passed, and not at their first attempt."""
        return [result for result in self.results if result.retried and result.label == "passed"]

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
            names=tuple(self.ids("failed", "errored")[:MOST_NAMED]),
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
