"""Microsoft Agent Framework on our stores: conversation history, sessions, checkpoints of workflows."""

from miniagent_store.integrations.agent_framework.checkpoints import MiniAgentCheckpointStorage
from miniagent_store.integrations.agent_framework.history import MiniAgentHistoryProvider
from miniagent_store.integrations.agent_framework.sessions import MiniAgentSessionStore

__all__ = ["MiniAgentCheckpointStorage", "MiniAgentHistoryProvider", "MiniAgentSessionStore"]
