"""LlamaIndex' `BaseMemoryBlock`: what left the short-term memory, and what other conversations said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from miniagent_store.embedder import Embedder
from miniagent_store.errors import StoreError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.scopes import Scopes, id_of_text, notes
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("llama-index-core", extra="llama-index"):
    from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.memory.memory import BaseMemoryBlock

logger: logging.Logger = logging.getLogger("miniagent_store")
SAID_BY = (MessageRole.USER, MessageRole.ASSISTANT)


class MiniAgentMemoryBlock(BaseMemoryBlock[str]):
    """Remembers messages that leave a `Memory`, and recalls what fits the last words of the user.

    What users and assistants say is remembered, and nothing of tools. A message that is put again is there
    once. A store or an embedder that fails while something is looked up costs the answer its memories, and
    a log says so; while something is stored it is an error.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        scope: whose memory: all conversations that are given the same name share it.
        embedder, index, plain_vectors: as `SessionStore.memory` takes them.
        k: at most so many memories are recalled.
        min_score: what fits less is not recalled.
        name, description, priority, accept_short_term_memory: as `BaseMemoryBlock`.
    """

    name: str = Field(default="Memories", description="The name of the memory block.")
    scope: str = Field(description="Whose memory it is.")
    k: int = Field(default=5, description="At most so many memories are recalled.")
    min_score: float | None = Field(default=None, description="What fits less is not recalled.")
    _scopes: Scopes = PrivateAttr()

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None,
        scope: str,
        *,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        plain_vectors: bool = False,
        **data: Any,
    ) -> None:
        # The types of a base know its own fields only.
        super().__init__(**{"scope": scope, **data})
        self._scopes = Scopes(store, embedder, index, plain_vectors=plain_vectors)

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        asked = [_text(each) for each in messages or () if each.role == MessageRole.USER]
        if not asked:
            return ""
        try:
            found = await self._scopes.search(self.scope, asked[-1], k=self.k, min_score=self.min_score)
        except StoreError as error:
            logger.warning("nothing was recalled (%s: %s)", type(error).__name__, error)
            return ""
        return notes(found)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        await self._scopes.add(self.scope, [_memory(each) for each in messages if each.role in SAID_BY])

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Leave out all that was recalled; fewer memories are had by `k`."""
        return None


def _memory(message: ChatMessage) -> dict[str, Any]:
    text, role = _text(message), message.role.value
    # `aput` of the base class notes it there.
    session_id = message.additional_kwargs.pop("session_id", None)
    metadata = {"role": role} | ({} if session_id is None else {"session_id": str(session_id)})
    return {"said": text, "id": id_of_text(role, str(session_id), text), "metadata": metadata}


def _text(message: ChatMessage) -> str:
    blocks: Sequence[Any] = message.blocks
    return " ".join(each.text for each in blocks if isinstance(each, TextBlock)).strip()
