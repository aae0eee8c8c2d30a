"""LangChain's `BaseChatMessageHistory`: the messages of a conversation as those of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.langchain.messages import dumped
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import MESSAGES, Position, Snapshot

with requires("langchain-core", extra="langchain"):
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.messages import (
        BaseMessage,
        BaseMessageChunk,
        message_chunk_to_message,
        messages_from_dict,
    )


class MiniAgentChatMessageHistory(BaseChatMessageHistory):
    """The messages of a session, for `RunnableWithMessageHistory`.

    Make one for each call, as `get_session_history` does: that costs nothing. What was read first stays
    until this object adds or clears: at the end of a call LangChain reads again and counts, and what others
    added meanwhile would be taken for messages of the call, which would be lost. Messages are added in one
    commit; many writers give a serial order.

    Args:
        session_id: of the conversation; any text.
        store: a URL, a `SessionStore`, or a handle.
    """

    handle: StoreHandle

    def __init__(
        self, session_id: str, store: str | StoreURL | SessionStore | StoreHandle | None = None
    ) -> None:
        super().__init__()
        self.session_id = session_id
        self._id, self.handle = join_id(session_id), handle_of(store)
        self._known: tuple[list[BaseMessage], Position | None] = ([], None)
        self._is_current = False
        # Of this object: what was read before one of them is not current.
        self._changes = 0

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages, in order; a list of the caller's own."""
        return list(self._known[0]) if self._is_current else self.handle.run_blocking(self._read)

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        return list(self._known[0]) if self._is_current else await self.handle.run(self._read)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages in one commit; the chunks of a streamed message as one. None: nothing happens.

        Raises:
            SerializationError: they hold what cannot be stored.
            SessionTooLargeError: they do not fit.
        """
        entries = _entries(messages)
        if entries:
            self.handle.run_blocking(lambda store: self._add(store, entries))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`; ends even if it is cancelled."""
        entries = _entries(messages)
        if entries:
            await self.handle.run_to_end(lambda store: self._add(store, entries))

    def clear(self) -> None:
        """Remove all messages; the session stays."""
        self.handle.run_blocking(self._clear)

    async def aclear(self) -> None:
        """As `clear`."""
        await self.handle.run_to_end(self._clear)

    async def _read(self, store: SessionStore) -> list[BaseMessage]:
        changes, (messages, position) = self._changes, self._known
        try:
            snapshot = await store.snapshot(self._id, after=position)
            if snapshot.resets:
                messages = []
                snapshot = await store.snapshot(self._id)
        except SessionNotFoundError:
            known: tuple[list[BaseMessage], Position | None] = ([], None)
        else:
            known = ([*messages, *_messages(snapshot)], snapshot.position)
        if self._changes == changes:
            self._known, self._is_current = known, True
        return list(known[0])

    async def _add(self, store: SessionStore, entries: Sequence[dict[str, Any]]) -> None:
        try:
            await store.append(self._id, *entries, create=True)
        finally:
            self._outdate()

    async def _clear(self, store: SessionStore) -> None:
        try:
            await store.clear(self._id)
        except SessionNotFoundError:
            pass
        finally:
            self._outdate()

    def _outdate(self) -> None:
        self._changes += 1
        self._is_current = False


def _messages(snapshot: Snapshot) -> list[BaseMessage]:
    """What stands in a session, without what was redacted."""
    entries = snapshot.logs.get(MESSAGES, ())
    return messages_from_dict([dict(entry.value) for entry in entries if not entry.redacted])


def _entries(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages in LangChain's own JSON."""
    whole: list[BaseMessage] = []
    for message in messages:
        before = whole[-1] if whole else None
        if isinstance(before, BaseMessageChunk) and _goes_on(before, message):
            whole[-1] = before + message
        else:
            whole.append(message)
    return [dumped(message_chunk_to_message(each)) for each in whole]


def _goes_on(before: BaseMessageChunk, message: BaseMessage) -> bool:
    return type(message) is type(before) and message.id in (None, before.id)
