"""When to ask again: rounds over all nodes, until the fleet passes or patience is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from smoketest import fleet
from smoketest.fleet import Answer, Expectation, Judged
from smoketest.gate.addresses import Address, resolved
from smoketest.gate.asking import Asker, Reply
from smoketest.results import Report

INTERVAL = 1.0
"""Seconds from the beginning of one round to that of the next, at least."""

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
    """Rounds that must pass in a row; the ones after the first have no limit in time."""


def _nothing(*_: object) -> None:
    """Take no note."""


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
        interrupted, streak = False, 0
        try:
            while True:
                begun = monotonic()
                await self._round(everybody=self.patience.consecutive > 1)
                report = self._report(started_at=started_at, duration=monotonic() - start)
                streak = streak + 1 if report.passed else 0
                rest = max(0.0, begun + INTERVAL - monotonic())
                if streak >= self.patience.consecutive or (
                    not streak and monotonic() + rest - start > self.patience.wait
                ):
                    return report
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
        before = self._answers.get(name)
        if before is not None and before.report is not None and answer.report is not None:
            answer = replace(answer, report=fleet.retried(answer.report, before.report))
        self._answers[name] = answer
        self._judged[name] = fleet.judge(answer, self.expectation)
        (self._misunderstood.add if reply.misunderstood else self._misunderstood.discard)(name)
        self.on_answer(answer)

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
