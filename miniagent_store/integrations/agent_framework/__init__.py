"""Microsoft Agent Framework on our stores: conversation history, sessions, checkpoints of workflows."""

from typing import TYPE_CHECKING, Any

from miniagent_store.integrations.agent_framework.checkpoints import MiniAgentCheckpointStorage
from miniagent_store.integrations.agent_framework.history import MiniAgentHistoryProvider
from miniagent_store.integrations.agent_framework.memory import MiniAgentMemoryProvider

if TYPE_CHECKING:
    from miniagent_store.integrations.agent_framework.sessions import MiniAgentSessionStore

__all__ = [
    "MiniAgentCheckpointStorage",
    "MiniAgentHistoryProvider",
    "MiniAgentMemoryProvider",
    "MiniAgentSessionStore",
]


def __getattr__(name: str) -> Any:
    # The framework calls its session store experimental, and warns: only who uses it is to be warned.
    if name == "MiniAgentSessionStore":
        from miniagent_store.integrations.agent_framework.sessions import MiniAgentSessionStore

        return MiniAgentSessionStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
