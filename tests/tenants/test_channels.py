"""The seed's manager in a namespace: its keys, locks and channels are of that namespace only."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.testing.servers import Server

NAMES = ("", "a", "ab")


@pytest.fixture(params=["plain", "encrypted"])
async def managers(
    request: pytest.FixtureRequest, tenants_server: Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, RedisSessionManager]]:
    tenants_server.command("FLUSHALL")
    options: dict[str, str] = {}
    if request.param == "encrypted":
        monkeypatch.setenv("CHANNEL_KEYS", f"k:{base64.urlsafe_b64encode(os.urandom(32)).decode()}")
        options = {"serializer": "msgpack+encrypted", "keys": "env:CHANNEL_KEYS"}
    assert tenants_server.port is not None
    made: dict[str, RedisSessionManager] = {}
    async with AsyncExitStack() as stack:
        for name in NAMES:
            namespace = {"namespace": name} if name else {}
            made[name] = RedisSessionManager(
                RedisConfig(port=tenants_server.port, options={**options, **namespace})
            )
            stack.push_async_callback(made[name].disconnect)
            await made[name].connect()
        yield made


async def test_channels(managers: dict[str, RedisSessionManager]) -> None:
    for manager in managers.values():
        await manager.subscribe("news")
    for name, manager in managers.items():
        assert await manager.publish("news", {"for": name}) == 1

    for name, manager in managers.items():
        assert await manager.get_message(timeout=5) == {"for": name}
        assert await manager.get_message(timeout=0.05) is None


async def test_sessions_and_their_times(managers: dict[str, RedisSessionManager]) -> None:
    for name, manager in managers.items():
        assert await manager.create_session("s", {"of": name}, ttl=100 + len(name) * 100)
        await manager.append_to_thread("s", {"role": "user", "content": name})
    for name, manager in managers.items():
        assert await manager.get_session("s") == {"of": name}
        (thread,) = await manager.list_threads()
        assert 90 + len(name) * 100 <= thread["ttl"] <= 101 + len(name) * 100
        start = f"{name}/" if name else ""
        assert thread["key"] == f"{start}thread:{{{start}session:s}}"
        assert await manager.extend_session_ttl("s", 1000)
        (thread,) = await manager.list_threads()
        assert 1090 + len(name) * 100 <= thread["ttl"] <= 1101 + len(name) * 100


async def test_locks(managers: dict[str, RedisSessionManager]) -> None:
    assert await managers["a"].acquire_lock("l", 30)
    assert await managers["a"].is_locked("l")
    for name in ("", "ab"):
        assert not await managers[name].is_locked("l")
        assert await managers[name].acquire_lock("l", 30)
        assert await managers[name].release_lock("l")
    assert await managers["a"].is_locked("l")
