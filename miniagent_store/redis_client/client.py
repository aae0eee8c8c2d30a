"""A client of redis-py for what the seed's programs do with one themselves."""

from __future__ import annotations

from typing import Any

from miniagent_store.errors import MissingExtraError
from miniagent_store.redis_client.config import RedisConfig


def make_client(config: RedisConfig) -> Any:
    """A client with one bounded pool.

    Raises:
        MissingExtraError: redis-py is not installed.
    """
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        what = "RedisSessionManager._client"
        raise MissingExtraError(what, package="redis", extra="redis") from error
    pool = BlockingConnectionPool(
        host=config.host,
        port=config.port,
        db=config.db,
        username=config.username,
        password=config.password,
        max_connections=config.max_connections,
        socket_timeout=config.socket_timeout,
        socket_connect_timeout=config.socket_connect_timeout,
        health_check_interval=config.health_check_interval,
        # A retry of redis-py's own would do twice what was done, where only the reply was lost.
        retry=Retry(NoBackoff(), 0),
        # Replies as the seed's programs know them, and no maintenance notifications, which need RESP3.
        protocol=2,
    )
    return Redis.from_pool(pool)
