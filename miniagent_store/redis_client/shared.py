"""One manager for each configuration and event loop, for programs that ask for it everywhere."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from weakref import WeakKeyDictionary

from miniagent_store.redis_client.config import RedisConfig
from miniagent_store.redis_client.manager import RedisSessionManager

_Managers = dict[str, RedisSessionManager]
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
    # All fields, the password too, which `repr` leaves out; it is not shown to anybody.
    name = repr(sorted(vars(config).items()))
    manager = mine.get(name)
    if manager is None:
        # A copy, since a configuration may be changed afterwards.
        manager = mine[name] = RedisSessionManager(replace(config, options=dict(config.options)))
    # One that could not connect stays, and tries again for the next caller: others may be waiting for it.
    await manager.connect()
    return manager


async def cleanup_redis() -> None:
    """Disconnect all managers of this event loop."""
    async with AsyncExitStack() as last_things:
        for manager in _managers.pop(asyncio.get_running_loop(), {}).values():
            last_things.push_async_callback(manager.disconnect)
