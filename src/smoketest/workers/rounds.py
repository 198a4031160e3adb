"""Asks the workers again, until they pass or patience is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic, sleep

from smoketest.fleet import ANYTHING, Answer, Expectation, retried
from smoketest.options import Options
from smoketest.results import Report
from smoketest.selection import Selection

from .asking import ask

INTERVAL = 1.0
"""Seconds from the beginning of one round to that of the next, at least."""


@dataclass
class Rounds:
    """A question to all workers that may be repeated; the callbacks are those of ``ask``."""

    selection: Selection
    options: Options
    expectation: Expectation = ANYTHING
    on_asked: Callable[[str], None] = lambda node: None
    on_answer: Callable[[Answer], None] = lambda answer: None
    on_round: Callable[[], None] = lambda: None
    _before: dict[str, Answer] = field(default_factory=dict)
    """The last answer of each node."""

    def run(self, patience: float) -> Report:
        """Return the report of the last round; none begins after ``patience`` seconds.

        What had failed in the round before is ``retried``. Raises as ``ask`` does.
        """
        start = monotonic()
        while True:
            begun = monotonic()
            report = self._round()
            rest = max(0.0, begun + INTERVAL - monotonic())
            over = monotonic() + rest - start > patience
            if report.passed or report.interrupted or over:
                return replace(report, duration=monotonic() - start)
            try:
                sleep(rest)
            except KeyboardInterrupt:
                return replace(report, interrupted=True)

    def _round(self) -> Report:
        self.on_round()
        return ask(
            self.selection,
            self.options,
            self.expectation,
            on_asked=self.on_asked,
            on_answer=self.on_answer,
            marked=self._marked,
        )

    def _marked(self, answer: Answer) -> Answer:
        """Return ``answer``, in which what had failed before says that it ran again."""
        before = self._before.get(answer.node)
        self._before[answer.node] = answer
        if answer.report is None or before is None or before.report is None:
            return answer
        return replace(answer, report=retried(answer.report, before.report))
