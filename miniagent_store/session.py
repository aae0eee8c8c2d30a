"""The seed's names: ``from miniagent_store.session import SessionAgent, SessionManager``."""

from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.session_agent import SessionAgent
from miniagent_store.agent.session_manager import SessionManager
from miniagent_store.agent.session_thread import SessionThread

__all__ = ["AgentConfig", "SessionAgent", "SessionManager", "SessionThread"]
