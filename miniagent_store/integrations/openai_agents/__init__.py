"""OpenAI Agents SDK: its `Session` over any store.

session = MiniAgentSession("user-123", "redis://localhost:6379/0")
result = await Runner.run(agent, "Hello", session=session)
"""

from miniagent_store.integrations.openai_agents.importing import (
    ImportReport,
    import_redis_sessions,
    import_sqlite_sessions,
)
from miniagent_store.integrations.openai_agents.memory import memory_tools
from miniagent_store.integrations.openai_agents.session import MiniAgentSession

__all__ = [
    "ImportReport",
    "MiniAgentSession",
    "import_redis_sessions",
    "import_sqlite_sessions",
    "memory_tools",
]
