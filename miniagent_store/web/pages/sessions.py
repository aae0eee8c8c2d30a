"""All sessions, page by page."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session, to_ms
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.counting import count
from miniagent_store.web.exact import Named, named
from miniagent_store.web.filters import Filters
from miniagent_store.web.finding import MOST, WHATEVER, Found, find
from miniagent_store.web.paging import Place


async def page(request: Request) -> Response:
    """A table of the sessions that fit; see `Filters` and `Place` for what an address may ask."""
    store = store_of(request)
    filters, place = Filters.of(request.query_params), Place.of(request.query_params)
    found, counters, fitting, exactly, latest = await asyncio.gather(
        find(store, filters, place.cursor),
        count(store),
        _fitting(store, filters),
        _named(store, filters, place),
        _latest(store, filters),
    )
    return rendering_of(request).page(
        request,
        "sessions.html",
        filters=filters,
        place=place,
        found=found,
        before=_query(filters, place.before),
        after=_query(filters, place.after(found.next_cursor) if found.next_cursor else None),
        bound=MOST,
        counters=counters.to_dict(),
        problem=counters.problem,
        kinds=[(kind, kind) for kind in dict.fromkeys(("session", *counters.kinds))],
        fitting=fitting,
        exactly=exactly,
        latest=_newest(found, latest),
    )


def _query(filters: Filters, place: Place | None) -> dict[str, Any] | None:
    return None if place is None else {**filters.query, **place.query}


async def _fitting(store: SessionStore, filters: Filters) -> int | None:
    """How many sessions fit, where the store knows."""
    return await store.count_sessions(**filters.listed) if filters.is_counted else None


async def _named(store: SessionStore, filters: Filters, place: Place) -> list[Named]:
    return await named(store, filters.text) if filters.text and place.cursor is None else []


async def _latest(store: SessionStore, filters: Filters) -> list[Session]:
    """The session that was active last: what is live goes on from there."""
    return (await store.list(**filters.listed, limit=1, **WHATEVER)).items


def _newest(found: Found, latest: list[Session]) -> int:
    """The last activity of which the page knows, in milliseconds; 0 if there was none."""
    return max((to_ms(each.last_activity) for each in (*found.sessions[:1], *latest)), default=0)
