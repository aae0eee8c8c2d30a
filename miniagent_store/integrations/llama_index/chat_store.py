"""LlamaIndex's `AsyncDBChatStore`, which its `Memory` keeps messages in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from miniagent_store import SessionStore
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.llama_index.conversations import (
    Conversations,
    active_at,
    of_status,
    oldest,
)
from miniagent_store.url import StoreURL

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

ACTIVE = MessageStatus.ACTIVE


class MiniAgentChatStore(AsyncDBChatStore):
    """Messages of any number of conversations, each a session with the id ``llama_index/KEY``.

    Every call is one commit or one read, and may come from any event loop. Deep copies and pickles go to
    the same place; keep pickles as secret as the URL's password.

    Args:
        store: a URL, an open `SessionStore`, or a `StoreHandle`; by default as `open_store`.

    Example:
        >>> memory = Memory.from_defaults("user-123", chat_store=MiniAgentChatStore("sqlite:///chat.db"))
    """

    _handle: StoreHandle = PrivateAttr()
    _conversations: Conversations = PrivateAttr()

    def __init__(self, store: str | StoreURL | SessionStore | StoreHandle | None = None) -> None:
        super().__init__()
        self._handle = handle_of(store)
        self._conversations = Conversations()

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows the class."""
        return "MiniAgentChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Messages of a status (None: all) in order, without the first `offset`, at most `limit`."""
        return await self._handle.run(
            lambda store: self._conversations.messages(store, key, status, limit, offset)
        )

    async def count_messages(self, key: str, status: MessageStatus | None = ACTIVE) -> int:
        """How many messages of a status (None: all) there are."""
        return await self._handle.run(lambda store: self._conversations.count(store, key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = ACTIVE) -> None:
        """Append a message."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = ACTIVE
    ) -> None:
        """Append messages, all or none."""
        await self._handle.run_to_end(
            lambda store: self._conversations.add(store, key, messages, status),
        )

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = ACTIVE
    ) -> None:
        """Put messages in the place of all that are there, active and archived ones."""
        await self._handle.run_to_end(
            lambda store: self._conversations.set(store, key, messages, status),
        )

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove the active message at an index and return it; None if there is none."""
        removed = await self._handle.run_to_end(
            lambda store: self._conversations.remove(store, key, active_at(idx))
        )
        return removed[0] if removed else None

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Remove all messages of a status; without one the whole session."""
        if status is None:
            await self._handle.run_to_end(lambda store: self._conversations.delete(store, key))
        else:
            await self._handle.run_to_end(
                lambda store: self._conversations.remove(store, key, of_status(status))
            )

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Remove the first `n` active messages and return them."""
        return await self._handle.run_to_end(
            lambda store: self._conversations.remove(store, key, oldest(n))
        )

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the first `n` active messages and return them."""
        return await self._handle.run_to_end(
            lambda store: self._conversations.archive_oldest(store, key, n)
        )

    async def get_keys(self) -> list[str]:
        """The keys of all conversations that have messages."""
        return await self._handle.run(self._conversations.keys)

    def exclusive(self, key: str, *, wait: float = 30) -> AbstractAsyncContextManager[None]:
        """One turn of a conversation at a time, over all processes that ask for it.

        Without it each commit stands as a whole, but two turns that run at once may take turns to commit:
        a turn of an agent is two commits, the question and all that was said to it.

        Args:
            key: the conversation.
            wait: seconds to wait for the turn before; then `LockTimeoutError`.

        Example:
            >>> async with chat_store.exclusive("user-123"):
            ...     await agent.run("Hello", memory=memory)
        """
        return self._conversations.exclusive(self._handle, key, wait=wait)

    async def aclose(self) -> None:
        """Let go of connections that were opened here; calls afterwards raise."""
        await self._handle.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._handle,)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("store", self._handle.url)]
