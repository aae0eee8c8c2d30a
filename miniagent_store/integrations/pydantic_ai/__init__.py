"""pydantic-ai's conversations and step persistence on any of our stores.

    from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

    store = MiniAgentConversationStore("redis://localhost:6379/0?ttl=30d")

`MiniAgentStepStore` is for pydantic-ai-harness, which pins a release of pydantic-ai without conversation
stores: each class is loaded when it is asked for, and needs no more than its own package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.integrations.pydantic_ai.conversations import MiniAgentConversationStore
    from miniagent_store.integrations.pydantic_ai.steps import MiniAgentStepStore

__all__ = ["MiniAgentConversationStore", "MiniAgentStepStore"]


def __getattr__(name: str) -> Any:
    if name == "MiniAgentConversationStore":
        from miniagent_store.integrations.pydantic_ai.conversations import MiniAgentConversationStore

        return MiniAgentConversationStore
    if name == "MiniAgentStepStore":
        from miniagent_store.integrations.pydantic_ai.steps import MiniAgentStepStore

        return MiniAgentStepStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
