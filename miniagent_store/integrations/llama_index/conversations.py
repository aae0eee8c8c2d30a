"""Conversations of LlamaIndex as sessions: what all its chat stores do, in the store's own loop.

A conversation is a session whose log "messages" holds its messages. Archiving moves nothing: the state
value "archived" says up to which sequence messages are archived; those few that were archived when they
were added say so themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Self
from urllib.parse import unquote_to_bytes

from miniagent_store import (
    InvalidArgumentError,
    Session,
    SessionNotFoundError,
    SessionStore,
    VersionConflictError,
    join_id,
)
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.held_turn import HeldTurn
from miniagent_store.integrations.kept_log import KeptLogs
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.llama_index.messages import entry_of, kept_of, message_of
from miniagent_store.store.batch import Batch

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.storage.chat_store.base_db import MessageStatus

PREFIX = "llama_index"
TAGS = {"framework": "llama-index"}
ARCHIVED = "archived"


class Item(NamedTuple):
    """A message that stands in a conversation.

    Attributes:
        seq: its sequence in the log.
        json: as it is stored.
        status: active or archived.
    """

    seq: int
    json: str
    status: MessageStatus


Chosen = Callable[[list[Item]], Sequence[Item]]


class Conversations:
    """Reads and changes conversations by their keys; keeps what it read.

    May be used from any thread; a copy starts with nothing kept.
    """

    def __init__(self) -> None:
        self._logs = KeptLogs(kept_of, state=(ARCHIVED,))
        # Of turns that are held, by key.
        self._fences: dict[str, int] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    # Reading

    async def messages(
        self,
        store: SessionStore,
        key: str,
        status: MessageStatus | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Messages of a status (None: all) in order, each a new object."""
        if min(limit or 0, offset or 0) < 0:
            raise InvalidArgumentError("limit and offset are whole numbers from 0 on")
        _, chosen = await self._read(store, key, status)
        begin = offset or 0
        return _messages(key, chosen[begin : None if limit is None else begin + limit])

    async def count(self, store: SessionStore, key: str, status: MessageStatus | None) -> int:
        """How many messages of a status (None: all) there are."""
        _, items = await self._read(store, key, status)
        return len(items)

    async def keys(self, store: SessionStore) -> list[str]:
        """The keys of all conversations that have messages; the one that was used last comes last."""
        found: list[str] = []
        cursor = None
        while True:
            page = await store.list(tags=TAGS, order="last_activity", cursor=cursor, limit=1000)
            found += [_key_of(session.id) for session in page if session.message_count]
            cursor = page.next_cursor
            if cursor is None:
                # One that is used meanwhile may come twice.
                return list(dict.fromkeys(found))

    # Changing

    async def add(
        self, store: SessionStore, key: str, messages: Sequence[ChatMessage], status: MessageStatus
    ) -> None:
        """Append messages in one commit, which makes the conversation if there is none."""
        entries = [entry_of(message, status) for message in messages]
        if entries:
            await self._commit(store, key, lambda batch: batch.append(*entries, dedupe=False))

    async def set(
        self, store: SessionStore, key: str, messages: Sequence[ChatMessage], status: MessageStatus
    ) -> None:
        """Put messages in the place of all that are there, in one commit."""
        entries = [entry_of(message, status) for message in messages]

        def change(batch: Batch) -> None:
            # Sequences go on: what was archived before is lower than anything that comes now.
            batch.clear()
            batch.append(*entries, dedupe=False)

        await self._commit(store, key, change, create=bool(entries))

    async def archive_oldest(self, store: SessionStore, key: str, n: int) -> list[ChatMessage]:
        """Archive the first `n` active messages in one commit, and return them."""
        while True:
            session, active = await self._read(store, key, MessageStatus.ACTIVE)
            chosen = active[: max(n, 0)]
            if session is None or not chosen:
                return []
            try:
                async with self._guarded(store, key, session) as batch:
                    batch.state.set(ARCHIVED, chosen[-1].seq)
            except (VersionConflictError, SessionNotFoundError):
                continue
            return _messages(key, chosen)

    async def remove(self, store: SessionStore, key: str, choose: Chosen) -> list[ChatMessage]:
        """Remove the messages that `choose` picks of all, in one commit, and return them.

        In the middle of a log a tombstone stays, so that nothing else has to be written again.
        """
        while True:
            session, items = await self._read(store, key)
            chosen = choose(items)
            if session is None or not chosen:
                return []
            try:
                async with self._guarded(store, key, session) as batch:
                    _remove(batch, items, chosen)
            except (VersionConflictError, SessionNotFoundError):
                continue
            return _messages(key, chosen)

    async def delete(self, store: SessionStore, key: str) -> None:
        """Delete the conversation, with all that is known of it."""
        await store.delete(_session_id(key))

    # One at a time

    @asynccontextmanager
    async def exclusive(self, handle: StoreHandle, key: str, *, wait: float) -> AsyncGenerator[None, None]:
        """The turn of a conversation, over all processes; commits here carry its fence meanwhile."""
        turn = HeldTurn(handle, _session_id(key), wait=wait)
        self._fences[key] = await turn.take()
        try:
            yield
        finally:
            del self._fences[key]
            await turn.give_back()

    # How

    async def _read(
        self, store: SessionStore, key: str, status: MessageStatus | None = None
    ) -> tuple[Session | None, list[Item]]:
        read = await self._logs.read(store, _session_id(key))
        if read is None:
            return None, []
        through = read.state.get(ARCHIVED, 0)
        # Most of a long conversation is archived, and what is asked for is what is not.
        begin = 0
        if status is MessageStatus.ACTIVE:
            begin = bisect_right(read.items, through, key=itemgetter(0))
        items = [
            Item(seq, json, MessageStatus.ARCHIVED if seq <= through or marked else MessageStatus.ACTIVE)
            for seq, (json, marked) in islice(read.items, begin, None)
        ]
        return read.session, [item for item in items if status is None or item.status is status]

    def _guarded(self, store: SessionStore, key: str, session: Session) -> Batch:
        return store.batch(session.id, expected_version=session, fence=self._fences.get(key))

    async def _commit(
        self, store: SessionStore, key: str, change: Callable[[Batch], None], *, create: bool = True
    ) -> None:
        session_id, fence = _session_id(key), self._fences.get(key)
        try:
            async with store.batch(session_id, fence=fence) as batch:
                change(batch)
        except SessionNotFoundError:
            if not create:
                return
        else:
            return
        # Tags only here: later ones may be the user's.
        async with store.batch(session_id, create=True, fence=fence) as batch:
            batch.tags = TAGS
            change(batch)


def active_at(index: int) -> Chosen:
    """Chooses the active message at an index; none if there is none."""
    return lambda items: _at(_active(items), index)


def any_at(index: int) -> Chosen:
    """Chooses the message at an index, archived or not; none if there is none."""
    return lambda items: _at(items, index)


def oldest(n: int) -> Chosen:
    """Chooses the first `n` active messages."""
    return lambda items: _active(items)[: max(n, 0)]


def of_status(status: MessageStatus) -> Chosen:
    """Chooses all messages of a status."""
    return lambda items: [item for item in items if item.status is status]


def everything(items: list[Item]) -> list[Item]:
    """Chooses all messages."""
    return items


def _at(items: list[Item], index: int) -> list[Item]:
    return [items[index]] if -len(items) <= index < len(items) else []


def _active(items: list[Item]) -> list[Item]:
    return [item for item in items if item.status is MessageStatus.ACTIVE]


def _remove(batch: Batch, items: list[Item], chosen: Sequence[Item]) -> None:
    if len(chosen) == len(items):
        batch.clear()
    elif chosen[-1] is items[len(chosen) - 1]:
        batch.trim(before=chosen[-1].seq + 1)
    else:
        for item in chosen:
            batch.redact(item.seq, reason="deleted")


def _messages(key: str, items: Sequence[Item]) -> list[ChatMessage]:
    context = f"session {_session_id(key)!r}"
    return [message_of(item.json, context) for item in items]


def _session_id(key: str) -> str:
    return join_id(PREFIX, key)


def _key_of(session_id: str) -> str:
    escaped = session_id.removeprefix(f"{PREFIX}/")
    return "" if escaped == "%" else unquote_to_bytes(escaped).decode("utf-8", "surrogatepass")
