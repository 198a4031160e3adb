"""Asks the workers again, until they pass or patience is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import monotonic, sleep

from smoketest.fleet import ANYTHING, Answer, Expectation, retried
from smoketest.options import Options
from smoketest.results import Report
from smoketest.selection import Selection

from .asking import NOBODY, Listener, ask

INTERVAL = 1.0
"""Seconds from the beginning of one round to that of the next, at least."""


@dataclass
class Rounds:
    """A question to all workers that may be repeated."""

    selection: Selection
    options: Options
    expectation: Expectation = ANYTHING
    listener: Listener = NOBODY
    _before: dict[str, Answer] = field(default_factory=dict)
    """The last answer of each node."""

    def run(self, patience: float) -> Report:
        """Return the report of the last round; none begins after ``patience`` seconds.

        What had failed in the round before is ``retried``. Raises as ``ask`` does.
        """
        start, listener = monotonic(), replace(self.listener, marked=self._marked)
        while True:
            begun = monotonic()
            report = ask(self.selection, self.options, self.expectation, listener)
            rest = max(0.0, begun + INTERVAL - monotonic())
            over = monotonic() + rest - start > patience
            if report.passed or report.interrupted or over:
                return replace(report, duration=monotonic() - start)
            try:
                sleep(rest)
            except KeyboardInterrupt:
                return replace(report, interrupted=True)

    def _marked(self, answer: Answer) -> Answer:
        """Return ``answer``, in which what had failed before says that it ran again."""
        before = self._before.get(answer.node)
        self._before[answer.node] = answer
        if answer.report is None or before is None or before.report is None:
            return answer
        return replace(answer, report=retried(answer.report, before.report))
