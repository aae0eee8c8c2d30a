"""Staged writes: a session put together under keys of its own, and renamed into place by one script."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.routing.executor import Answer, Executor
from miniagent_backends.redis.schema import blob_of, element_of, id_field, pack, pack_create
from miniagent_backends.redis.wire.connection import Arg
from miniagent_store.backend import Kept, StagePublish, StageWrite

MARK, BYTES = "\0", "\0bytes"


async def stage(executor: Executor, keys: Keys, write: StageWrite) -> None:
    """See `Backend.stage`."""
    start = keys.stage(write.session_id, write.stage)
    commands = list(_commands(start, write))
    touched = sorted({str(command[1]) for command in commands})
    await executor.run(*commands, *(("PEXPIRE", key, write.ttl_ms) for key in touched))


def _commands(start: str, write: StageWrite) -> Iterator[tuple[Arg, ...]]:
    logs = f"{start}logs"
    yield ("HSET", logs, MARK, 1)
    size = 0
    for value in write.values:
        yield ("HSET", f"{start}state", value.name, blob_of(value))
        yield ("ZADD", f"{start}names", 0, value.name)
        if value.counter is not None:
            yield ("HSET", f"{start}count", value.name, value.counter)
        size += len(value.payload or b"")
    for log, entries in write.entries:
        if not entries:
            continue
        yield ("HSETNX", logs, log, entries[0].seq)
        elements = [element_of(entry, version=entry.version, redacted=entry.redacted) for entry in entries]
        yield ("RPUSH", f"{start}log:{log}", *elements)
        for entry in entries:
            size += len(entry.payload)
            if entry.caller_id is not None:
                place = entry.seq.to_bytes(4, "big") + (entry.digest or b"")
                yield ("HSET", f"{start}ids", id_field(log, entry.caller_id), place)
    yield ("HINCRBY", logs, BYTES, size)


async def publish(
    executor: Executor,
    keys: Keys,
    publish: StagePublish,
    before: Sequence[Sequence[Arg]],
    grace_ms: int,
) -> Answer:
    """Run publish.lua behind other commands."""
    start, identity = keys.stage(publish.session_id, publish.stage), publish.identity
    packed = pack(
        {
            "keys": keys.parts(publish.session_id),
            "writer": identity.writer,
            "counter": identity.counter,
            "not_after": identity.not_after_ms,
            "token": os.urandom(24),
            "create": pack_create(publish.create, os.urandom(8).hex()),
            "version": publish.version,
            "bases": [part for pair in publish.bases.items() for part in pair],
            "max_size": publish.max_size or False,
            "retry": publish.retry,
            "time": publish.time_ms,
            "stage": f"{start}log:",
            "grace": grace_ms,
            "kept": pack_kept(publish.kept),
        }
    )
    names = [f"{start}{part}" for part in ("state", "count", "names", "ids", "logs")]
    record_key = keys.record(publish.session_id)
    return await executor.write("publish", [record_key, *names], packed, before=before)


def pack_kept(kept: Kept | None) -> dict[str, int | bool] | bool:
    """What publish.lua is given of a session that is moved."""
    if kept is None:
        return False
    return {
        "created": kept.created_ms,
        "active": kept.last_activity_ms,
        "expires": False if kept.expires_ms is None else kept.expires_ms,
        "epoch": kept.epoch,
    }


async def discard(executor: Executor, keys: Keys, session_id: str, stage: str) -> None:
    """See `Backend.discard`."""
    start = keys.stage(session_id, stage)
    logs = await executor.execute("HKEYS", f"{start}logs")
    lists = [f"{start}log:{name.decode()}" for name in logs if not name.startswith(b"\0")]
    parts = [f"{start}{part}" for part in ("state", "count", "names", "ids", "logs")]
    await executor.execute("UNLINK", *parts, *lists)
