"""What stood beside a log when one of its entries was the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.conversation.ranges import Range


@dataclass(frozen=True, slots=True)
class Standing:
    """The other parts of a session at that time.

    Attributes:
        seq: of the entry.
        time: its time; None where it is missing.
        version: of the commit that wrote it.
        logs: of each other log, the last sequence that stood then, and the last that stands now.
    """

    seq: int
    time: datetime | None
    version: int | None
    logs: dict[str, tuple[int, int]]


async def standing_at(store: SessionStore, part: Range) -> Standing:
    """What stood when the last entry of a part was written.

    A session keeps no old values of its state, so that only logs can tell.

    Args:
        store: where the session is.
        part: of one of its logs.
    """
    entry = part.shown[-1].entry if part.shown else None
    if entry is None:
        return Standing(part.last, None, None, {})
    found, logs = part.inspection, dict[str, tuple[int, int]]()
    for log, (low, high) in found.logs.items():
        if log != part.log and low <= high:
            last = await _last_before(store, found.session.id, log, low, high, entry.version)
            logs[log] = (last, high)
    return Standing(entry.seq, entry.time, entry.version, logs)


async def _last_before(
    store: SessionStore, session_id: str, log: str, low: int, high: int, version: int
) -> int:
    """The last sequence of a log that a commit up to `version` has written; one less than `low` for none.

    Versions rise along a log, so that seventeen looks find one of 100,000.
    """
    while low <= high:
        middle = (low + high) // 2
        found = await store.inspect(session_id, log=log, after=middle - 1, limit=1)
        # One that is missing is taken for younger: what stood before it is still told.
        is_older = bool(found.entries) and found.entries[0].version <= version
        low, high = (middle + 1, high) if is_older else (low, middle - 1)
    return high
