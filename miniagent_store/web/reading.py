"""A log read page by page, whatever of it is broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from miniagent_store.errors import SerializationError, SessionDamagedError
from miniagent_store.store.protocol import SessionStore

# Entries read at a time.
PAGE = 500


@dataclass(frozen=True, slots=True)
class Said:
    """An entry, or the place of one that cannot be read.

    Attributes:
        seq, id, time, redacted: as of `Entry`; without id and time where nothing is left of it.
        value: None where it cannot be read.
        problem: why.
    """

    seq: int
    id: str
    time: datetime | None
    redacted: bool
    value: Mapping[str, Any] | None
    problem: str = ""

    @property
    def role(self) -> str:
        """Who says it."""
        if self.value is None:
            return "unreadable"
        return str(self.value.get("role") or self.value.get("type") or "entry")


async def read(store: SessionStore, session_id: str, log: str, after: int, upto: int) -> Sequence[Said]:
    """The entries behind `after`, up to and with `upto`."""
    try:
        # All at once, which is many times as fast; it refuses if one of them is broken.
        entries = await store.entries(session_id, log=log, after=after, before=upto + 1)
        return [Said(each.seq, each.id, each.time, each.redacted, each.value) for each in entries]
    except (SerializationError, SessionDamagedError):
        pass
    seen = await store.inspect(session_id, log=log, after=after, before=upto + 1)
    found = [
        Said(each.seq, each.id, each.time, each.redacted, each.value, str(each.error or ""))
        for each in seen.entries
    ]
    missing = [
        Said(seq, "", None, False, None, str(gap.error))
        for gap in seen.gaps
        for seq in range(gap.first, gap.last + 1)
    ]
    return sorted(found + missing, key=lambda each: each.seq)


async def pages(
    store: SessionStore, session_id: str, log: str, first: int, last: int
) -> AsyncIterator[Sequence[Said]]:
    """All entries from `first` to `last`, page by page."""
    for start in range(first, last + 1, PAGE):
        page = await read(store, session_id, log, start - 1, min(start + PAGE - 1, last))
        if page:
            yield page
