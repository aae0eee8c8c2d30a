"""Reading by plain commands, back to back in one write: a script that says the same takes twice as long.

All that changes a session replaces its token. What is read between two sights of one token is therefore
what the session was at one moment, though other commands may have come between.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from miniagent_backends.redis.elements import entries_of
from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import record_of_row, row_of, value_of
from miniagent_backends.redis.wire.connection import Command, pack
from miniagent_backends.redis.wire.replies import ReplyError
from miniagent_store.backend import (
    LogRange,
    LogTail,
    ReadPlan,
    ReadResult,
    Record,
    StoredEntry,
    StoredValue,
)

# Reads of more entries than this go over connections of their own, so that commits do not wait for them.
LARGE_READ = 200
# Logs that are always looked at: most sessions have no others.
_USUAL_LOGS = ("messages", "events")
Bounds = tuple[int, int]


class Question(NamedTuple):
    """Commands that ask for what a plan wants.

    Attributes:
        key: of the record.
        logs: whose lengths are asked for, in their order.
        whole: whether all sizes are asked for, not only whether everything is there.
        packed: the commands, as they go over the wire.
        replies: how many there will be.
        large: whether there may be much to answer.
    """

    key: str
    logs: tuple[str, ...]
    whole: bool
    packed: bytes
    replies: int
    large: bool


async def read_plainly(executor: Executor, keys: Keys, plan: ReadPlan) -> ReadResult | None:
    """See `Backend.read`.

    None where plain commands cannot tell: what they do not know, what has changed meanwhile, what has to be
    asked of another node, and all that is damaged. The script can, or says what is wrong.
    """
    if plan.scans or plan.expired or plan.damaged:
        return None
    going_on = any(wanted.after or wanted.before for wanted in plan.ranges)
    ask = _question if going_on else _usual_question
    question = ask(keys, plan.session_id, plan.ranges, plan.names)
    if question is None:
        return None
    replies = await executor.look(question.key, question.packed, question.replies, large=question.large)
    fields = replies[0]
    if type(fields) is list and fields[0] is None and replies[-1] is None:
        return ReadResult(None)
    try:
        result = await _result_of(plan, replies, question)
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return None
    if result is None or result.record is None:
        return result
    logs = result.record.logs
    if len(logs) > 1:
        others = set(logs) - {*_USUAL_LOGS, *question.logs}
        if others and not await _are_whole(executor, keys, result.record, others):
            return None
    return result


def _question(
    keys: Keys, session_id: str, ranges: tuple[LogRange, ...], names: tuple[str, ...]
) -> Question | None:
    """None if it cannot be asked without knowing the record."""
    key, parts = keys.record(session_id), keys.parts(session_id)
    logs = tuple(dict.fromkeys(wanted.log for wanted in ranges))
    commands: list[Command] = [
        ("HMGET", key, "t", "m", "x", "f"),
        ("TIME",),
    ]
    # What is damaged is told whatever was asked for: at least if a part is gone, as by eviction.
    whole = bool(names or not ranges)
    if whole:
        logs = tuple(dict.fromkeys((*_USUAL_LOGS, *logs)))
        commands += [("HLEN", parts["state"]), ("ZCARD", parts["names"])]
        commands += [("HLEN", parts["count"]), ("HLEN", parts["ids"])]
    else:
        usual = [keys.log(parts, log) for log in _USUAL_LOGS]
        commands.append(("EXISTS", *usual, parts["state"], parts["names"], parts["count"], parts["ids"]))
    commands += [("LLEN", keys.log(parts, log)) for log in logs]
    for wanted in ranges:
        bounds = bounds_of(wanted)
        if bounds is None:
            return None
        commands.append(("LRANGE", keys.log(parts, wanted.log), *bounds))
    if names:
        commands += [("HMGET", parts[part], *names) for part in ("state", "count")]
    commands.append(("HGET", key, "t"))
    packed = b"".join([pack(*command) for command in commands])
    return Question(key, logs, whole, packed, len(commands), any(map(is_large, ranges)))


# Whoever does not go on from somewhere asks the same of a session again and again.
_usual_question = functools.lru_cache(maxsize=1024)(_question)


async def _result_of(plan: ReadPlan, replies: list[Any], question: Question) -> ReadResult | None:
    # Called for every read: plain loops, and nothing that is not needed.
    (token, packed, expires, fence), (seconds, micros) = replies[:2]
    if not token or not packed or token != replies[-1]:
        return None
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    if expires and int(expires) <= now_ms:
        return ReadResult(None)
    row = row_of(packed)
    record = record_of_row(plan.session_id, token, row, expires or b"", int(fence or 0))
    values, counters, ids = row[b"values"], row[b"counters"], row[b"ids"]
    if question.whole:
        at = 6
        if replies[2:at] != [values, values, counters, ids]:
            return None
    else:
        at = 3
        there = 2 * (values > 0) + (counters > 0) + (ids > 0)
        for log in _USUAL_LOGS:
            there += log in record.logs and record.logs[log].count > 0
        if replies[2] != there:
            return None
    if plan.since and record.changed_since(*plan.since):
        return None
    lengths = {}
    for log in question.logs:
        lengths[log] = length = replies[at]
        at += 1
        if log in record.logs and length < record.logs[log].count:
            return None
    entries: list[Sequence[StoredEntry]] = []
    for wanted in plan.ranges:
        tail = record.tail(wanted.log)
        first = _first(wanted, tail)
        # Longer than the record says: LRANGE may have counted from another end.
        if first is None or lengths[wanted.log] != tail.count:
            return None
        entries.append(await entries_of(replies[at], first))
        at += 1
    state = _values_of(plan.names, replies[at], replies[at + 1], now_ms) if plan.names else ()
    return ReadResult(record, tuple(entries), state)


def _values_of(
    names: Sequence[str], blobs: Sequence[bytes | None], counters: Sequence[bytes | None], now_ms: int
) -> tuple[StoredValue, ...]:
    found = [
        value_of([name.encode(), blob, counter or b""])
        for name, blob, counter in zip(names, blobs, counters, strict=True)
        if blob is not None
    ]
    return tuple([each for each in found if each.expires_ms is None or each.expires_ms > now_ms])


async def _are_whole(executor: Executor, keys: Keys, record: Record, logs: set[str]) -> bool:
    """Whether logs hold what the record says, which has not changed meanwhile."""
    key, parts = keys.record(record.session_id), keys.parts(record.session_id)
    commands = [*(pack("LLEN", keys.log(parts, log)) for log in logs), pack("HGET", key, "t")]
    *lengths, token = await executor.look(key, b"".join(commands), len(commands))
    if token != record.token or any(isinstance(each, ReplyError) for each in lengths):
        return False
    return all(each >= record.logs[log].count for log, each in zip(logs, lengths, strict=True))


def bounds_of(wanted: LogRange) -> Bounds | None:
    """What LRANGE is asked for, as if the log began at its first entry; None if that cannot be said."""
    if wanted.not_before_ms is not None:
        return None
    if wanted.last is not None:
        if (wanted.after, wanted.before, wanted.limit) != (0, None, None):
            return None
        # -0 would be the first.
        return (-wanted.last, -1) if wanted.last else (1, 0)
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


def is_large(wanted: LogRange) -> bool:
    sizes = [size for size in (wanted.last, wanted.limit) if size is not None]
    return not sizes or min(sizes) > LARGE_READ
