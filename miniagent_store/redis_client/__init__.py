"""The seed's Redis classes, on a session store."""

from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.manager import RedisSessionManager
from miniagent_store.redis_client.shared import cleanup_redis, get_redis_manager

__all__ = ["RedisConfig", "RedisSessionManager", "cleanup_redis", "get_redis_manager"]
