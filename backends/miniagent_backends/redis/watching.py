"""Wake-ups by pub/sub on a connection of its own, and the index of what changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import BUCKETS, Keys, bucket_of, pairs_of, unpack
from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.failures import error_of
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_store.backend import Change, Record, Subscription, Topic
from miniagent_store.errors import BackendUnavailableError, StoreError

KEPT_MICROSECONDS = 3_600_000_000
# How often the connection is looked at, and made again if it was lost.
LOOK_SECONDS = 0.5


def note(executor: Executor, keys: Keys, record: Record) -> None:
    """Tell who watches a user or the store; after the commit, and nobody waits for it."""
    member = json.dumps([record.session_id, record.kind, record.user_id])
    executor.notify_script(
        "note",
        [keys.changes(bucket_of(record.session_id))],
        member,
        keys.store_channel(),
        KEPT_MICROSECONDS,
    )


async def read_changes(
    executor: Executor, keys: Keys, after: str | None, limit: int
) -> tuple[Sequence[Change], str]:
    """See `Backend.changes`. The cursor is a time of the server for each bucket."""
    if after is None:
        newest = await executor.run(
            *(("ZRANGE", keys.changes(bucket), -1, -1, "WITHSCORES") for bucket in range(BUCKETS))
        )
        return [], ",".join(str(pairs_of(reply)[-1][1] if reply else 0) for reply in newest)
    times = [int(time) for time in after.split(",")]
    replies = await executor.run(
        *(
            ("ZRANGEBYSCORE", keys.changes(bucket), f"({time}", "+inf", "WITHSCORES", "LIMIT", 0, limit)
            for bucket, time in enumerate(times)
        )
    )
    found = sorted(
        (time, bucket, member) for bucket, reply in enumerate(replies) for member, time in pairs_of(reply)
    )[:limit]
    rows = (
        await executor.run(
            *(("HMGET", keys.record(json.loads(member)[0]), "m", "x") for _, _, member in found)
        )
        if found
        else []
    )
    changes = []
    for (time, bucket, member), (packed, expires) in zip(found, rows, strict=True):
        session_id, kind, user_id = json.loads(member)
        if packed is None or (expires is not None and int(expires) <= executor.now_ms()):
            changes.append(Change(session_id, kind, user_id, 0, deleted=True))
        else:
            changes.append(Change(session_id, kind, user_id, _version(packed)))
        times[bucket] = time
    return changes, ",".join(map(str, times))


def _version(packed: bytes) -> int:
    version: int = unpack(packed)[b"version"]
    return version


class WakeUps:
    """Who waits for which channel. Any doubt wakes everyone: the log is the truth.

    Args:
        heartbeat: seconds after which the server is asked whether it is still there.
    """

    def __init__(self, executor: Executor, keys: Keys, heartbeat: float) -> None:
        self._executor, self._keys, self._heartbeat = executor, keys, heartbeat
        self._waiting: dict[str, list[Subscription]] = {}
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    def _channel(self, topic: Topic) -> str:
        if topic.scope == "store":
            return self._keys.store_channel()
        if topic.scope == "lock":
            return f"{self._keys.lease_channel(topic.name)}:{topic.owner}"
        channel = self._keys.parts(topic.name)["notify"]
        return f"{channel}:{topic.owner}" if topic.scope == "turn" else channel

    async def subscribe(self, topic: Topic) -> Subscription:
        return await self.hear(self._channel(topic))

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        await self.leave(self._channel(topic), subscription)

    def within(self, keys: Keys) -> WakeUps:
        """For those who wait in another namespace, over the same connection."""
        return _WakeUpsWithin(self, keys)

    async def hear(self, channel: str) -> Subscription:
        """Be woken by a channel."""
        subscription = Subscription()
        self._waiting.setdefault(channel, []).append(subscription)
        try:
            # Also where others wait: the server may not have heard of them yet.
            await self._send(await self._connected(), "SUBSCRIBE", channel)
        except BaseException:
            self._drop(channel, subscription)
            raise
        return subscription

    async def leave(self, channel: str, subscription: Subscription) -> None:
        """No longer be woken."""
        if self._drop(channel, subscription) and not self._is_lost:
            assert self._connection is not None
            # Nobody waits for the answer, and a connection that is lost hears nothing any more.
            with contextlib.suppress(NotSent):
                self._connection.send_unanswered(pack("UNSUBSCRIBE", channel))

    def _drop(self, channel: str, subscription: Subscription) -> bool:
        """Forget who waits; whether it was the channel's last."""
        waiting = self._waiting.get(channel)
        if waiting is None or subscription not in waiting:
            return False
        waiting.remove(subscription)
        if not waiting:
            del self._waiting[channel]
        return not waiting

    async def close(self) -> None:
        self._waiting.clear()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    @property
    def _is_lost(self) -> bool:
        connection = self._connection
        return connection is None or not connection.is_open or connection.is_stalled

    async def _connected(self) -> Connection:
        if self._is_lost:
            # Whatever node: a Cluster brings what is published on one to all of them.
            connection = await self._executor.any_node().connection("wake-ups", self._heard)
            if self._waiting:
                await self._send(connection, "SUBSCRIBE", *self._waiting)
            self._connection = connection
            self._wake_all()
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        assert self._connection is not None
        return self._connection

    async def _keep(self) -> None:
        """Look after the connection, and make it anew when it was lost, as long as someone waits."""
        looked_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            try:
                if self._waiting and self._is_lost:
                    self._wake_all()
                    await self._connected()
                elif self._connection is not None and now - looked_at >= self._heartbeat:
                    # A server that was cut off says nothing; only a question that it does not answer tells.
                    looked_at = now
                    await self._send(self._connection, "PING")
            except StoreError:
                continue  # who waits looks by itself now and then, and tells what is wrong

    async def _send(self, connection: Connection, *command: str) -> None:
        """Send a SUBSCRIBE, whose answer is a push and settles no future; a PING behind it does."""
        try:
            if command[0] != "PING":
                connection.send_unanswered(pack(*command))
            await connection.execute("PING")
        except ReplyError as error:
            # The PING's own answer is still to come: no one could tell the answers apart any more.
            connection.abort()
            raise error_of("the server of wake-ups", error) from None
        except (NotSent, SentUnknown) as error:
            raise BackendUnavailableError(f"no server can wake who waits: {error}") from None

    def _heard(self, push: list[Any]) -> None:
        if push and push[0] == b"message":
            for subscription in self._waiting.get(push[1].decode(), ()):
                subscription.wake()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for subscription in waiting:
                subscription.wake()


class _WakeUpsWithin(WakeUps):
    """Wake-ups of a namespace, heard by those of its parent; closing them ends its own only."""

    def __init__(self, parent: WakeUps, keys: Keys) -> None:
        super().__init__(parent._executor, keys, parent._heartbeat)
        self._parent = parent
        self._heard_here: dict[Subscription, str] = {}

    async def hear(self, channel: str) -> Subscription:
        subscription = await self._parent.hear(channel)
        self._heard_here[subscription] = channel
        return subscription

    async def leave(self, channel: str, subscription: Subscription) -> None:
        self._heard_here.pop(subscription, None)
        await self._parent.leave(channel, subscription)

    async def close(self) -> None:
        for subscription, channel in [*self._heard_here.items()]:
            subscription.wake()
            await self.leave(channel, subscription)
