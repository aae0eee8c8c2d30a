"""One session: its conversation."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.web.asked import rendering_of, store_of

SHOWN = 100


async def page(request: Request) -> Response:
    """The record and the newest entries of the session ``id=``."""
    store, session_id = store_of(request), request.query_params.get("id", "")
    session = await store.get(session_id)
    entries = await store.entries(session_id, last=SHOWN)
    return rendering_of(request).page(request, "session.html", session=session, entries=entries)
