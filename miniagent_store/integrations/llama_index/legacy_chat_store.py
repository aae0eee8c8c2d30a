"""LlamaIndex's older `BaseChatStore`, which `ChatMemoryBuffer` and its kind keep messages in."""

from __future__ import annotations

from typing import Any, Self

from miniagent_store import InvalidArgumentError, SessionStore
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.llama_index.conversations import Conversations, any_at, everything
from miniagent_store.url import StoreURL

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.bridge.pydantic import PrivateAttr, model_serializer
    from llama_index.core.storage.chat_store.base import BaseChatStore
    from llama_index.core.storage.chat_store.base_db import MessageStatus
    from llama_index.core.storage.chat_store.loading import RECOGNIZED_CHAT_STORES

ACTIVE = MessageStatus.ACTIVE


class MiniAgentLegacyChatStore(BaseChatStore):
    """Messages of any number of conversations, by blocking and by asynchronous calls.

    The sessions are those of `MiniAgentChatStore`; here archived messages are messages as all others.
    Blocking calls may come from any thread, and inside a running event loop, which stands meanwhile.

    What `to_dict` gives (and so what `ChatMemoryBuffer.to_string` does) names the URL, password included,
    and `load_chat_store` opens it again.

    Args:
        store: a URL, an open `SessionStore`, or a `StoreHandle`; by default as `open_store`.

    Example:
        >>> memory = ChatMemoryBuffer.from_defaults(chat_store=MiniAgentLegacyChatStore("sqlite:///chat.db"))
    """

    _source: str | StoreURL | SessionStore | StoreHandle | None = PrivateAttr()
    _handle: StoreHandle = PrivateAttr()
    _conversations: Conversations = PrivateAttr()

    def __init__(self, store: str | StoreURL | SessionStore | StoreHandle | None = None) -> None:
        super().__init__()
        self._source = store
        self._handle = store if isinstance(store, StoreHandle) else StoreHandle(store)
        self._conversations = Conversations()

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows the class."""
        return "MiniAgentLegacyChatStore"

    @model_serializer
    def _as_dict(self) -> dict[str, Any]:
        if isinstance(self._source, SessionStore | StoreHandle):
            raise InvalidArgumentError("only a chat store that was given a URL can be written as JSON")
        url = self._source.render() if isinstance(self._source, StoreURL) else self._source
        return {"store": url, "class_name": self.class_name()}

    # Blocking

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Put messages in the place of all that are there."""
        self._handle.run_blocking(lambda store: self._conversations.set(store, key, messages, ACTIVE))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """All messages in order."""
        return self._handle.run_blocking(lambda store: self._conversations.messages(store, key))

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Append a message."""
        self._handle.run_blocking(lambda store: self._conversations.add(store, key, [message], ACTIVE))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Remove all messages and return them; None if there are none."""
        return (
            self._handle.run_blocking(lambda store: self._conversations.remove(store, key, everything))
            or None
        )

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove the message at an index and return it; None if there is none."""
        return _only(
            self._handle.run_blocking(lambda store: self._conversations.remove(store, key, any_at(idx)))
        )

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the last message and return it; None if there is none."""
        return self.delete_message(key, -1)

    def get_keys(self) -> list[str]:
        """The keys of all conversations that have messages."""
        return self._handle.run_blocking(self._conversations.keys)

    # Asynchronous

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """As `set_messages`."""
        await self._handle.run_to_end(
            lambda store: self._conversations.set(store, key, messages, ACTIVE),
        )

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """As `get_messages`."""
        return await self._handle.run(lambda store: self._conversations.messages(store, key))

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """As `add_message`."""
        await self._handle.run_to_end(
            lambda store: self._conversations.add(store, key, [message], ACTIVE),
        )

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """As `delete_messages`."""
        removed = await self._handle.run_to_end(
            lambda store: self._conversations.remove(store, key, everything)
        )
        return removed or None

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """As `delete_message`."""
        return _only(
            await self._handle.run_to_end(lambda store: self._conversations.remove(store, key, any_at(idx)))
        )

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """As `delete_last_message`."""
        return await self.adelete_message(key, -1)

    async def aget_keys(self) -> list[str]:
        """As `get_keys`."""
        return await self._handle.run(self._conversations.keys)

    # Ending and copying it

    def close(self) -> None:
        """Let go of connections that were opened here; calls afterwards raise."""
        self._handle.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._handle if self._source is None else self._source,)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("store", self._handle.url)]


def _only(messages: list[ChatMessage]) -> ChatMessage | None:
    return messages[0] if messages else None


_recognized: dict[str, Any] = RECOGNIZED_CHAT_STORES
_recognized[MiniAgentLegacyChatStore.class_name()] = MiniAgentLegacyChatStore
