"""One manager for each configuration and event loop, for programs that ask for it everywhere."""

from __future__ import annotations

import asyncio
from dataclasses import astuple, replace
from typing import Any
from weakref import WeakKeyDictionary

from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.manager import RedisSessionManager

_Managers = dict[tuple[Any, ...], RedisSessionManager]
_managers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Managers] = WeakKeyDictionary()


async def get_redis_manager(config: RedisConfig | None = None) -> RedisSessionManager:
    """The connected manager of a configuration; another configuration has another manager.

    Raises:
        StoreError: the server cannot be reached; says why.
    """
    config = config or RedisConfig.from_env()
    wanted = astuple(config)
    mine = _managers.setdefault(asyncio.get_running_loop(), {})
    manager = mine.get(wanted)
    if manager is None or manager.is_disconnected:
        # A copy, since a configuration may be changed afterwards.
        manager = mine[wanted] = RedisSessionManager(replace(config))
    try:
        await manager.connect()
    except BaseException:
        mine.pop(wanted, None)
        await manager.disconnect()
        raise
    return manager


async def cleanup_redis() -> None:
    """Disconnect all managers of this event loop."""
    for manager in _managers.pop(asyncio.get_running_loop(), {}).values():
        await manager.disconnect()
