"""Strands Agents on our stores: a `Storage` for whole snapshots, a `SessionRepository` for message logs."""

from miniagent_store.integrations.strands.repository import MiniAgentSessionRepository
from miniagent_store.integrations.strands.storage import MiniAgentStorage

__all__ = ["MiniAgentSessionRepository", "MiniAgentStorage"]
