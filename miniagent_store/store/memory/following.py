"""What changed in a scope since an index looked last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from miniagent_store.backend import LogRange, ReadPlan, ReadResult, StateScan, StoredValue
from miniagent_store.errors import DecodeError, TamperedError
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.values import StateItem, from_ms

# Memories of one read, and commits that are followed one by one; who is further behind begins anew.
PAGE = 500
# Values from which on a thread is worth its while.
IN_A_THREAD = 20

# What is wrong with one value, and not with all.
DAMAGED = (DecodeError, TamperedError)
logger: logging.Logger = logging.getLogger("miniagent_store")

# The state values of memories that are read, of their ids.
Names = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Some of what changed.

    Attributes:
        items: values that stand now.
        changed: ids of the memories that were looked for; one without a value among `items` is no more.
        upto: what to ask with next time, once these and all before them are taken; None: more is to come.
        anew: whether what was known before is to be dropped first.
    """

    items: list[StateItem]
    changed: list[str]
    upto: str | None
    anew: bool = False


async def changes_since(
    core: StoreCore, record_id: str, applied: str | None, names: Names
) -> AsyncIterator[Changes]:
    """What changed since `applied`, page by page; nothing if all is known.

    Args:
        core: of the store.
        record_id: of the scope.
        applied: `Changes.upto` of the last page; None for all.
        names: of the state values to read, of ids.
    """
    incarnation, _, number = (applied or "").partition(":")
    after = int(number or 0)
    plan = ReadPlan(record_id, (LogRange(layout.CHANGES, after=after, limit=PAGE),))
    result = await core.read(plan)
    record = result.record
    if record is None:
        if applied is not None:
            yield Changes([], [], None, anew=True)
        return
    tail = record.tail(layout.CHANGES)
    if incarnation != record.incarnation or after < tail.base or tail.last - after > PAGE:
        async for changes in _all(core, record_id, f"{record.incarnation}:{tail.last}", names):
            yield changes
    elif tail.last > after:
        yield await _since(core, record_id, result, names)


async def _since(core: StoreCore, record_id: str, result: ReadResult, names: Names) -> Changes:
    assert result.record is not None
    entries = await core.coding.decode_entries(record_id, layout.CHANGES, result.entries[0])
    changed = list(dict.fromkeys(each for entry in entries for each in entry.value["ids"]))
    items = []
    for start in range(0, len(changed), PAGE):
        # May be newer than the changes that were read: these come again, and find the same.
        items += await read_items(core, record_id, names(changed[start : start + PAGE]))
    return Changes(items, changed, f"{result.record.incarnation}:{entries[-1].seq}")


async def _all(core: StoreCore, record_id: str, upto: str, names: Names) -> AsyncIterator[Changes]:
    start, anew = None, True
    while True:
        scan = StateScan(layout.text_name(), start, PAGE + 1)
        result = await core.read(ReadPlan(record_id, scans=(scan,)))
        found = [layout.id_of(each.name) for scanned in result.scans for each in scanned]
        ids, more = found[:PAGE], found[PAGE:]
        items = await read_items(core, record_id, names(ids))
        yield Changes(items, ids, None if more else upto, anew)
        if not more:
            return
        start, anew = layout.text_name(more[0]), False


async def read_items(core: StoreCore, record_id: str, names: Sequence[str]) -> list[StateItem]:
    """Values of state that are there."""
    if not names:
        return []
    return await decoded(core, record_id, (await core.read(ReadPlan(record_id, names=tuple(names)))).values)


async def decoded(core: StoreCore, record_id: str, values: Sequence[StoredValue]) -> list[StateItem]:
    """Values of state; in a thread if they are many. Of several those that are damaged are left out.

    Raises:
        SerializationError: none of them can be read.
        KeyNotFoundError, KeyProviderError: a key cannot be had.
    """

    def decode() -> list[StateItem]:
        items, damaged = [], None
        for each in values:
            try:
                value = core.coding.decode_value(record_id, each)
            except DAMAGED as error:
                logger.warning("%r of %r is damaged, and is left out: %s", each.name, record_id, error)
                damaged = error
            else:
                expires_at = None if each.expires_ms is None else from_ms(each.expires_ms)
                items.append(StateItem(each.name, value, each.version, expires_at))
        if damaged is not None and not items:
            raise damaged
        return items

    return await asyncio.to_thread(decode) if len(values) > IN_A_THREAD else decode()
