"""A conversation as server-sent events, the answer that streams right now included.

While a model answers, its pieces are written into a log of the conversation beside its messages. So whoever
watches the conversation is told of them, in every worker, and one position says what a client has seen of
both: it is the id of each event, and a client that comes back with it gets what it missed.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from miniagent_store import Entry, Position, SessionEvent, SessionNotFoundError, SessionStore, StoreError

logger = logging.getLogger("serve")
PIECES = "pieces"
WRITE_EVERY = 0.05  # seconds: pieces that come faster are written together
KEPT_PIECES = 2_000  # more than this many old ones are removed
HEARTBEAT = 15.0  # seconds of silence after which a comment keeps proxies from hanging up


class MovedOnError(Exception):
    """The conversation is not where the client last saw it."""


class Pieces:
    """Takes the pieces of one answer and writes them down: ``run_session(…, stream=Pieces(…))``.

    Args:
        store: where the conversation is.
        session_id: the conversation.
        after: answer only if this is still the last message.
    """

    def __init__(self, store: SessionStore, session_id: str, after: int | None = None) -> None:
        self._store, self._session_id, self._expected = store, session_id, after
        self._answer = uuid.uuid4().hex
        self._after: int | None = None
        self._at, self._text, self._written = 0, "", 0.0

    async def __call__(self, piece: str) -> None:
        if self._after is None:
            self._after = await self._begin()
        self._text += piece
        if time.monotonic() - self._written >= WRITE_EVERY:
            await self._write()

    async def _begin(self) -> int:
        # Called in the turn, so that nobody else answers between this look and the commit.
        position = (await self._store.get(self._session_id)).position
        if self._expected not in (None, position.seq()):
            raise MovedOnError
        if await self._store.count(self._session_id, log=PIECES) > KEPT_PIECES:
            await self._store.trim(self._session_id, before=position.seq(PIECES) + 1, log=PIECES)
        return position.seq()

    async def _write(self) -> None:
        piece = {"answer": self._answer, "after": self._after, "at": self._at, "text": self._text}
        try:
            await self._store.append(self._session_id, piece, log=PIECES)
        except StoreError:
            # Who watches waits for the whole answer then; it does not fail for that.
            logger.warning("a piece of an answer was not written", exc_info=True)
        self._at, self._text, self._written = self._at + len(self._text), "", time.monotonic()


async def follow(
    store: SessionStore, session_id: str, after: Position, until: "asyncio.Future[Any]"
) -> AsyncIterator[str]:
    """What happens in a conversation, as server-sent events.

    Ends with the conversation, or once `until` is done and all that was stored by then has been told.
    """
    seen = after.seq()
    async with aclosing(store.watch(session_id, after=after)) as events:  # type: ignore[type-var]
        upcoming = asyncio.ensure_future(anext(events, None))
        try:
            yield "retry: 500\n\n"
            while not (until.done() and seen >= await _last_message(store, session_id)):
                waiting = {upcoming} if until.done() else {upcoming, until}
                done, _ = await asyncio.wait(
                    waiting, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    yield ": still here\n\n"
                if not upcoming.done():
                    continue
                event = upcoming.result()
                if event is None:
                    return
                upcoming = asyncio.ensure_future(anext(events, None))
                seen = event.position.seq() if event.position else seen
                if told := _told(event):
                    yield sse(*told, event_id=event.position)
        except StoreError:
            # The client comes back with the last id that it saw.
            logger.warning("who follows a conversation was let go", exc_info=True)
        finally:
            upcoming.cancel()
            await asyncio.wait({upcoming})


def _told(event: SessionEvent) -> tuple[str, Any] | None:
    """Name and data of what a client is told of an event; None for nothing."""
    if event.type in ("deleted", "expired"):
        return "deleted", None
    if event.type == "reset" and event.log == "messages":
        return "reset", {"from_seq": event.from_seq}
    if event.type == "appended" and event.log == "messages":
        return "messages", shown(event.entries)
    if event.type == "appended" and event.log == PIECES and event.position is not None:
        # Of an answer that is stored, the message has been told.
        stored = event.position.seq()
        pieces = [dict(entry.value) for entry in event.entries if entry.value["after"] >= stored]
        return ("pieces", pieces) if pieces else None
    return None


def shown(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """What a client sees of messages."""
    return [
        {"seq": entry.seq, "role": entry.value.get("role"), "content": entry.value.get("content")}
        for entry in entries
    ]


async def _last_message(store: SessionStore, session_id: str) -> int:
    try:
        return (await store.get(session_id)).position.seq()
    except SessionNotFoundError:
        return 0


def sse(name: str, data: Any = None, *, event_id: object = None) -> str:
    """One server-sent event."""
    lines = [f"id: {event_id}"] if event_id is not None else []
    return "\n".join([*lines, f"event: {name}", f"data: {json.dumps(data)}", "", ""])
