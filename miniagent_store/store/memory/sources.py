"""Whether what is remembered may still be shown: a message that was taken back takes its memory with it.

A memory of a message is shown as long as the message stands in its session, or the session has expired as a
whole, unless it was to go with it. A session that is deleted takes its memories with it before it goes, so
that one that is missing has expired.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from miniagent_store.backend import LogRange, ReadPlan
from miniagent_store.store.core import StoreCore
from miniagent_store.values import MESSAGES, Memory

# Sessions that are looked at together.
AT_ONCE = 16


async def standing(core: StoreCore, memories: Iterable[Memory]) -> list[Memory]:
    """Those that may be shown, in order."""
    found = list(memories)
    by_session: dict[str, list[Memory]] = defaultdict(list)
    for each in found:
        if each.source is not None and each.source.seq is not None:
            by_session[each.source.session_id].append(each)
    gone: set[str] = set()
    sessions = list(by_session.items())
    for start in range(0, len(sessions), AT_ONCE):
        some = sessions[start : start + AT_ONCE]
        gone.update(*await asyncio.gather(*(_gone(core, session_id, of_it) for session_id, of_it in some)))
    return [each for each in found if each.id not in gone]


async def _gone(core: StoreCore, session_id: str, memories: list[Memory]) -> set[str]:
    sequences = sorted({each.source.seq for each in memories if each.source and each.source.seq})
    ranges = tuple(LogRange(MESSAGES, after=seq - 1, before=seq + 1) for seq in sequences)
    result = await core.read(ReadPlan(session_id, ranges))
    incarnation = None if result.record is None else result.record.incarnation
    there = {
        (entry.seq, entry.id.hex()) for entries in result.entries for entry in entries if not entry.redacted
    }
    gone = set()
    for each in memories:
        source = each.source
        assert source is not None
        if incarnation is None or source.incarnation not in (None, incarnation):
            if each.forget_on_expiry:
                gone.add(each.id)
        elif source.entry_id is None:
            if source.seq not in {seq for seq, _ in there}:
                gone.add(each.id)
        elif (source.seq, source.entry_id) not in there:
            gone.add(each.id)
    return gone
