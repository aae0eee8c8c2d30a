"""The seed's Redis classes keep their signatures, and lose their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from miniagent_store import (
    BackendUnavailableError,
    ConfigurationError,
    SessionTooLargeError,
    StoreClosedError,
)
from miniagent_store.redis_client import (
    RedisConfig,
    RedisSessionManager,
    cleanup_redis,
    get_redis_manager,
)
from miniagent_store.session import SessionThread
from miniagent_store.testing.servers import Server, free_port


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(password="s3cret") as server:
        yield server


@pytest.fixture
def config(server: Server) -> RedisConfig:
    return RedisConfig(host="127.0.0.1", port=server.port or 0, password="s3cret", session_ttl=100)


@pytest.fixture
async def manager(server: Server, config: RedisConfig) -> AsyncIterator[RedisSessionManager]:
    server.command("FLUSHALL")
    manager = RedisSessionManager(config)
    yield manager
    await manager.disconnect()


# Configuration


def test_the_defaults_are_the_seeds() -> None:
    config = RedisConfig()

    assert (config.host, config.port, config.db, config.session_ttl) == ("localhost", 6379, 0, 3600)
    assert (config.max_connections, config.max_session_size) == (50, 1048576)
    assert config.to_url().startswith("redis://localhost:6379/0?ttl=3600&")


def test_a_password_is_in_the_url_and_nowhere_to_be_seen() -> None:
    config = RedisConfig(username="ada", password="p@ss/word")

    assert "p%40ss%2Fword" in config.to_url()
    assert "p@ss" not in repr(config)
    assert "p@ss" not in repr(RedisSessionManager(config).store)


def test_the_environment_and_a_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# ours\nexport REDIS_HOST=\"db\"\nREDIS_PORT=7000 # not the usual\nREDIS_PASSWORD='a#b'\n"
    )

    config = RedisConfig.from_env({"REDIS_PORT": "7001"}, env_file=str(file))

    assert (config.host, config.port, config.password) == ("db", 7001, "a#b")
    with pytest.raises(ConfigurationError, match="REDIS_PORT"):
        RedisConfig.from_env({"REDIS_PORT": "many"}, env_file="")


# Sessions


async def test_sessions_as_in_the_seed(manager: RedisSessionManager) -> None:
    assert await manager.create_session("s", {"user_id": "ada", "n": 1})
    assert not await manager.create_session("s", {"n": 2})
    assert await manager.get_session("s") == {"user_id": "ada", "n": 1}
    assert await manager.update_session("s", {"n": 3})
    assert await manager.get_session("s") == {"n": 3}
    assert not await manager.update_session("none", {})
    assert await manager.get_session("none") is None
    assert await manager.delete_session("s")
    assert not await manager.delete_session("s")


async def test_reading_and_listing_renew_nothing(manager: RedisSessionManager) -> None:
    await manager.create_session("long", {}, ttl=100_000)
    await manager.get_session("long")
    await manager.list_sessions()

    ttl = await manager._client.ttl("session:long")

    assert 99_000 < ttl <= 100_000
    assert await manager.extend_session_ttl("long", 600)
    assert 99_600 < await manager._client.ttl("session:long") <= 100_600
    assert not await manager.extend_session_ttl("none", 600)


async def test_listing_matches_patterns_and_keeps_ids_whole(manager: RedisSessionManager) -> None:
    for name in ["a", "session:b", "ab"]:
        await manager.create_session(name, {})

    assert sorted(await manager.list_sessions()) == ["a", "ab", "session:b"]
    assert sorted(await manager.list_sessions("a*")) == ["a", "ab"]


async def test_a_ttl_of_nothing_is_an_error(manager: RedisSessionManager) -> None:
    with pytest.raises(ValueError, match="ttl"):
        await manager.create_session("s", {}, ttl=0)


# Threads


async def test_threads_come_back_as_they_went_in(manager: RedisSessionManager) -> None:
    messages = [{"role": "user", "content": "hi"}]
    for thread in [
        messages,
        {"messages": messages, "events": [{"type": "x"}], "mood": "good"},
        "anything",
        {"no": "messages"},
        [1, 2],
    ]:
        assert await manager.save_thread("t", thread)
        loaded = await manager.load_thread("t")
        expected = {"messages": [], "events": [], **thread} if isinstance(thread, dict) else thread
        assert loaded == expected
    assert await manager.load_thread("none") is None


async def test_fifty_appends_at_once_keep_fifty_messages(manager: RedisSessionManager) -> None:
    await asyncio.gather(
        *(manager.append_to_thread("t", {"role": "user", "content": str(n)}) for n in range(50))
    )

    loaded = await manager.load_thread("t")

    assert sorted(int(message["content"]) for message in loaded) == [*range(50)]


async def test_a_thread_over_its_size_is_refused_and_nothing_is_cut(manager: RedisSessionManager) -> None:
    with pytest.raises(SessionTooLargeError):
        await manager.append_to_thread("t", {"role": "user", "content": "x" * 2_000_000})

    assert await manager.load_thread("t") is None


async def test_thread_objects_events_and_checkpoints(manager: RedisSessionManager) -> None:
    await manager.create_session("t", {})
    thread = await manager.load_thread_enhanced("t")
    assert thread is not None
    thread.add_message({"role": "user", "content": "hi"}).add_event({"type": "tool_call", "data": 1})
    assert await manager.save_thread_enhanced(thread)

    again = await SessionThread.load("t", manager)
    assert again is not None
    assert [message.content for message in again.messages] == ["hi"]
    assert [event["type"] for event in await manager.get_thread_events("t")] == ["tool_call"]
    checkpoint = await manager.get_thread_checkpoint("t")
    assert checkpoint is not None
    assert (checkpoint["message_count"], checkpoint["event_count"]) == (1, 1)
    (listed,) = await manager.list_threads()
    assert listed["thread_id"] == "t"
    assert 90 < listed["ttl"] <= 100
    assert await manager._client.exists(listed["key"]) == 1
    assert await manager.load_thread_enhanced("none") is None
    assert await manager.get_thread_checkpoint("none") is None


# Cache and locks


async def test_cached_values_keep_their_types(manager: RedisSessionManager) -> None:
    for value in ["123", 123, b"bytes", "text", None, {"a": [1]}]:
        assert await manager.cache_set("k", value)
        assert await manager.cache_get("k") == value
    assert await manager.cache_delete("k")
    assert not await manager.cache_delete("k")
    assert await manager.cache_get("k") is None


async def test_only_the_holder_frees_a_lock(manager: RedisSessionManager, config: RedisConfig) -> None:
    other = RedisSessionManager(config)

    assert await manager.acquire_lock("door")
    assert await manager.is_locked("door")
    assert not await other.acquire_lock("door")
    assert not await other.release_lock("door")
    assert await manager.release_lock("door")
    assert not await manager.release_lock("door")
    assert await other.acquire_lock("door", timeout=0.2)
    async with asyncio.timeout(10):
        while await manager.is_locked("door"):
            await asyncio.sleep(0.02)
    assert await manager.acquire_lock("door")
    await other.disconnect()


# Channels


async def test_what_is_published_is_heard(manager: RedisSessionManager) -> None:
    await manager.subscribe(["news", "more"])
    assert await manager.get_message(timeout=0.05) is None

    assert await manager.publish("news", {"n": 1}) == 1
    assert await manager.publish("more", "text") == 1

    first = await manager.get_message(timeout=10)
    assert first is not None
    assert (first["channel"], first["data"]) == ("news", {"n": 1})
    async for message in manager.get_messages():
        assert message["data"] == "text"
        break


# Life


async def test_a_disconnected_manager_says_so(config: RedisConfig) -> None:
    manager = RedisSessionManager(config)
    await manager.connect()
    assert await manager.health_check()
    await manager.disconnect()

    assert not await manager.health_check()
    with pytest.raises(StoreClosedError):
        await manager.get_session("s")
    with pytest.raises(StoreClosedError):
        await manager.publish("a", "b")


async def test_without_a_server_there_is_a_clear_error() -> None:
    with pytest.raises(BackendUnavailableError, match="running"):
        await get_redis_manager(RedisConfig(host="127.0.0.1", port=free_port()))


async def test_each_configuration_has_its_manager(config: RedisConfig, server: Server) -> None:
    one = await get_redis_manager(config)
    same = await get_redis_manager(config)
    other = await get_redis_manager(
        RedisConfig(host="127.0.0.1", port=server.port or 0, password="s3cret", session_prefix="other:")
    )

    assert one is same
    assert other is not one
    await one.create_session("mine", {})
    assert await other.get_session("mine") is None
    await cleanup_redis()
    assert not await one.health_check()
    fresh = await get_redis_manager(config)
    assert await fresh.health_check()
    await fresh.delete_session("mine")
    await cleanup_redis()
