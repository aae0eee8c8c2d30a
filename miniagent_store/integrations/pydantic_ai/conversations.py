"""pydantic-ai's `ConversationStore` on any of our stores.

A conversation and its forks share one session: their messages stand in its logs, each once, and a save
is one commit of new messages, head and revision. What is noted beside it is where each message stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniagent_store import SessionStore
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.chains import dump_entry, load_entries
from miniagent_store.integrations.pydantic_ai.conversation_log import ConversationLog
from miniagent_store.integrations.pydantic_ai.listing import newest_records
from miniagent_store.integrations.pydantic_ai.record_json import dump_record
from miniagent_store.url import StoreURL

with requires("pydantic-ai-slim>=2.66", extra="pydantic-ai"):
    from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord, ConversationStore


class MiniAgentConversationStore(ConversationStore):
    """Conversations that survive, are shared by instances, and never lose or interleave a message.

    `delete` removes the messages that no other conversation's history or branch uses. Any event loop and
    thread may call it. No I/O when it is made.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`; by default as `open_store`.
    """

    def __init__(self, store: str | StoreURL | SessionStore | StoreHandle | None = None) -> None:
        self._is_lent = isinstance(store, StoreHandle)
        self._handle = handle_of(store)
        self._conversations = ConversationLog()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._handle,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._handle.url}>"

    async def aclose(self) -> None:
        """Let go of what was opened here; a store or handle that was given stays open. Else at exit."""
        if not self._is_lent:
            await self._handle.aclose()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record of a conversation, or None."""
        stored = await self._handle.run(lambda store: self._conversations.read(store, conversation_id))
        return None if stored is None else stored.record

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """All records, or those of a scope, newest first; one read for each conversation with its forks."""
        return await self._handle.run(lambda store: newest_records(store, scope, limit))

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """The entry of this id.

        Raises:
            KeyError: there is none.
        """
        value = await self._handle.run(lambda store: self._conversations.entry(store, entry_id))
        return load_entries([value])[0]

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The entries up to `head_id`, or the last `limit` of them; one read for an unbranched history.

        Raises:
            KeyError: one of them is not there.
        """
        if head_id is None or limit == 0:
            return []
        values = await self._handle.run(lambda store: self._conversations.chain(store, head_id, limit))
        return load_entries(values)

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries, in one commit.

        Raises:
            ConversationConflict: the conversation is at another revision, or what it continues is gone.
        """
        # Before anything is awaited: both belong to the caller, who may change them.
        values = [dump_entry(entry) for entry in new_entries]
        written = dump_record(record)
        await self._handle.run_to_end(
            lambda store: self._conversations.write(store, written, values, expected_revision)
        )

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a conversation, and the entries that no other one's history or branch reaches.

        Raises:
            ConversationConflict: the conversation is at another revision, or not there.
        """
        await self._handle.run_to_end(
            lambda store: self._conversations.delete(store, conversation_id, expected_revision)
        )
