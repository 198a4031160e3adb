"""RabbitMQ answers, and lets us in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import unquote, urlsplit

from .sources import value_from
from .subjects import Probe, listed


class RabbitMQ(Probe):
    """Each RabbitMQ server accepts the connection and the credentials, and opens a channel."""

    abstract = True
    _extra = "rabbitmq"
    urls: Collection[str] = ()
    """``amqp://user:password@host:5672/vhost`` or ``amqps://…``; or where that is kept:
    ``"setting:BROKER_URL"``, ``"variable:BROKER_URL"``, ``"file:PATH"``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The servers."""
        return listed(cls.urls, "urls")

    def check_rabbitmq(self, source: str) -> None:
        """The server opens a channel for us."""
        try:
            import pika  # type: ignore[import-untyped]
        except ImportError as error:
            raise self.missing("pika") from error
        url = value_from(source)
        password = urlsplit(url).password
        with self.explained(
            f"RabbitMQ at {urlsplit(url).netloc.rpartition('@')[2]} does not let us in",
            "Start the server, or correct host, port, user, password and virtual host.",
            secrets=[password, password and unquote(password)],
        ):
            parameters = pika.URLParameters(url)
            parameters.connection_attempts = 1
            parameters.socket_timeout = parameters.stack_timeout = self.patience
            parameters.blocked_connection_timeout = self.patience
            connection = pika.BlockingConnection(parameters)
            try:
                connection.channel().close()
            finally:
                connection.close()
