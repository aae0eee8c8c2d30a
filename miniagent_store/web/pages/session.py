"""One session: its conversation, its other logs, its state, its record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import StoreError
from miniagent_store.store.inspection import InspectedValue
from miniagent_store.values import EVENTS, MESSAGES
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.conversation.damage import Damage, damage_of
from miniagent_store.web.conversation.json_text import brief, json_of
from miniagent_store.web.conversation.standing import standing_at
from miniagent_store.web.pages.entries import log_of, part_of, sequence, values_of

VIEWS = ("log", "state", "record")
# Values of the state on a page, and characters of the JSON of each.
VALUES, LONGEST = 200, 20_000


async def page(request: Request) -> Response:
    """The session ``id=``, as ``view=`` says: a log (``log=``; messages if not), its state, its record."""
    view = request.query_params.get("view") or "log"
    if view not in VIEWS:
        raise HTTPException(404, f"A session has no {view[:40]!r}; it has {', '.join(VIEWS)}.")
    return await {"log": _log, "state": _state, "record": _record}[view](request)


async def _log(request: Request) -> Response:
    part = await part_of(request)
    values = values_of(part, request)
    standing = None
    if sequence(request, "at") is not None and part.count:
        standing = await standing_at(store_of(request), part)
    return _page(request, "log", part.inspection, **values, standing=standing)


async def _state(request: Request) -> Response:
    session_id = request.query_params.get("id", "")
    start = request.query_params.get("from") or None
    found = await store_of(request).inspect(session_id, limit=0, values=VALUES + 1, values_from=start)
    more = found.values[VALUES].name if len(found.values) > VALUES else None
    values = [_value(each) for each in found.values[:VALUES]]
    since = sequence(request, "since")
    return _page(
        request, "state", found, session=found.session, values=values, more=more, start=start, since=since
    )


async def _record(request: Request) -> Response:
    found = await store_of(request).inspect(request.query_params.get("id", ""), limit=0)
    return _page(
        request,
        "record",
        found,
        session=found.session,
        lives=_length(found.session.ttl),
        metadata=json_of(found.session.metadata) if found.session.metadata else "",
    )


def _page(request: Request, view: str, found: Any, **values: Any) -> Response:
    logs = {MESSAGES: (1, 0), EVENTS: (1, 0), **found.logs}
    return rendering_of(request).page(
        request,
        "session.html",
        view=view,
        found=found,
        logs={name: max(last - first + 1, 0) for name, (first, last) in logs.items()},
        log=log_of(request),
        problems=_damages(found.problems),
        **values,
    )


def _value(value: InspectedValue) -> dict[str, Any]:
    """What a row of the state shows."""
    return {
        "stored": value,
        "damage": damage_of(value.error) if value.error else None,
        "brief": brief(value.value, 200) if not isinstance(value.value, str) else value.value[:200],
        "json": json_of(value.value, limit=LONGEST),
    }


def _length(seconds: float | None) -> str:
    """A TTL in the largest unit in which it is a whole number: "30 d", "90 min"; "" for never."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


def _damages(errors: Iterable[StoreError]) -> list[Damage]:
    return list(dict.fromkeys(map(damage_of, errors)))
