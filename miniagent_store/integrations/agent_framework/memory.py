"""Agent Framework's `ContextProvider`: what other sessions said that fits a question."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from miniagent_store.embedder import Embedder
from miniagent_store.errors import StoreError
from miniagent_store.handle import StoreHandle
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.scopes import Scopes, id_of_text, notes
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL
from miniagent_store.values import MemorySource

with requires("agent-framework-core", extra="agent-framework"):
    from agent_framework import AgentSession, ContextProvider, Message, SessionContext

logger: logging.Logger = logging.getLogger("miniagent_store")
SAID_BY = ("user", "assistant")


class MiniAgentMemoryProvider(ContextProvider):
    """Recalls before a run, and remembers after it: ``Agent(…, context_providers=[memory, history])``.

    It stands before the history: what providers do after a run they do from the last to the first, and the
    session must be stored when it is remembered, or deleting it later would not find what to forget.

    What users and assistants say is remembered, and nothing of tools; the same words in the same session
    once. A run sees what fits its question from other sessions of the scope; its own is the history's.
    Where a `MiniAgentHistoryProvider` keeps the session in the same store, deleting that removes its
    memories. A store or an embedder that fails costs a run no answer: a log says so.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        scope: whose memory: a name, or a function of the `AgentSession`, such as
            ``lambda session: session.state.get("user_id")``; where it returns None, nothing is remembered.
        embedder, index, plain_vectors: as `SessionStore.memory` takes them.
        k: at most so many memories are recalled.
        min_score: what fits less is not recalled.
        source_id: the provider's name.
        prefix: that of the history provider.
    """

    DEFAULT_SOURCE_ID: ClassVar[str] = "miniagent-memory"

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None,
        scope: str | Callable[[AgentSession], str | None],
        *,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        plain_vectors: bool = False,
        k: int = 5,
        min_score: float | None = None,
        source_id: str | None = None,
        prefix: str = "agent-framework",
    ) -> None:
        super().__init__(source_id or self.DEFAULT_SOURCE_ID)
        self._scopes = Scopes(store, embedder, index, plain_vectors=plain_vectors)
        self._scope, self._k, self._min_score, self._prefix = scope, k, min_score, prefix

    async def before_run(
        self, *, agent: Any, session: AgentSession, context: SessionContext, state: dict[str, Any]
    ) -> None:
        """Show the model what fits the question."""
        scope = self._scope_of(session)
        query = " ".join(each.text for each in context.input_messages if each.role == "user")
        if scope is None:
            return
        other = {"session_id": {"$ne": session.session_id}}
        try:
            found = await self._scopes.search(
                scope, query, k=self._k, min_score=self._min_score, filter=other
            )
        except StoreError as error:
            logger.warning("nothing was recalled (%s: %s)", type(error).__name__, error)
            return
        if found:
            origins = list(dict.fromkeys(str(each.metadata["session_id"]) for each in found if each.source))
            context.extend_messages(self, [Message("user", [notes(found)])], origin_session_ids=origins)

    async def after_run(
        self, *, agent: Any, session: AgentSession, context: SessionContext, state: dict[str, Any]
    ) -> None:
        """Remember what was asked and answered."""
        scope = self._scope_of(session)
        if scope is None or context.response is None:
            return
        said = [*context.input_messages, *context.response.messages]
        source = MemorySource(join_id(self._prefix, session.session_id))
        new = [
            {
                "said": each.text,
                "id": id_of_text(session.session_id, each.role, each.text),
                "metadata": {"role": str(each.role), "session_id": session.session_id},
                "source": source,
            }
            for each in said
            if each.role in SAID_BY
        ]
        try:
            await self._scopes.add(scope, new)
        except StoreError as error:
            logger.warning("a run was not remembered (%s: %s)", type(error).__name__, error)

    def _scope_of(self, session: AgentSession) -> str | None:
        return self._scope if isinstance(self._scope, str) else self._scope(session)
