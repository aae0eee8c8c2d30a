"""LangGraph's checkpointer, store and node cache over a session store."""

from miniagent_store.integrations.langgraph.node_cache import MiniAgentNodeCache
from miniagent_store.integrations.langgraph.store import MiniAgentStore

__all__ = ["MiniAgentNodeCache", "MiniAgentStore"]
