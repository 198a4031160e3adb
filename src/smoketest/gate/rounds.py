"""When to ask again: rounds over all nodes, until the fleet passes or patience is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from smoketest import fleet
from smoketest.fleet import Answer, Expectation, Judged
from smoketest.results import EPOCH, Report

from .addresses import Address, resolved
from .asking import Asker, Reply

INTERVAL = 1.0
"""Seconds from the beginning of one round to that of the next, at least."""

_AGAIN = (
    "The node has answered for {seconds:g} s with the report of one and the same run, so that"
    " nothing is known of another. It is kept by SMOKETEST_CACHE_SECONDS, or by something on the"
    " way. Send a token: for a caller who has one, the node runs the tests anew."
)

INTERRUPTED = (
    "The node had not answered when the gate was interrupted. Nothing is known of it. Ask again."
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often to ask."""

    deadline: float
    """Seconds for one round."""
    wait: float = 0.0
    """Seconds after which no round begins, while the fleet does not pass."""
    consecutive: int = 1
    """Rounds that must pass in a row, each with a run of its own on every node. As long as
    they come, those after the first have no limit in time."""


def _nothing(*_: object) -> None:
    """Take no note."""


@dataclass
class _Row:
    """Rounds that passed one after the other. A run that is shown again counts once."""

    _passed: int = 0
    _again: Counter[str] = field(default_factory=Counter)
    """By node, the rounds in which it showed a run that had counted."""
    _seen: set[tuple[str, datetime, str, int]] = field(default_factory=set)
    _grown: float = field(default_factory=monotonic)
    length: int = 0
    """How many rounds count: those of the node that showed the fewest runs."""

    @property
    def stalled(self) -> float:
        """Seconds for which the rounds have passed, and the row has not grown."""
        return monotonic() - self._grown

    @property
    def repeating(self) -> list[str]:
        """The nodes that keep it from growing: what they show has counted already."""
        return [name for name, times in self._again.items() if times == max(self._again.values())]

    def heard(self, name: str, report: Report | None) -> None:
        """Take note of what a node showed; a report that tells no time is one of its own."""
        if report is None or report.started_at == EPOCH:
            return
        run = (name, report.started_at, report.node, report.pid)
        self._again[name] += run in self._seen
        self._seen.add(run)

    def ended(self, *, passed: bool) -> None:
        """Take note of how the round went."""
        self._passed += 1
        if not passed:
            self._passed = 0
            self._again.clear()
        before, self.length = self.length, self._passed - max(self._again.values(), default=0)
        if not passed or self.length != before:
            self._grown = monotonic()


@dataclass
class Rounds:
    """Asks a fleet, as often as it takes; the callbacks hear of each node in each round."""

    asker: Asker
    addresses: Sequence[Address]
    expectation: Expectation
    patience: Patience
    resolve: bool = False
    """Whether to ask each address behind a name; looked up anew in each round."""
    on_start: Callable[[list[str]], None] = _nothing
    on_begin: Callable[[str], None] = _nothing
    on_answer: Callable[[Answer], None] = _nothing
    _answers: dict[str, Answer] = field(default_factory=dict)
    """The last answer of each node."""
    _judged: dict[str, Judged] = field(default_factory=dict)
    """What it is worth; found as it comes, so that little is left for after the deadline."""
    _present: list[Address] = field(default_factory=list)
    _misunderstood: set[str] = field(default_factory=set)
    _row: _Row = field(default_factory=_Row)

    @property
    def misunderstood(self) -> str:
        """What is wrong with the selection, where every node says that something is."""
        names = [address.name for address in self._present]
        if not names or not self._misunderstood.issuperset(names):
            return ""
        return self._answers[names[0]].problem

    async def run(self) -> Report:
        """Return the report of the fleet after the last round, or after an interruption."""
        started_at, start = datetime.now(UTC), monotonic()
        interrupted = False
        try:
            while True:
                begun = monotonic()
                await self._round(everybody=self.patience.consecutive > 1)
                report = self._report(started_at=started_at, duration=monotonic() - start)
                self._row.ended(passed=report.passed)
                rest = max(0.0, begun + INTERVAL - monotonic())
                if self._row.length >= self.patience.consecutive or (
                    not report.passed and monotonic() + rest - start > self.patience.wait
                ):
                    return report
                if report.passed and self._row.stalled > self.patience.deadline:
                    self._give_up()
                    return self._report(started_at=started_at, duration=monotonic() - start)
                await asyncio.sleep(rest)
        except asyncio.CancelledError:
            interrupted = True
        return self._report(
            started_at=started_at, duration=monotonic() - start, interrupted=interrupted
        )

    async def _round(self, *, everybody: bool) -> None:
        """Ask those that have not passed, or ``everybody``."""
        until = asyncio.get_running_loop().time() + self.patience.deadline
        self._present = await self._resolved(until)
        asked = [one for one in self._present if everybody or not self._passed(one.name)]
        self.on_start([address.name for address in asked])
        await self.asker.ask(asked, until, on_begin=self.on_begin, on_reply=self._heard)

    async def _resolved(self, until: float) -> list[Address]:
        if not self.resolve:
            return list(self.addresses)
        try:
            async with asyncio.timeout_at(until):
                return await resolved(self.addresses)
        except TimeoutError:
            # Each of them says so itself, for the deadline is over.
            return list(self.addresses)

    def _heard(self, reply: Reply) -> None:
        answer, name = reply.answer, reply.answer.node
        self._row.heard(name, answer.report)
        before = self._answers.get(name)
        if before is not None and before.report is not None and answer.report is not None:
            answer = replace(answer, report=fleet.retried(answer.report, before.report))
        self._take(answer)
        (self._misunderstood.add if reply.misunderstood else self._misunderstood.discard)(name)
        self.on_answer(answer)

    def _take(self, answer: Answer) -> None:
        self._answers[answer.node] = answer
        self._judged[answer.node] = fleet.judge(answer, self.expectation)

    def _give_up(self) -> None:
        """Take what shows the same run for ever as no answer."""
        why = _AGAIN.format(seconds=self.patience.deadline)
        for name in self._row.repeating:
            self._take(Answer(node=name, problem=why))

    def _passed(self, name: str) -> bool:
        return name in self._judged and self._judged[name].passed

    def _report(self, **values: Any) -> Report:
        answers = [
            self._answers.get(address.name)
            or Answer(node=address.name, problem=INTERRUPTED, cut_off=True)
            for address in self._present or self.addresses
        ]
        return fleet.merge(
            answers,
            self.expectation,
            judged_before=self._judged,
            deadline=self.patience.deadline,
            **values,
        )
