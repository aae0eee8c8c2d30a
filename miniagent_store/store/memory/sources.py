"""Whether what is remembered may still be shown: a message that was taken back takes its memory with it.

A memory of a message is shown as long as the message stands in its session, or the session has expired as a
whole, unless it was to go with it. A session that is deleted takes its memories with it before it goes, so
that one that is missing has expired. A memory of a session as a whole is shown until it is removed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from miniagent_store.backend import LogRange, ReadPlan, Record
from miniagent_store.store.core import StoreCore
from miniagent_store.values import MESSAGES, Memory, to_ms

# Sessions that are looked at together.
AT_ONCE = 16
# From when on a session that is missing counts as expired, however long it was to live: its life may have
# been shortened.
SURE_MS = 600_000


def until(core: StoreCore, record: Record) -> int:
    """Until when a session that stands now cannot have expired, milliseconds since 1970."""
    sure = core.backend.now_ms() + SURE_MS
    return sure if record.expires_ms is None else min(sure, record.expires_ms)


async def standing(core: StoreCore, memories: Iterable[Memory]) -> list[Memory]:
    """Those that may be shown, in order."""
    found = list(memories)
    by_session: dict[str, list[Memory]] = defaultdict(list)
    for each in found:
        if each.source is not None and (
            each.source.seq is not None or each.forget_on_expiry or each.source.until_ms
        ):
            by_session[each.source.session_id].append(each)
    gone: set[str] = set()
    sessions = list(by_session.items())
    for start in range(0, len(sessions), AT_ONCE):
        some = sessions[start : start + AT_ONCE]
        gone.update(
            *await asyncio.gather(*(gone_of(core, session_id, of_it) for session_id, of_it in some))
        )
    return [each for each in found if each.id not in gone]


async def gone_of(core: StoreCore, session_id: str, memories: Sequence[Memory]) -> set[str]:
    """Ids of the memories of a session that may not be shown any more."""
    sequences = sorted({each.source.seq for each in memories if each.source and each.source.seq})
    result = await core.read(ReadPlan(session_id, tuple(_ranges(sequences))))
    record = result.record
    there = {
        (entry.seq, entry.id.hex()) for entries in result.entries for entry in entries if not entry.redacted
    }
    standing_sequences = {seq for seq, _ in there}
    gone = set()
    now_ms = core.backend.now_ms()
    for each in memories:
        source = each.source
        assert source is not None
        if record is None or _is_of_another(record, each):
            # Who deletes a session may not have seen yet that somebody was about to remember it.
            if each.forget_on_expiry or now_ms < (source.until_ms or 0):
                gone.add(each.id)
        elif source.seq is None:
            continue
        elif source.entry_id is None:
            if source.seq not in standing_sequences:
                gone.add(each.id)
        elif (source.seq, source.entry_id) not in there:
            gone.add(each.id)
    return gone


def _is_of_another(record: Record, memory: Memory) -> bool:
    """Whether it is of a session that has expired before this one was made under the same id.

    A session that was moved to another store has another incarnation there, and was made when it was made.
    """
    assert memory.source is not None
    if memory.source.incarnation in (None, record.incarnation):
        return False
    return to_ms(memory.time) < record.created_ms


def _ranges(sequences: Sequence[int]) -> Iterator[LogRange]:
    """What to read to see entries: those that stand beside each other at once."""
    start = 0
    for at in range(1, len(sequences) + 1):
        if at == len(sequences) or sequences[at] != sequences[at - 1] + 1:
            yield LogRange(MESSAGES, after=sequences[start] - 1, before=sequences[at - 1] + 1)
            start = at
