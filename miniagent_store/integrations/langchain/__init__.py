"""LangChain's cache of model answers, and its chat message history, over a session store."""

from miniagent_store.integrations.langchain.chat_history import MiniAgentChatMessageHistory
from miniagent_store.integrations.langchain.llm_cache import MiniAgentLLMCache

__all__ = ["MiniAgentChatMessageHistory", "MiniAgentLLMCache"]
