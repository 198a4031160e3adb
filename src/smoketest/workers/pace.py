"""How the seconds of a deadline are shared out among what must happen before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock of one question to the workers; all values are seconds."""

    deadline: float
    start: float = field(default_factory=monotonic)

    @property
    def greeting(self) -> float:
        """How long to listen after the last answer, until all who are there have answered."""
        # What Celery itself waits for an answer to a ping.
        return min(SECOND, self.deadline / 5)

    @property
    def farewell(self) -> float:
        """How long it takes at most to see who is still there, and to tidy up; half of it each."""
        return min(2 * SECOND, self.deadline / 5)

    @property
    def way_back(self) -> float:
        """How long a report takes at most from a worker to whoever asked."""
        return min(SECOND / 2, self.deadline / 10)

    @property
    def elapsed(self) -> float:
        """How long ago it began."""
        return monotonic() - self.start

    @property
    def for_answers(self) -> float:
        """How long answers are still waited for; never less than 0."""
        return max(0.0, self.deadline - self.elapsed - self.farewell)

    @property
    def for_tests(self) -> float:
        """How long a run that begins now may take, if its report is to come in time."""
        return max(0.0, self.for_answers - self.way_back)
