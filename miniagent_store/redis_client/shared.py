"""One manager for each configuration and event loop, for programs that ask for it everywhere."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import astuple, replace
from typing import Any
from weakref import WeakKeyDictionary

from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.manager import RedisSessionManager

_Managers = dict[tuple[Any, ...], RedisSessionManager]
_managers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Managers] = WeakKeyDictionary()


async def get_redis_manager(config: RedisConfig | None = None) -> RedisSessionManager:
    """The connected manager of a configuration; another configuration has another manager.

    Args:
        config: which Redis; `RedisConfig.from_env()` by default.

    Raises:
        StoreError: the server cannot be reached; says why.
    """
    config = config or RedisConfig.from_env()
    mine = _managers.setdefault(asyncio.get_running_loop(), {})
    manager = mine.get(astuple(config))
    if manager is None:
        # A copy, since a configuration may be changed afterwards.
        manager = mine[astuple(config)] = RedisSessionManager(replace(config))
    # One that could not connect stays, and tries again for the next caller: others may be waiting for it.
    await manager.connect()
    return manager


async def cleanup_redis() -> None:
    """Disconnect all managers of this event loop."""
    async with AsyncExitStack() as last_things:
        for manager in _managers.pop(asyncio.get_running_loop(), {}).values():
            last_things.push_async_callback(manager.disconnect)
