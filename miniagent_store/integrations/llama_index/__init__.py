"""LlamaIndex: its chat stores and its key-value store over any store.

memory = Memory.from_defaults(session_id="user-123", chat_store=MiniAgentChatStore("redis://localhost:6379/0"))
"""

from miniagent_store.integrations.llama_index.chat_store import MiniAgentChatStore
from miniagent_store.integrations.llama_index.kv_store import MiniAgentKVStore
from miniagent_store.integrations.llama_index.legacy_chat_store import MiniAgentLegacyChatStore
from miniagent_store.integrations.llama_index.memory_block import MiniAgentMemoryBlock

__all__ = ["MiniAgentChatStore", "MiniAgentKVStore", "MiniAgentLegacyChatStore", "MiniAgentMemoryBlock"]
