"""Reading: plain commands where they can tell, else a script, which always can."""

from __future__ import annotations

from typing import Any

from miniagent_backends.redis.elements import entries_of
from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.plain_reading import is_large, read_plainly
from miniagent_backends.redis.refusals import refuse, understanding
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import entry_of, pack_plan, record_of, value_of
from miniagent_store.backend import ReadPlan, ReadResult


async def read(executor: Executor, keys: Keys, plan: ReadPlan) -> ReadResult:
    """See `Backend.read`."""
    result = await read_plainly(executor, keys, plan)
    if result is not None:
        return result
    packed = pack_plan(plan, keys.parts(plan.session_id))
    with understanding(plan.session_id, "a part"):
        reply = await executor.script(
            "read", [keys.record(plan.session_id)], packed, large=any(map(is_large, plan.ranges))
        )
    return await _result_of(plan, reply)


async def _result_of(plan: ReadPlan, reply: list[Any]) -> ReadResult:
    if not reply:
        return ReadResult(None)
    if reply[0] == b"DAMAGED":
        raise refuse(plan.session_id, "", reply, None)
    token, packed, expires, fence, ranges, values, scans, resets = reply
    with understanding(plan.session_id, "a log"):
        entries = [
            await entries_of(elements, first)
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
