"""Celery: broker, workers, queues, a task's round trip, and beat."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

from django.utils.module_loading import import_string

from .subjects import Probe, listed, reason

Part = tuple[str, str, str]


class Celery(Probe):
    """The broker answers, the workers are there, each queue has one, and beat is alive.

    With ``tasks``, a message is sent for each of them and its result is waited for. That
    is not rolled back, so name tasks that change nothing. A message that no worker takes
    in time expires, and its result is forgotten.
    """

    abstract = True
    _extra = "celery"
    _leaves = "with `tasks`: what these do; a message until it expires"
    app: str
    """Dotted path of the Celery application: ``"mysite.celery.app"``."""
    nodes: Collection[str] = ()
    """Names of workers that must answer: ``["celery@web1"]``; without, any one must."""
    queues: Collection[str] | Literal["__all__"] = "__all__"
    """Queues that must have a worker; ``"__all__"`` are those that the application names."""
    tasks: Collection[str] = ()
    """Names of tasks to send, without arguments; they need a result backend."""
    beat_schedule: str | os.PathLike[str] = ""
    """The file that beat keeps (``celerybeat-schedule``); without, beat is not looked for."""
    max_beat_age: Annotated[float, "seconds"] = 400.0
    """Age of that file; beat writes it every 180 seconds."""

    @classmethod
    def subjects(cls) -> Iterable[Part]:
        """The parts: each with its kind and its name."""
        yield "broker", "broker", ""
        for node in listed(cls.nodes, "nodes") or [""]:
            yield f"worker {node}".strip(), "worker", node
        for queue in cls._queues():
            yield f"queue {queue}", "queue", queue
        for task in listed(cls.tasks, "tasks"):
            yield f"task {task}", "task", task
        if cls.beat_schedule:
            yield "beat", "beat", os.fspath(cls.beat_schedule)

    def check_celery(self, part: Part) -> None:
        """This part of Celery works."""
        _, kind, name = part
        look = {
            "broker": self._broker,
            "worker": self._worker,
            "queue": self._queue,
            "task": self._task,
            "beat": self._beat,
        }
        look[kind](name)

    @classmethod
    def _queues(cls) -> list[str]:
        if cls.queues != "__all__":
            return listed(cls.queues, "queues")
        try:
            import celery  # type: ignore[import-untyped]  # noqa: F401 - the application does
        except ImportError as error:
            raise cls.missing("celery") from error
        return list(cls._application().amqp.queues)

    @classmethod
    def _application(cls) -> Any:
        application = import_string(cls.app)
        if not hasattr(application, "amqp"):
            raise TypeError(
                f"{cls.app!r} is {type(application).__name__!r}, and no Celery application. The"
                " probe asks that for its broker and its workers. Write app = 'mysite.celery.app'"
                " for the `app` of mysite/celery.py."
            )
        return application

    def _connection(self) -> Any:
        """Return a connection of our own: the application's pool belongs to the site."""
        app = self._application()
        connection = app.connection_for_write(connect_timeout=self.patience / 2)
        with self.explained(
            f"Celery's broker at {_where(connection)} does not answer",
            "Start it, or correct broker_url.",
            secrets=[connection.password],
        ):
            connection.ensure_connection(max_retries=1, timeout=self.patience / 2)
        return connection

    def _broker(self, name: str) -> None:
        self._connection().close()

    def _answers(self, question: str, **options: Any) -> dict[str, Any]:
        """Return what each worker answers to ``ping`` or ``active_queues``."""
        with closing(self._connection()) as connection:
            inspect = self._application().control.inspect(
                connection=connection, timeout=self.patience / 4, **options
            )
            return getattr(inspect, question)() or {}

    def _worker(self, node: str) -> None:
        # As soon as one has answered, nobody else is waited for.
        answers = self._answers("ping", destination=[node] if node else None, limit=1)
        if not answers:
            who = f"the worker {node}" if node else "any worker"
            self.fail(
                f"Celery had no answer from {who}. It is down, or too busy for a ping."
                " Look at its log, and start it."
            )

    def _queue(self, queue: str) -> None:
        answers = self._answers("active_queues")
        if not any(one["name"] == queue for queues in answers.values() for one in queues):
            self.fail(
                f"No Celery worker takes messages from the queue {queue!r}; {len(answers)} workers"
                " answered. Messages to it pile up. Start a worker with"
                f" -Q {queue}."
            )

    def _task(self, name: str) -> None:
        app = self._application()
        with closing(self._connection()) as connection:
            result = app.send_task(name, expires=self.patience, connection=connection)
            try:
                result.get(timeout=self.patience / 2)
            except Exception as error:  # noqa: BLE001 - a task may raise whatever it likes
                why = reason(error, [connection.password])
                raise self.failureException(
                    f"The Celery task {name} did not come back: {why}. No worker took it, or it"
                    " failed. Look at the workers' log, and at result_backend."
                ) from None
            finally:
                result.forget()

    def _beat(self, path: str) -> None:
        with self.explained(
            "Celery's beat has no schedule",
            "Start beat with -s and this path, as a user who may write there.",
            OSError,
        ):
            age = time.time() - _last_written(path)
        if age > self.max_beat_age:
            self.fail(
                f"Celery's beat wrote its schedule {age:.0f} s ago. It does so every 180 s while it"
                " is alive. Look at its log, and start it."
            )


def _last_written(path: str) -> float:
    """Return when beat wrote its schedule; the library below it may add an ending."""
    files = [Path(path + ending) for ending in ("", ".db", ".dat")]
    existing = [file for file in files if file.exists()] or files[:1]
    return max(file.stat().st_mtime for file in existing)


def _where(connection: Any) -> str:
    return f"{connection.hostname}:{connection.port}"
