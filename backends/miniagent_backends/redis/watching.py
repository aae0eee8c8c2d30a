"""Wake-ups by pub/sub on a connection of its own, and the index of what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from miniagent_backends.redis.connection import Connection, pack
from miniagent_backends.redis.node import Node
from miniagent_backends.redis.schema import BUCKETS, Keys, bucket_of, pairs_of, unpack
from miniagent_store.backend import Change, Record, Subscription, Topic
from miniagent_store.errors import StoreError

KEPT_MICROSECONDS = 3_600_000_000
# How often the connection is looked at, and made again if it was lost.
LOOK_SECONDS = 0.5


def note(node: Node, keys: Keys, record: Record) -> None:
    """Tell who watches a user or the store; after the commit, and nobody waits for it."""
    member = json.dumps([record.session_id, record.kind, record.user_id])
    node.notify_script(
        "note",
        [keys.changes(bucket_of(record.session_id))],
        member,
        keys.store_channel(),
        KEPT_MICROSECONDS,
    )


async def read_changes(
    node: Node, keys: Keys, after: str | None, limit: int
) -> tuple[Sequence[Change], str]:
    """See `Backend.changes`. The cursor is a time of the server for each bucket."""
    if after is None:
        newest = await node.run(
            *(("ZRANGE", keys.changes(bucket), -1, -1, "WITHSCORES") for bucket in range(BUCKETS))
        )
        return [], ",".join(str(pairs_of(reply)[-1][1] if reply else 0) for reply in newest)
    times = [int(time) for time in after.split(",")]
    replies = await node.run(
        *(
            ("ZRANGEBYSCORE", keys.changes(bucket), f"({time}", "+inf", "WITHSCORES", "LIMIT", 0, limit)
            for bucket, time in enumerate(times)
        )
    )
    found = sorted(
        (time, bucket, member) for bucket, reply in enumerate(replies) for member, time in pairs_of(reply)
    )[:limit]
    rows = (
        await node.run(*(("HMGET", keys.record(json.loads(member)[0]), "m", "x") for _, _, member in found))
        if found
        else []
    )
    changes = []
    for (time, bucket, member), (packed, expires) in zip(found, rows, strict=True):
        session_id, kind, user_id = json.loads(member)
        gone = packed is None or (expires is not None and int(expires) <= node.now_ms())
        changes.append(Change(session_id, kind, user_id, 0 if gone else _version(packed), gone))
        times[bucket] = time
    return changes, ",".join(map(str, times))


def _version(packed: bytes) -> int:
    version: int = unpack(packed)[b"version"]
    return version


class WakeUps:
    """Who waits for which channel. Any doubt wakes everyone: the log is the truth."""

    def __init__(self, node: Node, keys: Keys) -> None:
        self._node, self._keys = node, keys
        self._waiting: dict[str, list[Subscription]] = {}
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    def _channel(self, topic: Topic) -> str:
        if topic.scope == "session":
            return self._keys.parts(topic.name)["notify"]
        return self._keys.lease_channel(topic.name) if topic.scope == "lock" else self._keys.store_channel()

    async def subscribe(self, topic: Topic) -> Subscription:
        channel, subscription = self._channel(topic), Subscription()
        waiting = self._waiting.setdefault(channel, [])
        waiting.append(subscription)
        if len(waiting) == 1:
            connection = await self._connected()
            await _sent(connection, "SUBSCRIBE", channel)
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        channel = self._channel(topic)
        waiting = self._waiting.get(channel, [])
        if subscription in waiting:
            waiting.remove(subscription)
        if waiting or self._waiting.pop(channel, None) is None:
            return
        if self._connection is not None and self._connection.is_open:
            await _sent(self._connection, "UNSUBSCRIBE", channel)

    async def close(self) -> None:
        self._waiting.clear()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _connected(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            self._connection = await self._node.connection("wake-ups", self._heard)
            channels = list(self._waiting)
            if channels:
                await _sent(self._connection, "SUBSCRIBE", *channels)
            self._wake_all()
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return self._connection

    async def _keep(self) -> None:
        """Make the connection anew when it was lost, as long as someone waits."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._waiting and (self._connection is None or not self._connection.is_open):
                self._wake_all()
                try:
                    await self._connected()
                except StoreError:
                    continue  # who waits looks by itself now and then, and tells what is wrong

    def _heard(self, push: list[Any]) -> None:
        if push and push[0] == b"message":
            for subscription in self._waiting.get(push[1].decode(), ()):
                subscription.wake()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for subscription in waiting:
                subscription.wake()


async def _sent(connection: Connection, *command: str) -> None:
    """Send a (UN)SUBSCRIBE, whose answer comes as a push and settles no future; a PING behind it does."""
    connection.send_unanswered(pack(*command))
    await connection.execute("PING")
