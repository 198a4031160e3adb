"""What a message leaves in Redis, and how to take it back.

RabbitMQ drops messages that expired and queues that nobody uses. In Redis a message
stays where it is: in the list that is its queue, or in the hash of those that a worker
has taken and not begun (https://docs.celeryq.dev/en/stable/getting-started/
backends-and-brokers/redis.html#visibility-timeout).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from redis import Redis

PAGE = 1000


def withdraw(channel: Any, queues: Collection[str], ids: Collection[str]) -> None:
    """Take the messages ``ids`` out of ``queues``, and out of what workers have reserved.

    A worker that has one of them finds it expired when it comes to it; to acknowledge
    what is no more does nothing. The messages of others stay where they are.
    """
    # kombu's own client puts the prefix before the keys of some commands only.
    client = Redis(connection_pool=channel.client.connection_pool)
    prefix = channel.global_keyprefix
    for queue in queues:
        _take_off(client, prefix + queue, ids)
    _unreserve(client, prefix + channel.unacked_key, prefix + channel.unacked_index_key, ids)


def unbind(channel: Any, queues: Collection[str]) -> None:
    """Delete the keys by which versions of kombu below 5.7 bind a queue that is lent."""
    if queues:
        client = Redis(connection_pool=channel.client.connection_pool)
        prefix = channel.global_keyprefix
        client.delete(*(prefix + channel.keyprefix_queue % (queue,) for queue in queues))


def _take_off(client: Any, key: str, ids: Collection[str]) -> None:
    # New messages come to the left; ours is among the last that came.
    for raw in client.lrange(key, 0, PAGE - 1):
        if _id_of(json.loads(raw)) in ids:
            client.lrem(key, 1, raw)


def _unreserve(client: Any, taken: str, index: str, ids: Collection[str]) -> None:
    for tag, raw in _reserved(client, taken):
        if _id_of(json.loads(raw)[0]) in ids:
            client.zrem(index, tag)
            client.hdel(taken, tag)


def _reserved(client: Any, key: str) -> Iterator[tuple[bytes, bytes]]:
    return iter(client.hscan_iter(key, count=PAGE))


def _id_of(message: Any) -> str:
    return str(message["headers"].get("id", ""))
