"""py-key-value's store, and so FastMCP's, over a session store."""

from miniagent_store.integrations.key_value.store import MiniAgentKeyValueStore

__all__ = ["MiniAgentKeyValueStore"]
