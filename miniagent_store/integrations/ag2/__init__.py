"""AG2: its history of streams and its checkpoints of tasks over any store.

storage = MiniAgentStorage("redis://localhost:6379/0")
reply = await agent.ask("Hello", stream=MemoryStream(storage, id=stream_id))
"""

from miniagent_store.integrations.ag2.checkpoints import MiniAgentCheckpointStore
from miniagent_store.integrations.ag2.storage import MiniAgentStorage

__all__ = ["MiniAgentCheckpointStore", "MiniAgentStorage"]
