"""Reading: one script; where it would carry a long log, plain commands beside it, which are cheaper."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from miniagent_backends.redis.refusals import refuse, understanding
from miniagent_backends.redis.routing.executor import Executor, call
from miniagent_backends.redis.schema import Keys, entry_of, pack_plan, record_of, value_of
from miniagent_backends.redis.wire.replies import ReplyError
from miniagent_store.backend import LogRange, LogTail, ReadPlan, ReadResult, StoredEntry

# Reads of more entries than this go over connections of their own, so that commits do not wait for them.
LARGE_READ = 200
# Entries that are made of their bytes before other tasks get a turn.
AT_ONCE = 500


async def read(executor: Executor, keys: Keys, plan: ReadPlan) -> ReadResult:
    """See `Backend.read`."""
    large = any(_is_large(wanted) for wanted in plan.ranges)
    if large and len(plan.ranges) == 1:
        result = await _read_beside(executor, keys, plan, plan.ranges[0])
        if result is not None:
            return result
    packed = pack_plan(plan, keys.parts(plan.session_id))
    with understanding(plan.session_id, "a part"):
        reply = await executor.script("read", [keys.record(plan.session_id)], packed, large=large)
    return await _result_of(plan, reply)


async def _result_of(plan: ReadPlan, reply: list[Any]) -> ReadResult:
    if not reply:
        return ReadResult(None)
    if reply[0] == b"DAMAGED":
        raise refuse(plan.session_id, "", reply, None)
    token, packed, expires, fence, ranges, values, scans, resets = reply
    with understanding(plan.session_id, "a log"):
        entries = [
            await _entries_of(elements, first)
            if wanted.not_before_ms is None
            else tuple(entry_of(seq, element) for seq, element in elements)
            for wanted, (first, elements) in zip(plan.ranges, ranges, strict=True)
        ]
    with understanding(plan.session_id, "the state"):
        found = tuple(map(value_of, values))
        scanned = tuple(tuple(map(value_of, scan)) for scan in scans)
    with understanding(plan.session_id, "the record"):
        record = record_of(plan.session_id, token, packed, expires, fence)
    changed = {log.decode(): seq for log, seq in resets}
    return ReadResult(record, tuple(entries), found, scanned, changed)


async def _read_beside(
    executor: Executor, keys: Keys, plan: ReadPlan, wanted: LogRange
) -> ReadResult | None:
    """The script without the log, then the log by LRANGE, then the token once more: None if it has changed.

    Half of the time of a long read went into carrying elements through Lua. All that changes a log
    replaces the token, so the log that was read between two sights of one token is the log of that record.
    """
    bounds = _bounds(wanted)
    if bounds is None:
        return None
    record_key, parts = keys.record(plan.session_id), keys.parts(plan.session_id)
    log = {"messages": parts["thread"], "events": parts["events"]}.get(
        wanted.log, parts["log"] + wanted.log
    )
    with understanding(plan.session_id, "a part"):
        replies = await executor.at_once(
            call("read", [record_key], pack_plan(replace(plan, ranges=()), parts)),
            ("LRANGE", log, *bounds),
            ("LLEN", log),
            ("HGET", record_key, "t"),
        )
    if any(isinstance(reply, ReplyError) for reply in replies):
        return None
    reply, elements, length, token = replies
    result = await _result_of(replace(plan, ranges=()), reply)
    if result.record is None:
        return result
    tail = result.record.tail(wanted.log)
    first = _first(wanted, tail)
    if token != result.record.token or length != tail.count or result.resets or first is None:
        return None
    with understanding(plan.session_id, "a log"):
        return replace(result, entries=(await _entries_of(elements, first),))


def _bounds(wanted: LogRange) -> tuple[int, int] | None:
    """What LRANGE is asked for, as if the log began at its first entry; None if that cannot be said."""
    if wanted.not_before_ms is not None:
        return None
    if wanted.last is not None:
        return (
            (-wanted.last, -1) if (wanted.after, wanted.before, wanted.limit) == (0, None, None) else None
        )
    ends = []
    if wanted.before is not None:
        ends.append(wanted.before - 2)
    if wanted.limit is not None:
        ends.append(wanted.after + wanted.limit - 1)
    # A negative index would count from the end.
    return (wanted.after, min(ends, default=-1)) if min(ends, default=0) >= 0 else None


def _first(wanted: LogRange, tail: LogTail) -> int | None:
    """The sequence of the first element that was read; None if the log does not begin where we thought."""
    if wanted.last is not None:
        return max(tail.last - wanted.last, tail.base) + 1
    if tail.base and (wanted.after, wanted.before, wanted.limit) != (0, None, None):
        return None
    return max(wanted.after, tail.base) + 1


async def _entries_of(elements: Sequence[bytes], first: int) -> tuple[StoredEntry, ...]:
    """Entries from their elements, giving way to other tasks in between."""
    if len(elements) <= AT_ONCE:
        return tuple(map(entry_of, range(first, first + len(elements)), elements))
    entries: list[StoredEntry] = []
    for at in range(0, len(elements), AT_ONCE):
        some = elements[at : at + AT_ONCE]
        entries += map(entry_of, range(first + at, first + at + len(some)), some)
        await asyncio.sleep(0)
    return tuple(entries)


def _is_large(wanted: LogRange) -> bool:
    sizes = [size for size in (wanted.last, wanted.limit) if size is not None]
    return not sizes or min(sizes) > LARGE_READ
