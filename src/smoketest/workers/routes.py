"""How a message gets to one worker node and to no other.

With ``worker_direct`` each node has a queue of its own already. Without, it is told to
listen to one more for as long as the question takes. That queue has one name for each
node, whoever asks: a worker remembers every name that it was ever told, and so do old
brokers' keys.
"""

from __future__ import annotations

from typing import Any

from celery.utils.nodenames import worker_direct  # type: ignore[import-untyped]
from kombu import Exchange, Queue

UNUSED_SECONDS = 60
"""After so long RabbitMQ drops a queue that nobody listens to any more."""


def direct(node: str) -> Any:
    """Return the queue that a node has with ``worker_direct``."""
    return worker_direct(node)


def lent(node: str) -> Any:
    """Return the queue that a node is lent; it goes when the node listens no more."""
    name = lent_name(node)
    return Queue(name, Exchange(name, **_ENDS), routing_key=name, **_ENDS, queue_arguments=_EXPIRES)


def lent_name(node: str) -> str:
    """Return the name of that queue."""
    return f"smoketest.{node}"


def listening(node: str, *, declared: bool) -> dict[str, Any]:
    """Return the arguments of Celery's ``add_consumer`` for the queue that is lent."""
    name = lent_name(node)
    return {
        "queue": name,
        "exchange": name,
        "exchange_type": "direct",
        "routing_key": name,
        "queue_arguments": _EXPIRES,
        # In Redis a list needs no declaration, and one leaves a key behind.
        "no_declare": not declared,
        **_ENDS,
    }


# Queues that are not durable are on their way out of RabbitMQ
# (https://www.rabbitmq.com/docs/queues#durability).
_ENDS = {"durable": True, "auto_delete": True}
_EXPIRES = {"x-expires": UNUSED_SECONDS * 1000}
