"""The seed's manager keeps its signatures and results."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from miniagent_store import BackendUnavailableError, StoreClosedError, VersionConflictError
from miniagent_store.redis_client import (
    RedisConfig,
    RedisSessionManager,
    cleanup_redis,
    get_redis_manager,
)
from miniagent_store.session import SessionAgent, SessionManager, SessionThread
from miniagent_store.testing.servers import Server, free_port

HELLO = {"role": "user", "content": "hello"}

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


async def test_a_ttl_is_extended_by_what_is_asked(manager: RedisSessionManager) -> None:
    await manager.create_session("s", {}, ttl=1000)
    await manager.create_session("kept", {"n": 1})
    await manager.store.touch("kept", "never")

    assert await manager.extend_session_ttl("s", 600)

    assert 1590 < await manager._client.ttl("session:s") <= 1600
    assert not await manager.extend_session_ttl("kept", 600)
    assert not await manager.extend_session_ttl("none", 600)


async def test_listing_takes_redis_patterns(manager: RedisSessionManager) -> None:
    for name in ["a", "ab", "b"]:
        await manager.create_session(name, {})

    assert sorted(await manager.list_sessions()) == ["a", "ab", "b"]
    assert sorted(await manager.list_sessions("a*")) == ["a", "ab"]
    assert await manager.list_sessions("?b") == ["ab"]
    assert await manager.list_sessions("[^a]") == ["b"]


async def test_an_agents_session_is_described_and_keeps_its_metadata(config: RedisConfig) -> None:
    async with SessionAgent(redis_config=config) as agent:
        manager = agent.redis_manager
        assert isinstance(manager, RedisSessionManager)
        assert manager.store is agent.store
        session_id = await agent.create_session("ada", {"plan": "pro"})

        data = await manager.get_session(session_id)
        assert data is not None
        assert (data["session_id"], data["user_id"]) == (session_id, "ada")
        assert data["metadata"] == {"plan": "pro"}

        assert await manager.update_session(session_id, {"mood": "good"})
        assert await manager.get_session(session_id) == {"mood": "good"}
        assert (await agent.store.get(session_id)).metadata["plan"] == "pro"


# Threads


@pytest.mark.parametrize(
    "thread",
    [
        [HELLO],
        [],
        [1, "two", None],
        {"messages": [HELLO], "events": [{"type": "x"}], "mood": "good"},
        {"messages": [HELLO]},
        {"no": "messages"},
        {"messages": "not a list"},
        {},
        "anything",
        [HELLO | {"id": "1"}, HELLO | {"id": "1"}],
    ],
)
async def test_a_thread_comes_back_as_it_went_in(manager: RedisSessionManager, thread: Any) -> None:
    assert await manager.save_thread("t", {"messages": [HELLO, HELLO], "events": [HELLO], "old": 1})

    assert await manager.save_thread("t", thread)

    assert await manager.load_thread("t") == thread


async def test_there_is_no_thread_of_an_unknown_or_empty_session(manager: RedisSessionManager) -> None:
    await manager.create_session("empty", {})

    assert await manager.load_thread("none") is None
    assert await manager.load_thread("empty") is None


async def test_what_is_appended_shows_in_any_thread(manager: RedisSessionManager) -> None:
    for thread, expected in [
        (None, {"messages": [HELLO], "events": []}),
        ([HELLO], [HELLO, HELLO]),
        ([1], [1, HELLO]),
        ({"events": [], "a": 1}, {"events": [], "a": 1, "messages": [HELLO]}),
        ("text", ["text", HELLO]),
    ]:
        await manager.delete_session("t")
        if thread is not None:
            await manager.save_thread("t", thread)
        assert await manager.append_to_thread("t", HELLO)
        assert await manager.load_thread("t") == expected


async def test_thread_objects_events_and_checkpoints(manager: RedisSessionManager) -> None:
    await manager.create_session("t", {})
    await manager.create_session("no thread", {})
    thread = await manager.load_thread_enhanced("t")
    assert thread is not None
    thread.add_message(HELLO).add_event({"type": "tool_call", "timestamp": "mine"})
    assert await manager.save_thread_enhanced(thread)

    again = await SessionThread.load("t", manager)
    assert again is not None
    assert [message.content for message in again.messages] == ["hello"]
    assert await manager.get_thread_events("t") == [{"type": "tool_call", "timestamp": "mine"}]
    checkpoint = await manager.get_thread_checkpoint("t")
    assert checkpoint is not None
    assert (checkpoint["message_count"], checkpoint["event_count"]) == (1, 1)
    (listed,) = await manager.list_threads()
    assert listed["thread_id"] == "t"
    assert 90 < listed["ttl"] <= 100
    assert await manager._client.exists(listed["key"]) == 1
    assert await manager.load_thread_enhanced("none") is None
    assert await manager.get_thread_checkpoint("none") is None
    assert await manager.get_thread_events("none") == []


async def test_the_last_events_are_given(manager: RedisSessionManager) -> None:
    thread = SessionThread("t", manager)
    for n in range(5):
        thread.add_event({"type": "step", "data": n})
    await thread.save()

    events = await manager.get_thread_events("t", limit=2)

    assert [event["data"] for event in events] == [3, 4]
    assert all(event["timestamp"] for event in events)


# Threads of MiniAgent's own make


def foreign(*texts: str, events: int = 0, **metadata: Any) -> SimpleNamespace:
    return SimpleNamespace(
        id="t",
        messages=[SimpleNamespace(role="user", content=text) for text in texts],
        events=[SimpleNamespace(type="step", data=n) for n in range(events)],
        metadata=metadata,
    )


async def texts_of(manager: RedisSessionManager) -> list[Any]:
    thread = await manager.load_thread_enhanced("t")
    assert thread is not None
    return [message.content for message in thread.messages]


async def test_of_another_thread_object_only_what_is_new_is_stored(manager: RedisSessionManager) -> None:
    assert await manager.save_thread_enhanced(foreign("a", "b", events=1, mood="good"))
    before = await manager.store.get("t")
    assert await manager.save_thread_enhanced(foreign("a", "b", "c", events=2, mood="better"))
    assert await manager.save_thread_enhanced(foreign("a", "b", "c", events=2, mood="better"))
    assert await manager.save_thread_enhanced(foreign("b", "c", "d", events=2))

    after = await manager.store.get("t")
    thread = await manager.load_thread_enhanced("t")
    assert thread is not None
    assert await texts_of(manager) == ["a", "b", "c", "d"]
    assert [event.data for event in thread.events] == [0, 1]
    assert thread.metadata == {"mood": "better"}
    assert (after.epoch, after.version) == (before.epoch, before.version + 2)


async def test_another_thread_object_takes_nothing_from_others(manager: RedisSessionManager) -> None:
    await manager.save_thread_enhanced(foreign("a", "b"))
    await manager.append_to_thread("t", {"role": "user", "content": "others"})

    with pytest.raises(VersionConflictError):
        await manager.save_thread_enhanced(foreign("a", "b", "mine"))
    assert await manager.save_thread_enhanced(foreign("a", "b"))

    assert await texts_of(manager) == ["a", "b", "others"]


async def test_another_thread_object_saved_at_once_is_stored_once(manager: RedisSessionManager) -> None:
    await asyncio.gather(*(manager.save_thread_enhanced(foreign("a", "b")) for _ in range(10)))

    assert await texts_of(manager) == ["a", "b"]


# Serializers of one's own


class Shouting(RedisSessionManager):
    def serialize(self, data: Any) -> bytes:
        return b"!" + super().serialize(data)

    def deserialize(self, data: bytes) -> Any:
        assert data.startswith(b"!")
        return super().deserialize(data[1:])


async def test_a_serializer_of_ones_own_is_used_for_all_that_is_stored(config: RedisConfig) -> None:
    manager = Shouting(config)
    await manager.delete_session("s")

    await manager.create_session("s", {"n": 1})
    await manager.save_thread("s", {"messages": [HELLO], "mood": "good"})
    await manager.append_to_thread("s", HELLO)
    await manager.cache_set("k", [1])

    assert await manager.get_session("s") == {"n": 1}
    assert await manager.load_thread("s") == {"messages": [HELLO, HELLO], "mood": "good"}
    assert await manager.cache_get("k") == [1]
    assert await manager.cache_get("none") is None
    snapshot = await manager.store.snapshot("s", state=True)
    stored = [*snapshot.session.metadata.values(), *(each["rest"] for each in snapshot.state.values())]
    stored += [value for entry in snapshot.logs["messages"] for value in entry.value.values()]
    stored.append(await manager.store.cache.get("k"))
    assert all(isinstance(each, bytes) and each.startswith(b"!") for each in stored)
    await manager.disconnect()


# Cache and locks


@pytest.mark.parametrize("value", ["123", 123, b"bytes", "text", None, {"a": [1]}, 1.5, True])
async def test_a_cached_value_keeps_its_type(manager: RedisSessionManager, value: Any) -> None:
    assert await manager.cache_set("k", value)

    found = await manager.cache_get("k")

    assert (found, type(found)) == (value, type(value))


async def test_cached_values_end(manager: RedisSessionManager) -> None:
    await manager.cache_set("k", 1)
    assert await manager.cache_delete("k")
    assert not await manager.cache_delete("k")
    assert await manager.cache_get("k") is None

    await manager.cache_set("k", 1, ttl=0.05)
    await asyncio.sleep(0.1)
    assert await manager.cache_get("k") is None


async def test_a_lock_ends_by_itself(manager: RedisSessionManager, config: RedisConfig) -> None:
    other = RedisSessionManager(config)

    assert await other.acquire_lock("door", timeout=0.2)
    assert await manager.is_locked("door")
    async with asyncio.timeout(10):
        while await manager.is_locked("door"):
            await asyncio.sleep(0.02)

    assert not await other.release_lock("door")
    assert await manager.acquire_lock("door")
    assert not await other.acquire_lock("door")
    await other.disconnect()


async def test_of_many_tasks_one_has_the_lock(manager: RedisSessionManager) -> None:
    taken = await asyncio.gather(*(manager.acquire_lock("door") for _ in range(20)))
    freed = await asyncio.gather(*(manager.release_lock("door") for _ in range(20)))

    assert taken.count(True) == 1
    assert freed.count(True) == 1
    assert not await manager.is_locked("door")


async def test_locks_are_those_of_the_store(manager: RedisSessionManager) -> None:
    async with manager.store.lock("door"):
        assert await manager.is_locked("door")
        assert not await manager.acquire_lock("door")
        assert not await manager.release_lock("door")
    assert not await manager.is_locked("door")


# The client of redis-py


async def test_the_client_counts_expires_and_pipelines(manager: RedisSessionManager) -> None:
    client = manager._client

    assert await client.incr("n") == 1
    assert await client.expire("n", 60)
    assert 0 < await client.ttl("n") <= 60
    async with client.pipeline() as pipe:
        pipe.set("a", "1")
        pipe.get("a")
        assert await pipe.execute() == [True, b"1"]


async def test_the_client_tries_nothing_again_and_is_bounded(manager: RedisSessionManager) -> None:
    client = manager._client

    await asyncio.gather(*(client.ping() for _ in range(200)))

    assert client.get_retry().get_retries() == 0
    names = [row["name"] for row in await client.client_list()]
    assert len(names) <= manager.config.max_connections + 3


# Life


async def test_a_disconnected_manager_says_so(config: RedisConfig) -> None:
    manager = RedisSessionManager(config)
    await manager.connect()
    await manager.subscribe("c")
    await manager.acquire_lock("x")
    assert await manager.health_check()

    await manager.disconnect()
    await manager.disconnect()

    assert not await manager.health_check()
    for call in [
        lambda: manager.create_session("s", {}),
        lambda: manager.get_session("s"),
        lambda: manager.update_session("s", {}),
        lambda: manager.delete_session("s"),
        lambda: manager.extend_session_ttl("s", 1),
        manager.list_sessions,
        lambda: manager.save_thread("s", []),
        lambda: manager.load_thread("s"),
        lambda: manager.append_to_thread("s", HELLO),
        lambda: manager.load_thread_enhanced("s"),
        lambda: manager.get_thread_events("s"),
        lambda: manager.get_thread_checkpoint("s"),
        manager.list_threads,
        lambda: manager.cache_set("k", 1),
        lambda: manager.cache_get("k"),
        lambda: manager.cache_delete("k"),
        lambda: manager.acquire_lock("x"),
        lambda: manager.release_lock("x"),
        lambda: manager.is_locked("x"),
        lambda: manager.subscribe("c"),
        lambda: manager.publish("c", "m"),
        manager.get_message,
    ]:
        with pytest.raises(StoreClosedError):
            await call()


async def test_a_disconnected_manager_can_be_connected_anew(config: RedisConfig) -> None:
    manager = RedisSessionManager(config)
    await manager.disconnect()

    await manager.connect()

    assert await manager.health_check()
    assert await manager.publish("c", 1) == 0
    await manager.disconnect()


async def test_disconnecting_leaves_no_connection(server: Server, config: RedisConfig) -> None:
    manager = RedisSessionManager(config)
    await manager.connect()
    await manager.subscribe("c")
    await manager._client.ping()

    await manager.disconnect()

    async with asyncio.timeout(10):
        while server.command("CLIENT", "LIST").count(b"\n") > 1:
            await asyncio.sleep(0.01)


async def test_a_second_event_loop_is_told_apart(config: RedisConfig) -> None:
    manager = RedisSessionManager(config)
    await manager._client.ping()

    def elsewhere() -> str:
        async def use() -> str:
            try:
                await manager.publish("c", 1)
            except Exception as error:  # noqa: BLE001
                return type(error).__name__
            return ""

        return asyncio.run(use())

    assert await asyncio.to_thread(elsewhere) == "WrongLoopError"
    await manager.disconnect()


# One for all


async def test_each_configuration_has_its_manager(config: RedisConfig, server: Server) -> None:
    server.command("FLUSHALL")
    one, same = await asyncio.gather(get_redis_manager(config), get_redis_manager(config))
    other = await get_redis_manager(
        RedisConfig(host="127.0.0.1", port=server.port or 0, password="s3cret", session_prefix="other:")
    )

    assert one is same
    assert other is not one
    await one.create_session("mine", {})
    assert await other.get_session("mine") is None

    await cleanup_redis()
    assert not await one.health_check()
    assert not await other.health_check()
    fresh = await get_redis_manager(config)
    assert fresh is not one
    assert await fresh.get_session("mine") == {}
    await cleanup_redis()


async def test_who_gives_up_does_not_take_it_from_others(config: RedisConfig) -> None:
    waiting = [asyncio.create_task(get_redis_manager(config)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    manager = await waiting[1]

    assert await manager.health_check()
    await asyncio.gather(*waiting, return_exceptions=True)
    await cleanup_redis()


async def test_without_a_server_there_is_a_clear_error_and_later_a_manager(config: RedisConfig) -> None:
    port = free_port()
    away = RedisConfig(host="127.0.0.1", port=port)

    with pytest.raises(BackendUnavailableError, match="running"):
        await get_redis_manager(away)

    with Server(port=port):
        assert await (await get_redis_manager(away)).health_check()
        await cleanup_redis()


def test_each_event_loop_has_its_manager(config: RedisConfig) -> None:
    async def use() -> bool:
        manager = await get_redis_manager(config)
        answers = await manager.health_check()
        await cleanup_redis()
        return answers

    assert asyncio.run(use())
    assert asyncio.run(use())


async def test_a_manager_serves_the_seeds_other_classes(manager: RedisSessionManager) -> None:
    agent = SessionAgent(store=manager)
    chat = SessionManager(agent)
    await manager.create_session("s", {"user_id": "ada"})

    await chat.chat("s", "hello")

    assert agent.redis_manager is manager
    thread = await manager.load_thread("s")
    assert [message["role"] for message in thread["messages"]] == ["user", "assistant"]
    await agent.shutdown()
    assert await manager.health_check()
