"""What the seed's code did and must not be done again; each was seen by running that code."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import (
    BackendUnavailableError,
    Message,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    StoreError,
    VersionConflictError,
)
from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.session import SessionAgent, SessionManager, SessionThread
from miniagent_store.testing.servers import Server, free_port

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
async def chat(manager: RedisSessionManager) -> SessionManager:
    return SessionManager(SessionAgent(store=manager))


# Two at once


async def test_two_processes_on_one_session_lose_nothing_of_each_other(
    manager: RedisSessionManager, config: RedisConfig
) -> None:
    await manager.create_session("s", {})
    other = RedisSessionManager(config)
    mine = await SessionThread.load("s", manager)
    theirs = await SessionThread.load("s", other)
    assert mine is not None
    assert theirs is not None

    assert await mine.add_message(Message.user("mine")).save()
    assert await theirs.add_message(Message.user("theirs")).save()

    thread = await manager.load_thread("s")
    assert [each["content"] for each in thread["messages"]] == ["mine", "theirs"]
    await other.disconnect()


async def test_fifty_appends_at_once_keep_fifty_messages(
    manager: RedisSessionManager, config: RedisConfig
) -> None:
    others = [RedisSessionManager(config) for _ in range(3)]
    managers = [manager, *others]

    await asyncio.gather(
        *(managers[n % 4].append_to_thread("t", {"role": "user", "content": str(n)}) for n in range(50))
    )

    thread = await manager.load_thread("t")
    assert sorted(int(each["content"]) for each in thread["messages"]) == [*range(50)]
    for other in others:
        await other.disconnect()


# What listings say


async def test_counts_and_activity_are_those_of_now(chat: SessionManager) -> None:
    session_id = await chat.create_or_resume_session(user_id="ada")

    for count in (2, 4):
        before = datetime.now(UTC) - timedelta(seconds=1)
        await chat.chat(session_id, "hello")
        (listed,) = await chat.list_sessions()
        assert listed["message_count"] == count
        assert datetime.fromisoformat(listed["last_activity"]) >= before
        assert len(listed["created_at"][:19]) == 19


async def test_prefixes_are_not_cut_out_of_ids(manager: RedisSessionManager) -> None:
    await manager.create_session("a-session:b", {})

    assert await manager.list_sessions() == ["a-session:b"]


# Expiry


async def test_the_ttl_does_not_creep_up_with_each_chat(
    chat: SessionManager, manager: RedisSessionManager
) -> None:
    session_id = await chat.create_or_resume_session()

    for _ in range(3):
        await chat.chat(session_id, "hello")

    assert 95 < await manager._client.ttl(f"session:{session_id}") <= 100


async def test_reading_and_listing_renew_nothing(
    manager: RedisSessionManager, chat: SessionManager
) -> None:
    await manager.create_session("long", {}, ttl=100_000)
    await manager.create_session("short", {}, ttl=20)

    await manager.get_session("long")
    await manager.load_thread("long")
    await manager.list_threads()
    await manager.list_sessions()
    await chat.list_sessions()

    assert 99_990 < await manager._client.ttl("session:long") <= 100_000
    assert await manager._client.ttl("session:short") <= 20


async def test_a_ttl_of_nothing_is_an_error(manager: RedisSessionManager) -> None:
    with pytest.raises(ValueError, match="ttl"):
        await manager.create_session("s", {}, ttl=0)

    assert await manager.get_session("s") is None


# What is told


async def test_an_unknown_session_is_not_chatted_in(
    chat: SessionManager, manager: RedisSessionManager
) -> None:
    with pytest.raises(SessionNotFoundError):
        await chat.chat("unknown", "hello")

    assert await manager.list_sessions() == []


async def test_no_id_is_given_of_what_is_not_stored() -> None:
    agent = SessionAgent(redis_config=RedisConfig(host="127.0.0.1", port=free_port()))

    with pytest.raises(BackendUnavailableError, match="running"):
        await agent.create_session("ada")

    await agent.shutdown()


async def test_creating_twice_overwrites_nothing(
    manager: RedisSessionManager, chat: SessionManager
) -> None:
    assert await manager.create_session("s", {"n": 1})

    assert not await manager.create_session("s", {"n": 2})
    with pytest.raises(SessionExistsError):
        await chat.agent.create_session(session_id="s")

    assert await manager.get_session("s") == {"n": 1}


async def test_a_chat_after_deletion_leaves_no_orphan(
    manager: RedisSessionManager, chat: SessionManager
) -> None:
    session_id = await chat.create_or_resume_session()
    await chat.chat(session_id, "hello")
    thread = await manager.load_thread_enhanced(session_id)
    assert thread is not None

    await manager.delete_session(session_id)

    with pytest.raises(SessionNotFoundError):
        await chat.chat(session_id, "again")
    assert not await manager.save_thread_enhanced(thread.add_message(HELLO))
    left = [key for key in await manager._client.keys("*") if session_id.encode() in key]
    # The fence of its turns stays for an hour, so that it never goes back.
    assert {key.partition(b":")[0] for key in left} <= {b"turn"}


async def test_an_end_that_was_none_is_told(chat: SessionManager) -> None:
    session_id = await chat.create_or_resume_session()

    assert await chat.end_session(session_id)
    assert not await chat.end_session("unknown")


# Locks


async def test_only_the_holder_frees_a_lock(manager: RedisSessionManager, config: RedisConfig) -> None:
    other = RedisSessionManager(config)
    assert await manager.acquire_lock("door")

    assert not await other.acquire_lock("door")
    assert not await other.release_lock("door")

    assert await manager.is_locked("door")
    assert await manager.release_lock("door")
    assert not await manager.release_lock("door")
    await other.disconnect()


# What is stored


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


async def test_a_pickle_is_never_loaded(manager: RedisSessionManager, tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    await manager._client.set("thread:s", pickle.dumps(Bomb(exploded)))
    await manager._client.set("session:s", pickle.dumps(Bomb(exploded)))
    await manager._client.set("cache:default/k", pickle.dumps(Bomb(exploded)))

    for call in [
        lambda: manager.get_session("s"),
        lambda: manager.load_thread("s"),
        lambda: manager.load_thread_enhanced("s"),
        lambda: manager.append_to_thread("s", HELLO),
        lambda: manager.cache_get("k"),
    ]:
        with pytest.raises(StoreError):
            await call()

    assert not exploded.exists()


async def test_data_of_the_seed_is_left_alone_and_told_of(manager: RedisSessionManager) -> None:
    theirs = json.dumps({"session_id": "s", "user_id": "ada"})
    await manager._client.set("session:s", theirs)

    with pytest.raises(StoreError, match="data of the seed"):
        await manager.get_session("s")
    with pytest.raises(StoreError, match="data of the seed"):
        await manager.create_session("s", {})

    assert await manager._client.get("session:s") == theirs.encode()


async def test_a_thread_over_its_size_is_refused_and_nothing_is_cut(manager: RedisSessionManager) -> None:
    large = {"role": "user", "content": "x" * 2_000_000}
    await manager.append_to_thread("t", HELLO)

    for call in [
        lambda: manager.append_to_thread("t", large),
        lambda: manager.save_thread("t", {"messages": [HELLO, large]}),
        lambda: manager.update_session("t", large),
        lambda: SessionThread("t", manager).add_message(large).save(),
    ]:
        with pytest.raises(SessionTooLargeError):
            await call()

    assert await manager.load_thread("t") == {"messages": [HELLO], "events": []}


async def test_whoever_saved_a_thread_all_can_load_it(
    manager: RedisSessionManager, chat: SessionManager
) -> None:
    await manager.save_thread("t", {"messages": [HELLO], "events": [{"type": "x", "data": 1}]})

    thread = await manager.load_thread_enhanced("t")
    assert thread is not None
    assert [message.content for message in thread.messages] == ["hello"]
    assert [event.type for event in thread.events] == ["x"]
    assert [each["content"] for each in await chat.get_history("t")] == ["hello"]

    assert await manager.save_thread_enhanced(thread.add_message(Message.assistant("hi")))
    assert [each["content"] for each in (await manager.load_thread("t"))["messages"]] == ["hello", "hi"]


async def test_events_by_the_hundred_are_kept_whole(manager: RedisSessionManager) -> None:
    thread = SessionThread("t", manager)
    for n in range(300):
        thread.add_event({"type": "step", "data": n})
    await thread.save()

    loaded = await manager.load_thread_enhanced("t")

    assert loaded is not None
    assert [event.data for event in loaded.events] == [*range(300)]


async def test_times_and_metadata_survive_a_reload(manager: RedisSessionManager) -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    thread = SessionThread("t", manager)
    thread.add_message(Message.user("hello", time=noon, metadata={"lang": "en"}))
    thread.metadata["mood"] = "good"
    await manager.save_thread_enhanced(thread)

    first = await manager.load_thread_enhanced("t")
    await asyncio.sleep(0.01)
    second = await manager.load_thread_enhanced("t")

    assert first is not None
    assert second is not None
    assert second.created_at == first.created_at
    assert second.messages[0].time == noon
    assert second.messages[0].metadata == {"lang": "en"}
    assert second.metadata == {"mood": "good"}


async def test_cached_texts_stay_texts(manager: RedisSessionManager) -> None:
    await manager.cache_set("number", "123")
    await manager.cache_set("text", "text")

    assert await manager.cache_get("number") == "123"
    assert await manager.cache_get("text") == "text"


# Connections


async def test_shutdown_leaves_no_connection_and_no_thread(server: Server, config: RedisConfig) -> None:
    threads = threading.active_count()
    agent = SessionAgent(redis_config=config)
    await agent.initialize()
    await agent.create_session("ada")
    manager = agent.redis_manager
    assert manager is not None
    await manager.subscribe("c")

    await agent.shutdown()

    assert not await manager.health_check()
    async with asyncio.timeout(10):
        while server.command("CLIENT", "LIST").count(b"\n") > 1:
            await asyncio.sleep(0.01)
    assert threading.active_count() <= threads


async def test_without_redis_each_call_says_so() -> None:
    manager = RedisSessionManager(RedisConfig(host="127.0.0.1", port=free_port()))

    assert not await manager.health_check()
    for call in [
        manager.connect,
        lambda: manager.create_session("s", {}),
        lambda: manager.get_session("s"),
        lambda: manager.append_to_thread("s", HELLO),
        lambda: manager.cache_get("k"),
        lambda: manager.acquire_lock("x"),
        lambda: manager.is_locked("x"),
        lambda: manager.subscribe("c"),
        lambda: manager.publish("c", 1),
        manager.list_threads,
    ]:
        async with asyncio.timeout(2):
            with pytest.raises(BackendUnavailableError, match="running"):
                await call()
    await manager.disconnect()


async def test_a_change_under_ones_feet_is_a_conflict_and_not_a_loss(manager: RedisSessionManager) -> None:
    await manager.append_to_thread("t", HELLO)
    mine = await manager.load_thread_enhanced("t")
    assert mine is not None
    await manager.append_to_thread("t", {"role": "user", "content": "others"})

    mine.messages.clear()

    with pytest.raises(VersionConflictError):
        await manager.save_thread_enhanced(mine)
