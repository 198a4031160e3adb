"""What is said to Celery's broker, over two connections of our own.

The application's pool belongs to the site, and what Celery sends by itself it repeats
until the broker is back. Here nothing is repeated, and every wait has an end.

One connection hears and the other speaks. What is heard is acted on at once, and a
connection that waits for the broker's word must not be asked for another one: with
one alone, messages were lost.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Producer
from kombu.exceptions import KombuError, OperationalError
from kombu.pidbox import Mailbox

from . import routes

Reply = Callable[[str, Any], None]
"""Called with the name of a node and with what it answered."""

SHORTEST_PATIENCE = 2.0
"""Seconds; below it kombu's own reads from Redis, of 1 s each, would be cut off."""

LOOK_AGAIN = 0.02
"""Seconds between two looks whether a queue is gone."""


class Broker:
    """The broker of an application, from :meth:`open` to :meth:`close`.

    To open it and to use it raises one of :attr:`errors` where it does not answer within
    ``patience`` seconds.
    """

    def __init__(self, app: Any, patience: float) -> None:
        self._app = app
        self._patience = max(patience, SHORTEST_PATIENCE)
        unconfigured = app.connection_for_write()
        self._driver = unconfigured.transport.driver_type
        options = {"connect_timeout": patience, "transport_options": self._limits(patience)}
        self._hearing = app.connection_for_write(**options)
        self._connection = app.connection_for_write(**options)
        self._secret = unconfigured.password
        self.name = f"{unconfigured.hostname}:{unconfigured.port}"
        self.errors: tuple[type[Exception], ...] = (
            *unconfigured.connection_errors,
            *unconfigured.channel_errors,
            KombuError,
            OperationalError,
            OSError,
        )

    def _limits(self, patience: float) -> dict[str, Any]:
        """Return the options of kombu's transport that end a wait."""
        if self._driver == "redis":
            return {"socket_timeout": self._patience, "socket_connect_timeout": patience}
        if self._driver == "amqp":
            return {"read_timeout": self._patience, "write_timeout": self._patience}
        return {}

    def open(self) -> None:
        """Connect, once to hear and once to speak."""
        for connection in (self._connection, self._hearing):
            connection.ensure_connection(max_retries=1, timeout=self._patience)
        self._channel = self._connection.default_channel
        self._questions = self._mailbox(self._hearing)
        self._commands = self._mailbox(self._connection)

    def _mailbox(self, connection: Any) -> Any:
        conf = self._app.conf
        mailbox = Mailbox(
            conf.control_exchange,
            type="fanout",
            accept=conf.accept_content,
            serializer=conf.task_serializer,
            producer_pool=_Producers(connection.default_channel),
        )
        return mailbox(connection)

    def close(self) -> None:
        """Let go of it, which takes up to 1 s: kombu waits for the end of its last read."""
        for connection in (self._hearing, self._connection):
            with contextlib.suppress(*self.errors):
                connection.release()

    def explain(self, error: BaseException) -> str:
        """Return what ``error`` says, without the broker's password."""
        text = f"{type(error).__name__}: {error}"
        return text.replace(self._secret, "*" * 8) if self._secret else text

    def ask(
        self, command: str, seconds: float, reply: Reply, nodes: Collection[str] | None = None
    ) -> None:
        """Send a control command, to all or to those ``nodes``; return when all have answered.

        Or when nobody has for so many ``seconds``.
        """

        def on_reply(body: dict[str, Any]) -> None:
            for node, answer in body.items():
                reply(node, answer)

        if nodes is None:
            self._questions.multi_call(command, timeout=seconds, callback=on_reply)
        elif nodes:
            self._questions.call(list(nodes), command, timeout=seconds, callback=on_reply)

    def send(self, node: str, task: str, id: str, **message: Any) -> None:
        """Send a message for a task to that node alone; ``message`` is as for ``send_task``."""
        queue = routes.direct(node) if self._is_direct else routes.lent(node)
        if self._declares:
            queue(self._channel).declare()
        self.listen(node)
        self._app.send_task(
            task,
            task_id=id,
            producer=Producer(self._channel, auto_declare=False),
            queue=queue,
            # The project's own task_routes must not lead it elsewhere.
            exchange="",
            routing_key=queue.name,
            declare=[],
            priority=0,
            retry=False,
            ignore_result=True,
            add_to_parent=False,
            **message,
        )

    def listen(self, node: str) -> None:
        """Let a node listen to the queue that it is lent, if it does not do so already."""
        if not self._is_direct:
            command = routes.listening(node, declared=self._driver != "redis")
            self._commands.cast([node], "add_consumer", command)

    def release(self, node: str) -> None:
        """Let a node listen to that queue no more; with that RabbitMQ drops it."""
        if not self._is_direct:
            self._commands.cast([node], "cancel_consumer", {"queue": routes.lent_name(node)})

    def clear(self, ids: dict[str, str], unanswered: Collection[str], seconds: float) -> None:
        """Take out what is left of messages (``ids`` by node), within so many seconds.

        The nodes have been released.
        """
        if self._driver == "redis":
            self._clear_redis(ids, unanswered)
        elif not self._is_direct:
            end = time.monotonic() + seconds
            for node in ids:
                self._drop(routes.lent_name(node), end)

    def _clear_redis(self, ids: dict[str, str], unanswered: Collection[str]) -> None:
        from . import redis

        if unanswered:
            queue = routes.direct if self._is_direct else routes.lent
            redis.withdraw(
                self._channel,
                [queue(node).name for node in unanswered],
                {ids[node] for node in unanswered},
            )
        if not self._is_direct:
            redis.unbind(self._channel, [routes.lent_name(node) for node in ids])

    def _drop(self, queue: str, end: float) -> None:
        """Wait until a queue is gone, which it is when its node listens no more."""
        while self._exists(queue):
            if time.monotonic() > end:
                # Its node is gone, and has perhaps never listened. Or another question
                # uses it, and then it stays.
                with contextlib.suppress(*self._connection.channel_errors):
                    self._connection.channel().queue_delete(queue, if_unused=True)
                return
            time.sleep(LOOK_AGAIN)

    def _exists(self, queue: str) -> bool:
        # On a channel of its own, for RabbitMQ closes it if the answer is no.
        channel = self._connection.channel()
        try:
            channel.queue_declare(queue, passive=True)
        except self._connection.channel_errors:
            return False
        channel.close()
        return True

    @property
    def _is_direct(self) -> bool:
        return bool(self._app.conf.worker_direct)

    @property
    def _declares(self) -> bool:
        return not self._is_direct and self._driver != "redis"


class _Producers:
    """What a mailbox takes for a pool of producers: ours, which tries once."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    @contextmanager
    def acquire(self) -> Iterator[Producer]:
        yield _Once(self._channel, auto_declare=False)


class _Once(Producer):  # type: ignore[misc]
    """A producer that gives up at the first failure; a mailbox asks for endless retries."""

    def publish(self, body: Any, **options: Any) -> Any:
        """Send ``body``, as kombu's producer does."""
        return super().publish(body, **{**options, "retry": False})
