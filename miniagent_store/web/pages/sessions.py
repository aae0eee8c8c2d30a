"""All sessions, page by page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.web.asked import rendering_of, store_of

PAGE = 50


async def page(request: Request) -> Response:
    """A table of sessions, newest activity first; ``cursor=`` as the page before gave it."""
    asked = request.query_params
    filters = {name: asked[name] for name in ("user_id", "agent") if asked.get(name)}
    found = await store_of(request).list(**filters, cursor=asked.get("cursor") or None, limit=PAGE)
    return rendering_of(request).page(request, "sessions.html", page=found, filters=filters)
