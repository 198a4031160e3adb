"""One question to all workers, from the greeting to the tidying up.

It is held on a thread of its own, so whoever asks can stop waiting at the deadline,
whatever the broker does, and so that nothing is sent inside of a transaction of the
caller's: an ORM-backed broker or cache would undo that with it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from smoketest.fleet import Answer
from smoketest.options import WORKER
from smoketest.results import Report

from . import problems
from .broker import Broker
from .letters import Letter, Letterbox, Unreachable
from .pace import Pace

POLL = 0.02
"""Seconds between two looks for answers, and as much more for each 20 that are missing."""
RENEW = 2.0
"""Seconds until a worker is told once more to listen; then twice as long, and so on."""
HARD_GRACE = 2.0
"""Seconds by which Celery's hard limit is behind the soft one: with the pool prefork only."""


@dataclass
class Conversation:
    """What is asked, and who has answered; :meth:`hold` is the whole of it."""

    broker: Broker
    """Open."""
    letterbox: Letterbox
    task: str
    """Its name."""
    question: dict[str, Any]
    pace: Pace
    expected: Collection[str]
    on_asked: Callable[[str], object]
    on_answer: Callable[[Answer], object]
    _present: set[str] = field(default_factory=set)
    """Nodes that answered at all."""
    _sent: dict[str, str] = field(default_factory=dict)
    """The id of the message that a node was sent."""
    _waiting: dict[str, str] = field(default_factory=dict)
    """The same, of those of which nothing has been said."""
    _listening: set[str] = field(default_factory=set)
    """Nodes whose message has not been answered."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Wait for no more answers, but tidy up."""
        self._stop.set()

    def hold(self) -> None:
        """Ask, listen, and leave nothing behind.

        Raises one of the broker's errors; nothing was said of some nodes then.
        """
        try:
            self._talk()
        finally:
            # A letter that cannot be taken out has an end of its own.
            with contextlib.suppress(Unreachable):
                self.letterbox.forget(self._sent.values())

    def _talk(self) -> None:
        try:
            self.broker.ask("registered", self.pace.greeting, self._greeted)
            self._listen()
        except Unreachable as error:
            for node in list(self._waiting):
                self._say(node, problems.no_way_back(str(error)))
        finally:
            for node in self._listening:
                self.broker.release(node)
            self._part()
            self.broker.clear(self._sent, self._listening, self.pace.farewell / 2)

    def _greeted(self, node: str, tasks: Any) -> None:
        """Ask a node that is there."""
        if node in self._present:
            self._waiting.pop(node, None)
            self._say(node, problems.TWINS)
            return
        self._present.add(node)
        self.on_asked(node)
        if isinstance(tasks, list) and self.task not in (name.split()[0] for name in tasks):
            self._say(node, problems.OLDER)
            return
        self._send(node)

    def _send(self, node: str) -> None:
        seconds = self.pace.for_tests
        self._sent[node] = self._waiting[node] = id = str(uuid4())
        self._listening.add(node)
        limits = self.question["limits"] | {"deadline": seconds}
        # Where even the run's own deadline does not hold, there is still time to say so.
        soft = seconds + self.pace.way_back / 2
        self.broker.send(
            node,
            self.task,
            id,
            kwargs=self.question
            | {
                "limits": limits,
                "until": time.time() + seconds,
                "way_back": self.pace.way_back,
                "letterbox": self.letterbox.name,
            },
            expires=seconds,
            soft_time_limit=soft,
            time_limit=soft + HARD_GRACE,
        )

    def _listen(self) -> None:
        """Take the answers as they come, and those that are there at the end."""
        renewal = RENEW
        while self._waiting:
            self._collect()
            if self._stop.is_set() or not self.pace.for_answers:
                return
            if self.pace.elapsed > renewal:
                renewal *= 2
                self._renew()
            self._stop.wait(POLL + POLL * len(self._waiting) / 20)

    def _collect(self) -> None:
        letters = self.letterbox.collect(self._waiting.values())
        for node, id in list(self._waiting.items()):
            if id in letters:
                self._answered(node, letters[id])

    def _renew(self) -> None:
        # Another question that ends lets its nodes listen no more, those of this one too.
        for node in self._waiting:
            self.broker.listen(node)

    def _answered(self, node: str, letter: Letter) -> None:
        self._listening.discard(node)
        self.broker.release(node)
        if letter.get("failure") == "NotRegistered":
            self._say(node, problems.OLDER)
        elif "problem" in letter:
            self._say(node, problems.refused(letter["problem"]))
        else:
            self._reported(node, letter)

    def _reported(self, node: str, letter: Letter) -> None:
        try:
            report = Report.from_dict(letter["report"])
        except (KeyError, TypeError, ValueError):
            self._say(node, problems.UNREADABLE)
        else:
            self._waiting.pop(node, None)
            self.on_answer(Answer(node=node, role=WORKER, report=report))

    def _part(self) -> None:
        """Say of everybody who has not answered what became of them."""
        if self._stop.is_set():
            for node in list(self._waiting):
                self._say(node, problems.STOPPED, cut_off=True)
            return
        alive: set[str] = set()
        missing = self._missing()
        self.broker.ask(
            "ping",
            self.pace.farewell / 2,
            lambda node, pong: alive.add(node),
            [*self._waiting, *missing],
        )
        for node in list(self._waiting):
            self._say(node, problems.BUSY if node in alive else problems.GONE)
        for node in missing:
            self._say(node, problems.STARTING if node in alive else problems.ABSENT)

    def _missing(self) -> list[str]:
        """Return who is expected and was not there; a name of a host only is nobody's."""
        return [name for name in self.expected if "@" in name and name not in self._present]

    def _say(self, node: str, problem: str, *, cut_off: bool = False) -> None:
        self._waiting.pop(node, None)
        self.on_answer(Answer(node=node, role=WORKER, problem=problem, cut_off=cut_off))
