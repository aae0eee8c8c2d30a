"""Google's Agent Development Kit: its session service over any store.

runner = Runner(app_name="app", agent=agent,
                session_service=MiniAgentSessionService("redis://localhost:6379/0"))
"""

from miniagent_store.integrations.google_adk.memory import MiniAgentMemoryService
from miniagent_store.integrations.google_adk.registering import register
from miniagent_store.integrations.google_adk.service import MiniAgentSessionService

__all__ = ["MiniAgentMemoryService", "MiniAgentSessionService", "register"]
