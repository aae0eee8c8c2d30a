"""The sweep: sessions that have expired are taken out of the index, and each is told of once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import BUCKETS, Keys, pairs_of
from miniagent_store.backend import Expired

CHUNK = 500


async def sweep(executor: Executor, keys: Keys, kinds: Sequence[str], limit: int) -> Sequence[Expired]:
    """See `Backend.sweep`."""
    gone: list[Expired] = []
    for kind in kinds:
        for bucket in range(BUCKETS):
            gone += await _sweep_bucket(executor, keys, kind, bucket, limit - len(gone))
            if len(gone) >= limit:
                return gone
    return gone


async def _sweep_bucket(
    executor: Executor, keys: Keys, kind: str, bucket: int, limit: int
) -> Sequence[Expired]:
    index = keys.index(kind, f"index:{{{bucket}}}")
    gone: list[Expired] = []
    start = 0
    while len(gone) < limit:
        members = await executor.execute("ZRANGE", index, start, start + CHUNK - 1, "WITHSCORES")
        pairs = pairs_of(members)
        if not pairs:
            break
        dead = (await _dead(executor, keys, pairs))[: 2 * (limit - len(gone))]
        claimed = await executor.script("forget", [index], *dead) if dead else []
        gone += await _expired(executor, keys, kind, bucket, claimed)
        start += len(pairs) - len(claimed)
    return gone


async def _dead(executor: Executor, keys: Keys, pairs: list[tuple[bytes, int]]) -> list[Any]:
    """Members and scores, in turn, of those whose session is not there any more."""
    records = [keys.record(member.decode()) for member, _ in pairs]
    rows = await executor.run(
        *(("HGET", record, "x") for record in records), *(("EXISTS", record) for record in records)
    )
    now = executor.now_ms()
    dead: list[Any] = []
    for (member, score), expires, exists in zip(pairs, rows[: len(pairs)], rows[len(pairs) :], strict=True):
        if not exists or (expires is not None and int(expires) <= now):
            dead += [member, score]
    return dead


async def _expired(
    executor: Executor, keys: Keys, kind: str, bucket: int, members: Sequence[bytes]
) -> Sequence[Expired]:
    if not members:
        return []
    owners = keys.owners(bucket)
    users, _ = await executor.run(("HMGET", owners, *members), ("HDEL", owners, *members))
    return [
        Expired(member.decode(), kind, user and user.decode())
        for member, user in zip(members, users, strict=True)
    ]
