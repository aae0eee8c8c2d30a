"""Parts of a session's logs: more of a conversation, one entry with all of it, what is new."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.values import MESSAGES, Position
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.conversation.damage import damage_of
from miniagent_store.web.conversation.json_text import json_of
from miniagent_store.web.conversation.ranges import Range, Wanted, read_range
from miniagent_store.web.conversation.tail import Tail
from miniagent_store.web.streaming import last_id, stream

# Of a value's JSON; more makes a page that no browser likes.
LONGEST = 2_000_000
# What the layers of an envelope do, of those that come with the library.
LAYERS = {
    "zlib": "compressed",
    "zstd": "compressed",
    "crc32": "with a checksum",
    "hmac": "signed",
    "aesgcm": "encrypted",
    "gcmsiv": "encrypted",
    "chacha": "encrypted",
    "pickle": "which may run code when it is read",
}


async def entries(request: Request) -> Response:
    """Some entries, without a page around: before, after or around a sequence, or up to ``at=``."""
    part = await part_of(request)
    return rendering_of(request).page(request, "session_entries.html", **values_of(part, request))


async def entry(request: Request) -> Response:
    """One entry: what it says of itself, and all that it holds."""
    session_id, log = request.query_params.get("id", ""), log_of(request)
    seq = sequence(request, "seq")
    rendering = rendering_of(request)
    found = await store_of(request).inspect(session_id, log=log, after=max((seq or 1) - 1, 0), limit=1)
    shown = next((each for each in found.entries if each.seq == seq), None)
    gap = next((each for each in found.gaps if each.first == seq), None)
    if shown is None and gap is None:
        low, high = found.logs.get(log, (1, 0))
        there = f"it holds {low} to {high}" if low <= high else "it is empty"
        raise HTTPException(404, f"There is no entry {seq} in the log {log!r}: {there}.")
    error = gap.error if gap else shown.error if shown else None
    value = json_of(shown.value, limit=LONGEST) if rendering.content and shown and not error else ""
    return rendering.page(
        request,
        "session_entry.html",
        session=found.session,
        log=log,
        seq=seq,
        entry=shown,
        bounds=found.logs[log],
        damage=damage_of(error) if error else None,
        value=value,
        layers=LAYERS,
    )


async def live(request: Request) -> Response:
    """What happens to a session from a position on, as `Tail` tells it."""
    store, session_id = store_of(request), request.query_params.get("id", "")
    given = last_id(request)
    after = Position.parse(given) if given else (await store.get(session_id)).position
    rendering = rendering_of(request)

    def render(part: Range) -> str:
        values = values_of(part, request)
        return bytes(rendering.page(request, "session_entries.html", **values).body).decode()

    tail = Tail(store, session_id, log_of(request), content=rendering.content, render=render)
    return stream(tail.events(after))


async def part_of(request: Request, *, values: int = 0) -> Range:
    """The part of a log that a request asks for.

    Args:
        request: with id, log, and before, after, around or at.
        values: of the state, to be read too.
    """
    wanted = Wanted(
        log_of(request),
        before=sequence(request, "before"),
        after=sequence(request, "after"),
        around=sequence(request, "around"),
        at=sequence(request, "at"),
    )
    session_id = request.query_params.get("id", "")
    content = rendering_of(request).content
    return await read_range(store_of(request), session_id, wanted, content=content, values=values)


def values_of(part: Range, request: Request) -> dict[str, object]:
    """What the template of entries takes."""
    at = sequence(request, "at")
    return {"part": part, "session": part.inspection.session, "at": part.last if at is not None else None}


def log_of(request: Request) -> str:
    """The log that is asked for."""
    return request.query_params.get("log") or MESSAGES


def sequence(request: Request, name: str) -> int | None:
    """A sequence in the query; None where there is none.

    Raises:
        HTTPException: it is not one.
    """
    given = request.query_params.get(name)
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise HTTPException(400, f"{name} must be the number of an entry, not {given[:40]!r}.")
    return int(given)
