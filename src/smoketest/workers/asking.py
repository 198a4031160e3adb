"""Asks all workers from one thread, and makes one report of what they answer in time."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from smoketest import fleet, refusals, runner
from smoketest.fleet import ANYTHING, Answer, Expectation
from smoketest.options import WORKER, Options
from smoketest.results import Report
from smoketest.runner import Stopped
from smoketest.selection import Selection
from smoketest.sharing import Nested

from . import letters, problems
from .pace import Pace

if TYPE_CHECKING:
    from .broker import Broker
    from .conversation import Conversation

TASK = "smoketest.run"
"""The name of the task that a worker has to know."""

LIMITS = ("timeout", "timeout_ceiling", "parallel", "failfast", "verify")
"""The options that a worker takes from whoever asks; all others are its own settings."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What is called while workers are asked, on the thread of whoever asks."""

    on_start: Callable[[], None] = lambda: None
    """Before the first one is asked, when nothing is wrong with the question."""
    on_asked: Callable[[str], None] = lambda node: None
    """With the name of each node."""
    on_answer: Callable[[Answer], None] = lambda answer: None
    """When a node has answered, or is known not to; it may raise ``Stopped``, once."""
    marked: Callable[[Answer], Answer] = lambda answer: answer
    """Returns what is to count as the answer."""


NOBODY = Listener()


def ask(
    selection: Selection,
    options: Options,
    expectation: Expectation = ANYTHING,
    listener: Listener = NOBODY,
) -> Report:
    """Run the selected tests on every worker node of Celery; return one report of all.

    It comes within the deadline of the ``options``. Raises ``InvalidSelection`` and
    ``ImproperlyConfigured`` before anybody is asked, and ``Nested`` inside a smoke test.
    What goes wrong later, with the broker as well, is in the report. It is not cleansed,
    but what is from the workers is.
    """
    test_id = refusals.current_test()
    if test_id is not None:
        raise Nested(test_id)
    app = _application()
    letterbox = letters.choose(app)
    runner.select(selection, replace(options, role=WORKER))
    listener.on_start()
    return _Asking(app, letterbox, selection, options, expectation).report(listener)


def _application() -> Any:
    """Return the project's Celery application; raise ``ImproperlyConfigured`` without one."""
    try:
        from celery import current_app  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImproperlyConfigured(
            "The workers cannot be asked: Celery is not installed. It is an extra."
            ' Run: pip install "django-smoketest[celery]"'
        ) from error
    app = current_app._get_current_object()
    if app.main == "default" and not app.conf.broker_url:
        raise ImproperlyConfigured(
            "The workers cannot be asked: no Celery application was made in this process."
            " Usually the project's package imports it. Write in its __init__.py:"
            " from .celery import app as celery_app"
        )
    return app


class _Asking:
    """One question, from the side of whoever asks."""

    def __init__(
        self,
        app: Any,
        letterbox: letters.Letterbox,
        selection: Selection,
        options: Options,
        expectation: Expectation,
    ) -> None:
        from .broker import Broker
        from .conversation import Conversation

        self._options = options
        self._expectation = expectation
        self._pace = Pace(options.deadline)
        self._events: SimpleQueue[str | Answer | _End] = SimpleQueue()
        self._answers: dict[str, Answer] = {}
        self._asked: dict[str, None] = {}
        self._interrupted = False
        self._broker: Broker = Broker(app, self._pace.greeting * 2)
        self._conversation: Conversation = Conversation(
            self._broker,
            letterbox,
            TASK,
            _question(selection, options),
            self._pace,
            expectation.nodes,
            on_asked=self._events.put,
            on_answer=self._events.put,
        )

    def report(self, listener: Listener) -> Report:
        """Ask, and return the report; raise what is neither a worker's nor the broker's fault."""
        started_at = datetime.now(UTC)
        thread = threading.Thread(target=self._hold, name="smoketest-workers", daemon=True)
        thread.start()
        for event in self._until_the_end():
            if isinstance(event, Answer):
                self._take(listener.marked(event), listener)
            else:
                self._note(event, listener)
        return fleet.merge(
            [self._answers[node] for node in sorted(self._answers)],
            self._expected(),
            started_at=started_at,
            duration=self._pace.elapsed,
            node=socket.gethostname(),
            pid=os.getpid(),
            deadline=self._options.deadline,
            interrupted=self._interrupted,
        )

    def _hold(self) -> None:
        end = _End()
        try:
            self._broker.open()
            self._conversation.hold()
        except BaseException as error:  # noqa: BLE001 - it is raised or told on the other thread
            end.error = error
        finally:
            connections.close_all()
            self._events.put(end)
            self._broker.close()

    def _note(self, node: str, listener: Listener) -> None:
        if node not in self._asked:
            self._asked[node] = None
            listener.on_asked(node)

    def _take(self, answer: Answer, listener: Listener) -> None:
        self._note(answer.node, listener)  # one that is absent was not asked
        self._answers[answer.node] = answer
        try:
            listener.on_answer(answer)
        except Stopped:
            self._interrupt()

    def _interrupt(self) -> None:
        self._interrupted = True
        self._conversation.stop()

    def _until_the_end(self) -> Iterator[str | Answer]:
        """Yield what happens, until all has, or the deadline is there."""
        while True:
            try:
                event = self._events.get(timeout=max(0.0, self._left))
            except KeyboardInterrupt:
                self._interrupt()
            except Empty:
                yield from self._explained(
                    problems.broker_silent(self._broker.name, self._options.deadline)
                )
                return
            else:
                if isinstance(event, _End):
                    yield from self._explained_end(event)
                    return
                yield event

    @property
    def _left(self) -> float:
        return self._options.deadline - self._pace.elapsed

    def _explained_end(self, end: _End) -> Iterator[Answer]:
        """Yield what became of those of whom nothing was said, or raise our own error."""
        if end.error is None:
            return
        if not isinstance(end.error, self._broker.errors):
            raise end.error
        yield from self._explained(
            problems.broker_down(self._broker.name, self._broker.explain(end.error))
        )

    def _explained(self, problem: str) -> Iterator[Answer]:
        silent = [node for node in self._asked if node not in self._answers]
        if not self._asked:
            yield Answer(node=f"broker {self._broker.name}", problem=problem)
        for node in silent:
            yield Answer(node=node, role=WORKER, problem=problem)

    def _expected(self) -> Expectation:
        """Return the expectation; nobody at all is never a pass."""
        if self._answers:
            return self._expectation
        return replace(self._expectation, number=max(1, self._expectation.number))


class _End:
    """What follows the last answer."""

    error: BaseException | None = None


def _question(selection: Selection, options: Options) -> dict[str, Any]:
    """Return what a worker must know, JSON-ready."""
    groups = ("labels", "tags", "exclude_tags", "patterns")
    return {
        "selection": {group: list(getattr(selection, group)) for group in groups},
        "limits": {name: getattr(options, name) for name in LIMITS},
    }
