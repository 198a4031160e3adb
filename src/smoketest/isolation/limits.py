"""What a test may cost a database, and the time that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What a test may cost a database, in seconds."""

    lock_timeout: float = 2.0
    """How long a statement may wait for a lock."""
    timeout: float = 10.0
    """How long a statement may run where nobody measures the test's time."""


class Clock(Protocol):
    """The time that is left of what the thread does now."""

    expires: float
    """On the monotonic clock."""

    def pause(self) -> None:
        """Stop counting: the test waits for the run itself."""

    def resume(self) -> None:
        """Count on."""
