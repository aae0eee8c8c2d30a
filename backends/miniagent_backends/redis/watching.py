"""Wake-ups by sharded pub/sub, on a connection of its own to each node, and the index of what changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from miniagent_backends.redis.indexes import list_sessions
from miniagent_backends.redis.keys import BUCKETS, Keys
from miniagent_backends.redis.places import KEPT_CHANGES_MS
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import pairs_of, unpack
from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.failures import error_of
from miniagent_backends.redis.wire.node import Node
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_store.backend import Change, ListQuery, Subscription, Topic
from miniagent_store.errors import BackendUnavailableError, InvalidArgumentError, StoreError

# Changes are told from the index of changes only where none can have been dropped since.
MARGIN_MS = 10_000
# How often the connection is looked at, and made again if it was lost.
LOOK_SECONDS = 0.5


async def read_changes(
    executor: Executor, keys: Keys, kinds: Sequence[str], after: str | None, limit: int
) -> tuple[Sequence[Change], str]:
    """See `Backend.changes`."""
    now = executor.now_ms()
    if after is None:
        newest = await executor.run(
            *(("ZRANGE", keys.changes(bucket), -1, -1, "WITHSCORES") for bucket in range(BUCKETS))
        )
        last = (pairs_of(reply)[-1][1] if reply else 0 for reply in newest)
        return [], str(_Cursor(now, tuple(last)))
    cursor = _Cursor.parse(after)
    if cursor.walked is None and now - cursor.read_ms > KEPT_CHANGES_MS - MARGIN_MS:
        # Too long ago to say what changed: every session may have.
        _, start = await read_changes(executor, keys, kinds, None, limit)
        cursor = replace(_Cursor.parse(start), walked=("", None))
    if cursor.walked is not None:
        return await _walk(executor, keys, kinds, cursor, limit)
    replies = await executor.run(
        *(
            ("ZRANGEBYSCORE", keys.changes(bucket), f"({time}", "+inf", "WITHSCORES", "LIMIT", 0, limit)
            for bucket, time in enumerate(cursor.times)
        )
    )
    found = sorted(
        (time, bucket, member) for bucket, reply in enumerate(replies) for member, time in pairs_of(reply)
    )
    page, times = found[:limit], list(cursor.times)
    rows = await executor.run(
        *(("HMGET", keys.record(json.loads(member)[0]), "m", "x") for _, _, member in page)
    )
    changes = []
    for (time, bucket, member), (packed, expires) in zip(page, rows, strict=True):
        session_id, kind, user_id = json.loads(member)
        if packed is None or (expires is not None and int(expires) <= now):
            changes.append(Change(session_id, kind, user_id, 0, deleted=True))
        else:
            changes.append(Change(session_id, kind, user_id, _version(packed)))
        times[bucket] = time
    # What is left for the next page is as old as it was.
    is_all = len(found) < limit
    return changes, str(_Cursor(now if is_all else cursor.read_ms, tuple(times)))


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Up to where changes have been told.

    Attributes:
        read_ms: the server's time at which there were no more than those.
        times: of the last change, a bucket each.
        walked: where all sessions are told instead: the last kind and place of a listing.
    """

    read_ms: int
    times: tuple[int, ...]
    walked: tuple[str, tuple[int, str] | None] | None = None

    def __str__(self) -> str:
        return json.dumps([self.read_ms, self.times, self.walked])

    @classmethod
    def parse(cls, text: str) -> _Cursor:
        try:
            read_ms, times, walked = json.loads(text)
            if walked is not None:
                kind, place = walked
                walked = (str(kind), None if place is None else (int(place[0]), str(place[1])))
            return cls(int(read_ms), tuple(int(time) for time in times), walked)
        except (ValueError, TypeError, IndexError):
            raise InvalidArgumentError("not a cursor of changes: pass one that changes() gave") from None


async def _walk(
    executor: Executor, keys: Keys, kinds: Sequence[str], cursor: _Cursor, limit: int
) -> tuple[Sequence[Change], str]:
    """A page of all sessions; whatever changes meanwhile is told after them."""
    assert cursor.walked is not None
    kind, place = cursor.walked
    changes: list[Change] = []
    for each in sorted(kinds):
        if each < kind:
            continue
        at = place if each == kind else None
        query = ListQuery(kind=each, ascending=True, cursor=at, limit=limit - len(changes))
        page = await list_sessions(executor, keys, query)
        changes += [
            Change(record.session_id, record.kind, record.user_id, record.version)
            for record in page.records
        ]
        if page.next_cursor is not None:
            return changes, str(replace(cursor, walked=(each, page.next_cursor)))
        if len(changes) >= limit and each != max(kinds):
            return changes, str(replace(cursor, walked=(f"{each}\0", None)))
    return changes, str(replace(cursor, walked=None))


def _version(packed: bytes) -> int:
    version: int = unpack(packed)[b"version"]
    return version


class WakeUps:
    """Who waits for which channels. Any doubt wakes everyone: the log is the truth.

    Channels are those of shards: what is published in a Cluster goes to the nodes of one shard, not to all.

    Args:
        heartbeat: seconds after which a server is asked whether it is still there.
    """

    def __init__(self, executor: Executor, keys: Keys, heartbeat: float) -> None:
        self._executor, self._keys, self._heartbeat = executor, keys, heartbeat
        self._waiting: dict[str, list[Subscription]] = {}
        # Where the server has been told of a channel.
        self._heard_on: dict[str, Connection] = {}
        self._keeper: asyncio.Task[None] | None = None

    def _channels(self, topic: Topic) -> Sequence[str]:
        if topic.scope == "store":
            return [self._keys.store_channel(bucket) for bucket in range(BUCKETS)]
        if topic.scope == "lock":
            return [f"{self._keys.lease_channel(topic.name)}:{topic.owner}"]
        channel = self._keys.parts(topic.name)["notify"]
        return [f"{channel}:{topic.owner}" if topic.scope == "turn" else channel]

    async def subscribe(self, topic: Topic) -> Subscription:
        return await self.hear(self._channels(topic))

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        await self.leave(self._channels(topic), subscription)

    def within(self, keys: Keys) -> WakeUps:
        """For those who wait in another namespace, over the same connections."""
        return _WakeUpsWithin(self, keys)

    async def hear(self, channels: Sequence[str]) -> Subscription:
        """Be woken by any of some channels."""
        subscription = Subscription()
        for channel in channels:
            self._waiting.setdefault(channel, []).append(subscription)
        try:
            # Also where others wait: the server may not have heard of them yet.
            await self._listen(channels)
        except BaseException:
            self._drop(channels, subscription)
            raise
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return subscription

    async def leave(self, channels: Sequence[str], subscription: Subscription) -> None:
        """No longer be woken."""
        for channel in self._drop(channels, subscription):
            connection = self._heard_on.pop(channel, None)
            if connection is not None and not _is_lost(connection):
                # Nobody waits for the answer, and a connection that is lost hears nothing any more.
                with contextlib.suppress(NotSent):
                    connection.send_unanswered(pack("SUNSUBSCRIBE", channel))

    def _drop(self, channels: Sequence[str], subscription: Subscription) -> list[str]:
        """Forget who waits; the channels of which it was the last."""
        last: list[str] = []
        for channel in channels:
            waiting = self._waiting.get(channel)
            if waiting is None or subscription not in waiting:
                continue
            waiting.remove(subscription)
            if not waiting:
                del self._waiting[channel]
                last.append(channel)
        return last

    async def close(self) -> None:
        self._waiting.clear()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _listen(self, channels: Sequence[str]) -> None:
        """Tell the servers of channels.

        Raises:
            StoreError: one cannot be told.
        """
        places: dict[Node, list[str]] = {}
        for channel in channels:
            places.setdefault(await self._executor.node_of(channel), []).append(channel)
        for node, found in places.items():
            await self._listen_on(node, found)

    async def _listen_on(self, node: Node, channels: Sequence[str]) -> None:
        connection = await node.connection("wake-ups", self._heard)
        try:
            for channel in channels:
                connection.send_unanswered(pack("SSUBSCRIBE", channel))
            # Their answers are pushes and settle no future; that of a command behind them does.
            await connection.execute("PING")
        except ReplyError as error:
            # The PING's own answer is still to come: no one could tell the answers apart any more.
            connection.abort()
            if self._executor.learn(node, error):
                raise BackendUnavailableError(f"{node.name} no longer has what is waited for") from None
            raise error_of(node.name, error) from None
        except (NotSent, SentUnknown) as error:
            raise BackendUnavailableError(f"no server can wake who waits: {error}") from None
        self._heard_on.update((channel, connection) for channel in channels if channel in self._waiting)

    async def _keep(self) -> None:
        """Look after the connections, and tell the servers anew what they may not know, for who waits."""
        looked_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            try:
                if lost := [each for each in self._waiting if _is_lost(self._heard_on.get(each))]:
                    self._wake(lost)
                    await self._listen(lost)
                    self._wake(lost)
                elif now - looked_at >= self._heartbeat:
                    # A server that was cut off says nothing; only a question that it does not answer tells.
                    looked_at = now
                    for connection in set(self._heard_on.values()):
                        await connection.execute("PING")
            except (StoreError, ReplyError, NotSent, SentUnknown):
                continue  # who waits looks by itself now and then, and tells what is wrong

    def _heard(self, push: list[Any]) -> None:
        if push and push[0] == b"smessage":
            self._wake([push[1].decode()])
        elif push and push[0] == b"sunsubscribe":
            # Left, or its slot has moved: who still waits is told of again.
            self._heard_on.pop(push[1].decode(), None)

    def _wake(self, channels: Sequence[str]) -> None:
        for channel in channels:
            for subscription in self._waiting.get(channel, ()):
                subscription.wake()


def _is_lost(connection: Connection | None) -> bool:
    return connection is None or not connection.is_open or connection.is_stalled


class _WakeUpsWithin(WakeUps):
    """Wake-ups of a namespace, heard by those of its parent; closing them ends its own only."""

    def __init__(self, parent: WakeUps, keys: Keys) -> None:
        super().__init__(parent._executor, keys, parent._heartbeat)
        self._parent = parent
        self._heard_here: dict[Subscription, Sequence[str]] = {}

    async def hear(self, channels: Sequence[str]) -> Subscription:
        subscription = await self._parent.hear(channels)
        self._heard_here[subscription] = channels
        return subscription

    async def leave(self, channels: Sequence[str], subscription: Subscription) -> None:
        self._heard_here.pop(subscription, None)
        await self._parent.leave(channels, subscription)

    async def close(self) -> None:
        for subscription, channels in [*self._heard_here.items()]:
            subscription.wake()
            await self.leave(channels, subscription)
