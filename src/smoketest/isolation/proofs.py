"""What a run knows of its own transactions, so that it can be verified that none was committed.

Each transaction is marked as it begins, in ways that it cannot survive: by a savepoint of
a name that nobody can guess, or by counters of its session. Just before its rollback the
mark is looked for. If it is gone, the transaction has ended in the middle of the test.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

Tell = Callable[..., None]
"""Called with ``"begun"`` or ``"ended"``, a number, and what there is to say."""


@dataclass(slots=True)
class Evidence:
    """One transaction of the run's."""

    alias: str
    subject: str
    """The test, or the fixture, that it was begun for."""
    marks: Mapping[str, str]
    """What to look for at its end, and what to ask the server after."""
    end: str | None = None
    """``None`` where nobody saw it, ``""`` for a rollback, else what is wrong with it."""


class Proofs:
    """The evidence of one run, from all of its threads."""

    def __init__(self, tell: Tell = lambda *event: None) -> None:
        self._tell = tell
        self._numbers = itertools.count()
        self._evidence: dict[Any, Evidence] = {}
        self._adding = threading.Lock()

    def begun(self, alias: str, subject: str, marks: Mapping[str, str]) -> Callable[[str], None]:
        """Take note of a transaction; return what to call at its end, with what is wrong with it.

        That is ``""`` for nothing.
        """
        number = next(self._numbers)
        self._note_begun(number, Evidence(alias, subject, marks))

        def ended(fault: str) -> None:
            self._note_ended(number, fault)

        return ended

    def take_over(self, process: Hashable, event: str, number: int, *values: Any) -> None:
        """Take note of what the :class:`Proofs` of another process have told."""
        if event == "begun":
            self._note_begun((process, number), Evidence(*values))
        else:
            self._note_ended((process, number), *values)

    def by_alias(self) -> dict[str, list[Evidence]]:
        """Return all that is known, by the database."""
        with self._adding:
            found: dict[str, list[Evidence]] = {}
            for evidence in self._evidence.values():
                found.setdefault(evidence.alias, []).append(evidence)
            return found

    def _note_begun(self, number: Any, evidence: Evidence) -> None:
        with self._adding:
            self._evidence[number] = evidence
        self._tell("begun", number, evidence.alias, evidence.subject, dict(evidence.marks))

    def _note_ended(self, number: Any, fault: str) -> None:
        self._evidence[number].end = fault
        self._tell("ended", number, fault)
