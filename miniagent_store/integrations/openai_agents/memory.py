"""Function tools by which an agent of the SDK recalls, and remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from miniagent_store.embedder import Embedder
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.scopes import Scopes, id_of_text, notes
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("openai-agents", extra="openai-agents"):
    from agents import FunctionTool, RunContextWrapper, function_tool

Scope = str | Callable[[Any], str]
NOTHING = "Nothing is remembered that fits."


def memory_tools(
    store: str | StoreURL | SessionStore | StoreHandle | None,
    scope: Scope,
    *,
    embedder: str | Embedder = "hash",
    index: str = "auto",
    k: int = 5,
    plain_vectors: bool = False,
) -> list[FunctionTool]:
    """The tools `recall` and `remember`: ``Agent(tools=[*memory_tools(url, "ada")])``.

    A text that is remembered again, also by a call that is made again after a crash, is there once.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        scope: whose memory: a name, or a function of the run's context (`RunContextWrapper`), such as
            ``lambda run: run.context.user_id``. The model has no say in it.
        embedder, index, plain_vectors: as `SessionStore.memory` takes them.
        k: at most so many memories are recalled at once.
    """
    scopes = Scopes(store, embedder, index, plain_vectors=plain_vectors)

    def scope_of(context: RunContextWrapper[Any]) -> str:
        return scope if isinstance(scope, str) else scope(context)

    @function_tool
    async def recall(context: RunContextWrapper[Any], query: str) -> str:
        """Look up what is remembered of this user from earlier conversations.

        Args:
            query: what to look for: a question, a name, a number.
        """
        return notes(await scopes.search(scope_of(context), query, k=k)) or NOTHING

    @function_tool
    async def remember(context: RunContextWrapper[Any], text: str) -> str:
        """Remember something of this user for later conversations.

        Args:
            text: one fact or wish, in a sentence that is understood without this conversation.
        """
        await scopes.add(scope_of(context), [{"said": text, "id": id_of_text(text)}])
        return "Remembered."

    return [recall, remember]
