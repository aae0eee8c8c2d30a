"""One session as a file: an archive as ``export`` writes it, or a text for people."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from miniagent_store.store.inspection import Inspection
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.exporting import archive, as_json, as_markdown

Chunks = AsyncIterator[bytes]


async def page(request: Request) -> Response:
    """The session ``id=`` as ``format=``: "stored" or "plain" (archives), "markdown" or "json"."""
    if not rendering_of(request).content:
        raise HTTPException(403, "This viewer hides what was said, and so it exports nothing.")
    store, session_id = store_of(request), request.query_params.get("id", "")
    asked = request.query_params.get("format", "markdown")
    if asked in ("stored", "plain"):
        lines = await archive(store, session_id, plain=asked == "plain")
        return _file(session_id, "jsonl", "application/jsonl", lines)
    kinds: dict[str, tuple[str, str, Callable[[SessionStore, Inspection], Chunks]]] = {
        "markdown": ("md", "text/markdown; charset=utf-8", as_markdown),
        "json": ("json", "application/json", as_json),
    }
    if asked not in kinds:
        raise HTTPException(400, "An export is markdown, json, plain or stored.")
    ending, media, made = kinds[asked]
    # Asked for before the answer begins: what is not there is a page that says so.
    seen = await store.inspect(session_id, last=0, values=1 << 20)
    return _file(session_id, ending, media, made(store, seen))


def _file(session_id: str, ending: str, media: str, chunks: Chunks) -> Response:
    plainly = re.sub(r"[^A-Za-z0-9._-]+", "-", session_id).strip(".-")[:80] or "session"
    encoded = quote(session_id[:80] + "." + ending, safe="")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plainly}.{ending}\"; filename*=UTF-8''{encoded}"
    }
    return StreamingResponse(chunks, media_type=media, headers=headers)
