"""What servers tell of themselves in numbers, for `Health.details`: memory, look-ups, locks waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from miniagent_backends.redis.health import fields_of
from miniagent_backends.redis.keys import Keys, escape_glob
from miniagent_backends.redis.wire.node import Node
from miniagent_store.errors import StoreError

# As INFO names them, and as we do.
NUMBERS = {
    "used_memory": "used_memory",
    "maxmemory": "maxmemory",
    "instantaneous_ops_per_sec": "commands_per_second",
    "keyspace_hits": "hits",
    "keyspace_misses": "misses",
    "connected_clients": "clients",
}
# Owners of leases are so many hexadecimal digits, and no session's own channel ends in them.
OWNER = "?" * 24


async def gauges(nodes: Sequence[Node], keys: Keys) -> dict[str, Any]:
    """Numbers by server, and how many locks and turns are waited for, by how many.

    A server that does not answer, or does not allow to be asked, is left out: findings tell of it.
    """
    waited = f"{escape_glob(keys.start)}notify:*:{OWNER}"
    looks = await asyncio.gather(*(_look(node, waited) for node in nodes))
    servers = {node.name: numbers for node, (numbers, _) in zip(nodes, looks, strict=True) if numbers}
    told = [channels for _, channels in looks if channels is not None]
    if not told:
        return {"servers": servers}
    channels = [channel for each in told for channel in each]
    names = {channel.rpartition(b":")[0] for channel in channels}
    return {"servers": servers, "locks": {"waited_for": len(names), "waiting": len(channels)}}


async def _look(node: Node, waited: str) -> tuple[dict[str, int], list[bytes] | None]:
    try:
        info, channels = await node.exchange([("INFO",), ("PUBSUB", "SHARDCHANNELS", waited)])
    except StoreError:
        return {}, None
    told = fields_of(info)
    numbers = {ours: int(told[theirs]) for theirs, ours in NUMBERS.items() if theirs in told}
    return numbers, channels if isinstance(channels, list) else None
