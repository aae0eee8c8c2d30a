"""One page of the sessions that fit, without ever holding more than a few."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Page, Session
from miniagent_store.web.filters import Filters

# Sessions on a page.
PAGE = 50
# Sessions that are looked at for one page where no index helps, and at once.
MOST, CHUNK = 5_000, 1_000
# Metadata are not shown, and nobody's page is to fail for want of one session's key or for its damage.
WHATEVER: dict[str, Any] = {"metadata": False, "skip_damaged": True}
# Times that a place is looked for which moves while it is looked for.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """A page.

    Attributes:
        sessions: what fits.
        next_cursor: where the next page begins; None at the end.
        looked: how many sessions were looked at one by one; 0 where an index answered.
        damaged: ids of sessions that stand here and cannot be read, whether they would fit or not.
    """

    sessions: list[Session]
    next_cursor: str | None
    looked: int
    damaged: list[str]


async def find(store: SessionStore, filters: Filters, cursor: str | None) -> Found:
    """The page that begins at a cursor; None for the first.

    Where no index helps, at most `MOST` sessions are looked at, so that a page may hold few or none and
    still have another behind it.

    Raises:
        InvalidArgumentError: a filter, or the cursor, is none.
    """
    fitting = filters.at(datetime.now(UTC))
    is_walk = filters.looks_at_each
    sessions: list[Session] = []
    damaged: list[str] = []
    looked = 0
    while True:
        page = await _list(store, filters, cursor, min(CHUNK, MOST - looked) if is_walk else PAGE)
        damaged += page.damaged
        for number, session in enumerate(page.items, 1):
            if not filters.oldest and fitting.is_past(session):
                return Found(sessions, None, looked + number if is_walk else 0, damaged)
            if not fitting.fits(session):
                continue
            sessions.append(session)
            if is_walk and len(sessions) == PAGE and number < len(page.items):
                behind = await _cursor_behind(store, filters, cursor, number, session)
                if behind is not None:
                    return Found(sessions, behind, looked + number, damaged)
        looked += len(page.items)
        cursor = page.next_cursor
        if not is_walk or cursor is None or looked >= MOST or len(sessions) >= PAGE:
            return Found(sessions, cursor, looked if is_walk else 0, damaged)


async def _list(store: SessionStore, filters: Filters, cursor: str | None, limit: int) -> Page:
    return await store.list(
        **filters.listed,
        order="last_activity" if filters.oldest else "-last_activity",
        cursor=cursor,
        limit=limit,
        **WHATEVER,
    )


async def _cursor_behind(
    store: SessionStore, filters: Filters, cursor: str | None, number: int, last: Session
) -> str | None:
    """The cursor behind a session that came as the `number`-th after a cursor.

    A page of exactly that length ends with it. Where others have left from before it meanwhile, it ends
    further on, and a shorter one is asked for, which may end before it: a session may be shown twice, and
    none is missed. None if there is no such page; the page that is shown is then longer than others.
    """
    for _ in range(TRIES):
        page = await _list(store, filters, cursor, number)
        kept = sum(not _is_beyond(session, last, filters.oldest) for session in page.items)
        if kept == len(page.items):
            return page.next_cursor
        number = kept
        if number == 0:
            break
    return None


def _is_beyond(session: Session, last: Session, ascending: bool) -> bool:
    here, there = (session.last_activity, session.id), (last.last_activity, last.id)
    return here > there if ascending else here < there
