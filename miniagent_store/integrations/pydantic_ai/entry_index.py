"""Where an entry stands, by its id alone: the contract looks entries up without their conversation."""

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from miniagent_store import SessionStore
from miniagent_store.ids import join_id
from miniagent_store.integrations.pydantic_ai.families import Spot
from miniagent_store.store.kv import KeyValue

COLLECTION = "pydantic-ai.entries"
SHARDS = 256
# Of an id that begins with a time (UUIDv7), what is the same for about a minute: the entries of one save
# are then together, and take one commit.
_TIME_DIGITS = 8


def _shard(store: SessionStore, number: int) -> KeyValue:
    return store.kv(f"{COLLECTION}.{number:02x}")


def _by_shard(entry_ids: Iterable[str]) -> dict[int, list[str]]:
    shards: dict[int, list[str]] = defaultdict(list)
    for entry_id in entry_ids:
        shards[zlib.crc32(entry_id[:_TIME_DIGITS].encode()) % SHARDS].append(entry_id)
    return shards


async def note_entries(store: SessionStore, spots: Mapping[str, Spot]) -> None:
    """Note where entries will stand. Noted before they are stored: a note may be wrong, never missing."""
    for number, ids in _by_shard(spots).items():
        values = {join_id(each): [spots[each].session_id, spots[each].log, spots[each].seq] for each in ids}
        await _shard(store, number).set_many(values)


async def look_up(store: SessionStore, entry_id: str) -> Spot | None:
    """Where an entry would stand; None if it was never noted."""
    (number,) = _by_shard([entry_id])
    found = await _shard(store, number).get(join_id(entry_id))
    return None if found is None else Spot(*found)


async def forget_entries(store: SessionStore, entry_ids: Iterable[str]) -> None:
    """Remove notes of entries that are gone."""
    # A value that ends at once, since these can be set together.
    removals = (
        _shard(store, number).set_many(dict.fromkeys(map(join_id, ids)), ttl=0.001)
        for number, ids in _by_shard(entry_ids).items()
    )
    await asyncio.gather(*removals)
