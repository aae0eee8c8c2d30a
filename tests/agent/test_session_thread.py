"""A thread reads on demand and saves only what changed, without taking anything from others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from miniagent_store import InvalidArgumentError, Message, SessionStore, VersionConflictError
from miniagent_store.agent.events import Event
from miniagent_store.session import SessionAgent, SessionThread


def texts(thread: SessionThread) -> list[Any]:
    return [message.content for message in thread.messages]


async def test_what_is_added_and_saved_is_loaded_again_with_times_and_metadata(store: SessionStore) -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    thread = SessionThread("t1", store)
    thread.add_message(Message.user("Hello", metadata={"lang": "en"}, mood="good"))
    thread.add_message(SimpleNamespace(role="assistant", content="Hi", timestamp=noon, tool_calls=None))
    thread.add_event(Event("planned", {"steps": 2}, timestamp=noon))
    thread.metadata["plan"] = ["greet"]

    assert await thread.save()

    loaded = await SessionThread.load("t1", store)
    assert loaded is not None
    assert texts(loaded) == ["Hello", "Hi"]
    assert loaded.messages[0].metadata == {"lang": "en"}
    assert loaded.messages[0]["mood"] == "good"
    assert loaded.messages[1].time == noon
    (event,) = loaded.events
    assert (event.type, event.data, event.timestamp) == ("planned", {"steps": 2}, noon)
    assert loaded.metadata == {"plan": ["greet"]}
    assert abs(loaded.created_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_there_is_no_thread_of_an_unknown_session(store: SessionStore) -> None:
    assert await SessionThread.load("unknown", store) is None


async def test_both_add_methods_return_the_thread(store: SessionStore) -> None:
    thread = SessionThread("t1", store)

    assert thread.add_message({"role": "user", "content": "Hello"}) is thread
    assert thread.add_event({"type": "x"}) is thread


async def test_what_could_not_be_saved_is_refused_when_it_is_added(store: SessionStore) -> None:
    thread = SessionThread("t1", store)

    with pytest.raises(InvalidArgumentError):
        thread.add_message("Hello")
    with pytest.raises(InvalidArgumentError):
        thread.add_event("Hello")


async def test_saving_what_did_not_change_is_no_commit(store: SessionStore) -> None:
    await store.append("t1", Message.user("Hello"), create=True)
    thread = await SessionThread.load("t1", store)
    assert thread is not None
    before = await store.get("t1")

    assert await thread.save()

    assert await store.get("t1") == before
    assert not thread.is_changed


async def test_all_that_changed_is_one_commit_and_only_that_is_written(store: SessionStore) -> None:
    await store.append("t1", *(Message.user(f"m{number}") for number in range(50)), create=True)
    thread = await SessionThread.load("t1", store)
    assert thread is not None
    before = await store.get("t1")
    thread.add_message(Message.user("new")).add_event({"type": "x", "data": 1})
    thread.metadata["a"] = 1

    await thread.save()

    after = await store.get("t1")
    assert (after.version, after.epoch) == (before.version + 1, before.epoch)
    assert after.size - before.size < 100


async def test_two_threads_that_add_at_once_keep_both(store: SessionStore) -> None:
    await store.create("t1")
    threads = [await SessionThread.load("t1", store) for _ in range(10)]
    for number, thread in enumerate(threads):
        assert thread is not None
        thread.add_message(Message.user(f"m{number}"))
        thread.metadata[f"by {number}"] = number

    saved = await asyncio.gather(*(thread.save() for thread in threads if thread is not None))

    assert all(saved)
    loaded = await SessionThread.load("t1", store)
    assert loaded is not None
    assert sorted(texts(loaded)) == sorted(f"m{number}" for number in range(10))
    assert loaded.metadata == {f"by {number}": number for number in range(10)}


async def test_saving_reads_in_what_others_added(store: SessionStore) -> None:
    await store.create("t1")
    one, two = await SessionThread.load("t1", store), await SessionThread.load("t1", store)
    assert one is not None
    assert two is not None
    await one.add_message(Message.user("one")).save()

    await two.add_message(Message.user("two")).save()

    assert texts(two) == ["one", "two"]
    assert not two.is_changed


async def test_a_thread_that_was_not_read_only_adds(store: SessionStore) -> None:
    await store.append("t1", Message.user("before"), create=True)

    await SessionThread("t1", store).add_message(Message.user("after")).save()

    assert [each.content for each in await store.history("t1")] == ["before", "after"]


async def test_what_is_added_while_it_saves_is_not_lost(store: SessionStore) -> None:
    thread = SessionThread("t1", store).add_message(Message.user("one"))
    saving = asyncio.create_task(thread.save())
    await asyncio.sleep(0)
    thread.add_message(Message.user("two"))
    await saving

    assert texts(thread) == ["one", "two"]
    await thread.save()
    assert [each.content for each in await store.history("t1")] == ["one", "two"]


async def test_removed_messages_are_removed_if_nobody_added_any(store: SessionStore) -> None:
    await store.append("t1", *map(Message.user, ["a", "b", "c"]), create=True)
    thread = await SessionThread.load("t1", store)
    assert thread is not None
    thread.messages[1:] = [Message.user("B")]

    assert await thread.save()

    assert [each.content for each in await store.history("t1")] == ["a", "B"]
    thread.messages.clear()
    assert await thread.save()
    assert await store.history("t1") == []
    await thread.add_message(Message.user("again")).save()
    assert [each.content for each in await store.history("t1")] == ["again"]


async def test_removing_never_takes_away_what_others_added(store: SessionStore) -> None:
    await store.append("t1", Message.user("a"), create=True)
    thread = await SessionThread.load("t1", store)
    assert thread is not None
    await store.append("t1", Message.user("b"))
    thread.messages.clear()

    with pytest.raises(VersionConflictError):
        await thread.save()

    assert [each.content for each in await store.history("t1")] == ["a", "b"]


async def test_events_that_are_dropped_from_memory_stay_stored(store: SessionStore) -> None:
    thread = SessionThread("t1", store)
    for number in range(5):
        thread.add_event({"type": "x", "data": number})
    await thread.save()
    thread.add_event({"type": "x", "data": 5})

    thread.summarize_events(2)

    assert [event.data if isinstance(event, Event) else event["data"] for event in thread.events] == [4, 5]
    await thread.save()
    assert await store.count("t1", log="events") == 6


async def test_a_thread_whose_session_is_gone_is_not_saved(store: SessionStore) -> None:
    await store.append("t1", Message.user("a"), create=True)
    thread = await SessionThread.load("t1", store)
    assert thread is not None
    await store.delete("t1")

    assert not await thread.add_message(Message.user("b")).save()

    assert await SessionThread.load("t1", store) is None


async def test_metadata_keys_come_and_go(store: SessionStore) -> None:
    thread = SessionThread("t1", store)
    thread.set_context("a/b", {"n": 1})
    thread.set_context("c", 2)
    await thread.save()
    thread.metadata["a/b"]["n"] = 3
    del thread.metadata["c"]

    await thread.save()

    loaded = await SessionThread.load("t1", store)
    assert loaded is not None
    assert loaded.metadata == {"a/b": {"n": 3}}
    assert loaded.get_context("c", "none") == "none"


async def test_what_chat_apis_take_of_it(store: SessionStore) -> None:
    thread = SessionThread("t1", store)
    thread.add_message(Message.user([{"type": "text", "text": "What "}, {"type": "text", "text": "time?"}]))
    thread.add_message(Message.assistant("thinking", metadata={"internal": True}))
    thread.add_message(Message.assistant("noon", mood="sure"))
    thread.add_message({"role": "redacted", "content": None})

    assert thread.get_messages_for_llm() == [
        {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "time?"}]},
        {"role": "assistant", "content": "noon"},
    ]
    assert thread.get_last_user_message() == "What time?"
    assert SessionThread("t2", store).get_last_user_message() is None


async def test_an_agent_is_as_good_as_its_store(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!")

        thread = await SessionThread.load(session_id, agent)

    assert thread is not None
    assert thread.get_last_user_message() == "Hello!"
