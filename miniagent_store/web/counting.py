"""The numbers above a listing."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.finding import WHATEVER

# Within which a session that expires does so soon.
SOON = "1h"
# Within which a session that was active is so now.
NOW = timedelta(minutes=1)
# Sessions that are looked at, first and at most, to count those.
FEW, MANY = 50, 1_000


@dataclass(frozen=True, slots=True)
class Counters:
    """What a store holds.

    Attributes:
        sessions, messages: that are live; None where the store cannot say.
        expiring: within the hour; None where it could only tell by looking at each.
        active: within the last minute, at most `MANY`.
        problem: why numbers are missing, if they are.
        kinds: what the records carry.
    """

    sessions: int | None
    messages: int | None
    expiring: int | None
    active: int
    problem: str | None = None
    kinds: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As texts, for a page."""
        texts = {name: f"{value:,}" for name, value in asdict(self).items() if isinstance(value, int)}
        texts["active"] += "+" if self.active >= MANY else ""
        return {"sessions": "–", "messages": "–", "expiring": "–", **texts}


async def count(store: SessionStore) -> Counters:
    """The numbers of now, from what is kept beside sessions: it costs the same for any number of them."""
    stats, expiring, active = await asyncio.gather(
        store.stats(), store.count_expiring(SOON), _active(store)
    )
    if stats.problem is not None:
        return Counters(None, None, expiring, active, stats.problem)
    return Counters(
        stats.sessions.get("session", 0),
        stats.messages,
        expiring,
        active,
        kinds=tuple(sorted(stats.sessions)),
    )


async def _active(store: SessionStore) -> int:
    since = datetime.now(UTC) - NOW
    for limit in (FEW, MANY):
        page = await store.list(limit=limit, **WHATEVER)
        # In order, and what a session holds is worked out when it is looked at: a few are enough.
        found = bisect_left(page.items, True, key=lambda session: session.last_activity < since)
        if found < limit:
            break
    return found
