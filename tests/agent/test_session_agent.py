"""Life cycle, streaming, failures, and what is held in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagent_store import (
    AgentConfig,
    InvalidArgumentError,
    LockTimeoutError,
    Message,
    SessionNotFoundError,
    SessionStore,
    SessionTooLargeError,
    StoreClosedError,
    StoreError,
    hookimpl,
    open_store,
)
from miniagent_store.agent.events import Callbacks, Event, EventType
from miniagent_store.session import SessionAgent
from tests.agent.agent_support import SlowModel, eventually, parrot

# Life cycle


async def test_shutdown_closes_the_store_it_opened_and_ends_its_tasks(url: str) -> None:
    before = asyncio.all_tasks()
    agent = SessionAgent(store=url)
    await agent.initialize()
    await agent.create_session()

    await agent.shutdown()
    await agent.shutdown()

    assert {task for task in asyncio.all_tasks() - before if "miniagent" in task.get_name()} == set()
    with pytest.raises(StoreClosedError):
        await agent.store.stats()
    with pytest.raises(StoreClosedError):
        await agent.list_active_sessions()


async def test_shutdown_leaves_a_store_open_that_is_not_its_own(store: SessionStore) -> None:
    async with SessionAgent(store=store) as agent:
        session_id = await agent.create_session()

    assert (await store.get(session_id)).id == session_id


async def test_it_starts_by_itself_and_again_after_a_shutdown(url: str) -> None:
    agent = SessionAgent(store=url)
    session_id = await agent.create_session()
    await agent.shutdown()

    await agent.initialize()

    assert await agent.resume_session(session_id)
    await agent.shutdown()


async def test_without_any_address_it_takes_the_stores_default(
    url: str, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIAGENT_STORE_URL", url)

    async with SessionAgent() as agent:
        session_id = await agent.create_session()

    assert (await store.get(session_id)).user_id == "anonymous"


async def test_shutdown_in_the_middle_of_starting_wins(url: str) -> None:
    agent = SessionAgent(store=url)

    await asyncio.gather(agent.initialize(), agent.shutdown())

    with pytest.raises(StoreClosedError):
        await agent.create_session()


async def test_a_cancelled_shutdown_still_closes_everything(url: str) -> None:
    agent = SessionAgent(store=url)
    await agent.initialize()
    shutdown = asyncio.create_task(agent.shutdown())
    await asyncio.sleep(0)

    shutdown.cancel()

    with pytest.raises(asyncio.CancelledError):
        await shutdown
    with pytest.raises(StoreClosedError):
        await agent.store.stats()


async def test_a_store_that_cannot_be_reached_is_told_by_initialize() -> None:
    agent = SessionAgent(store="sqlite:////proc/nowhere/sessions.db")

    with pytest.raises(StoreError, match="/proc/nowhere"):
        async with asyncio.timeout(5):
            await agent.initialize()
    await agent.shutdown()


async def test_a_manager_with_a_store_is_taken_for_it(store: SessionStore) -> None:
    class Manager:
        def __init__(self, store: SessionStore) -> None:
            self.store = store

    manager = Manager(store)

    agent = SessionAgent(store=manager)

    assert agent.store is store
    assert agent.redis_manager is manager
    with pytest.raises(InvalidArgumentError):
        SessionAgent(store=42)  # type: ignore[arg-type]


# Answers are stored whole or not at all


async def test_the_stream_comes_in_order_and_is_stored_once(url: str, store: SessionStore) -> None:
    heard: list[str] = []
    versions: list[int] = []

    async def listen(chunk: str) -> None:
        heard.append(chunk)
        versions.append((await store.get(session_id)).version)

    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()
        before = await store.get(session_id)

        answer = await agent.run_session(session_id, "one two  three", stream=listen)

    assert heard == ["You ", "said: ", "one ", "two  ", "three ", "(message ", "1)"]
    assert "".join(heard) == answer
    assert set(versions) == {before.version}
    assert (await store.get(session_id)).version == before.version + 1
    history = await store.history(session_id)
    assert [(each.role, each.content) for each in history] == [
        ("user", "one two  three"),
        ("assistant", answer),
    ]


async def test_a_model_that_raises_leaves_nothing_behind(url: str, store: SessionStore) -> None:
    async def broken(messages: list[Message], config: AgentConfig) -> AsyncIterator[str]:
        yield "half an "
        raise RuntimeError("no more")

    errors: list[Event] = []
    callbacks = Callbacks().on(EventType.SESSION_ERROR, errors.append)
    async with SessionAgent(store=url, model=broken, callbacks=callbacks) as agent:
        session_id = await agent.create_session()
        version = (await store.get(session_id)).version

        with pytest.raises(RuntimeError, match="no more"):
            await agent.run_session(session_id, "Hello!")

    assert await store.history(session_id) == []
    assert (await store.get(session_id)).version == version
    assert errors[0].data == {"session_id": session_id, "error": "no more", "error_type": "RuntimeError"}


async def test_a_listener_that_raises_ends_the_turn_and_nothing_is_stored(
    url: str, store: SessionStore
) -> None:
    def broken_pipe(chunk: str) -> None:
        raise BrokenPipeError

    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()

        with pytest.raises(BrokenPipeError):
            await agent.run_session(session_id, "Hello!", stream=broken_pipe)

    assert await store.history(session_id) == []


async def test_cancelled_in_the_middle_of_a_stream_stores_nothing_and_frees_the_session(
    url: str, store: SessionStore
) -> None:
    model = SlowModel()
    async with SessionAgent(store=url, model=model, turn_wait=0) as agent:
        session_id = await agent.create_session()
        answer = asyncio.create_task(agent.run_session(session_id, "Hello!"))
        await model.began.wait()

        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer

        assert await store.history(session_id) == []
        model.go_on.set()
        assert await agent.run_session(session_id, "again") == "to again"
    assert [each.content for each in await store.history(session_id)] == ["again", "to again"]


async def test_an_answer_that_is_too_large_is_refused_and_nothing_is_cut(
    url: str, store: SessionStore
) -> None:
    async with SessionAgent(store=f"{url}?max_session_size=500") as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!")

        with pytest.raises(SessionTooLargeError):
            await agent.run_session(session_id, "x" * 300)

    assert len(await store.history(session_id)) == 2


async def test_who_will_not_wait_is_told_that_the_session_is_busy(url: str) -> None:
    model = SlowModel()
    async with SessionAgent(store=url, model=model, turn_wait=0) as agent:
        session_id = await agent.create_session()
        first = asyncio.create_task(agent.run_session(session_id, "one"))
        await model.began.wait()

        with pytest.raises(LockTimeoutError):
            await agent.run_session(session_id, "two")

        model.go_on.set()
        assert await first == "to one"


async def test_the_whole_exchange_with_a_tool_is_one_commit(url: str, store: SessionStore) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]

    async def with_tool(messages: list[Message], config: AgentConfig) -> AsyncIterator[Any]:
        yield "Let me see. "
        yield Message.assistant(tool_calls=calls)
        yield Message.tool("noon", tool_call_id="c1")
        yield Event("clock_read", {"at": "noon"})
        yield "It is "
        yield "noon."

    told: list[tuple[str, Any]] = []
    callbacks = Callbacks().on_any(lambda event: told.append((str(event.type), event.data)))
    async with SessionAgent(store=url, model=with_tool, callbacks=callbacks) as agent:
        session_id = await agent.create_session()
        version = (await store.get(session_id)).version

        assert await agent.run_session(session_id, "What time is it?") == "It is noon."

        assert [each.role for each in agent.sessions[session_id].messages] == [
            "user",
            "assistant",
            "assistant",
            "tool",
            "assistant",
        ]
    assert (await store.get(session_id)).version == version + 1
    assert [each.content for each in await store.history(session_id)] == [
        "What time is it?",
        "Let me see. ",
        None,
        "noon",
        "It is noon.",
    ]
    (event,) = await store.entries(session_id, log="events")
    assert (event.value["type"], event.value["data"]) == ("clock_read", {"at": "noon"})
    assert [kind for kind, _ in told] == [
        "session_created",
        "llm_call",
        "stream_start",
        "stream_chunk",
        "tool_call",
        "tool_result",
        "clock_read",
        "stream_chunk",
        "stream_chunk",
        "stream_end",
    ]
    assert ("tool_call", {"tool": "clock", "tool_call_id": "c1", "arguments": "{}"}) in told
    assert ("tool_result", {"tool": "clock", "tool_call_id": "c1", "content": "noon"}) in told


async def test_without_streaming_no_piece_is_heard(url: str) -> None:
    chunks: list[Event] = []
    callbacks = Callbacks().on(EventType.STREAM_CHUNK, chunks.append)
    async with SessionAgent(AgentConfig(stream_by_default=False), callbacks=callbacks, store=url) as agent:
        session_id = await agent.create_session()

        await agent.run_session(session_id, "Hello!")
        assert chunks == []

        await agent.run_session(session_id, "Hello!", stream=True)
        assert [chunk.data for chunk in chunks] == ["You ", "said: ", "Hello! ", "(message ", "2)"]
        assert chunks[0].metadata == {"session_id": session_id}


# What the model is given


async def test_a_model_sees_prompt_context_and_history_but_no_tombstones(
    url: str, store: SessionStore
) -> None:
    seen: list[list[dict[str, Any]]] = []

    async def model(messages: list[Message], config: AgentConfig) -> str:
        seen.append([dict(message) for message in messages])
        return "yes"

    config = AgentConfig(system_prompt="Be brief.")
    async with SessionAgent(config, store=url, model=model) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "secret")
        await store.redact(session_id, 1, reason="a secret")

        await agent.run_session(session_id, "Hello!", context="It is noon.")

    assert seen[-1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "It is noon."},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "Hello!"},
    ]
    assert all(each.role != "system" for each in await store.history(session_id))


async def test_a_limited_history_never_begins_with_a_tools_answer(url: str, store: SessionStore) -> None:
    seen: list[list[str]] = []

    async def model(messages: list[Message], config: AgentConfig) -> str:
        seen.append([message.role for message in messages])
        return "yes"

    async with SessionAgent(AgentConfig(history_limit=2), store=url, model=model) as agent:
        session_id = await agent.create_session()
        await store.append(
            session_id,
            Message.user("time?"),
            Message.assistant(tool_calls=[{"id": "c1"}]),
            Message.tool("noon", tool_call_id="c1"),
            Message.assistant("noon"),
        )

        await agent.run_session(session_id, "Thanks")

    assert seen == [["assistant", "user"]]


# In memory


async def test_no_more_threads_are_held_than_allowed(url: str) -> None:
    async with SessionAgent(store=url, max_sessions=3) as agent:
        ids = [await agent.create_session() for _ in range(5)]
        await agent.run_session(ids[2], "Hello!")
        await agent.create_session()

        assert len(agent.sessions) == 3
        assert ids[2] in agent.sessions
        assert ids[3] not in agent.sessions
        assert await agent.run_session(ids[0], "Hello!") == "You said: Hello! (message 1)"


async def test_threads_of_expired_and_deleted_sessions_are_dropped(url: str, store: SessionStore) -> None:
    async with SessionAgent(store=url, sweep_interval=0.01) as agent:
        kept = await agent.create_session()
        deleted = await agent.create_session()
        expired = await agent.create_session()
        await store.delete(deleted)
        await store.touch(expired, ttl=0.02)

        async def only_one_left() -> bool:
            return list(agent.sessions) == [kept]

        await eventually(only_one_left)


async def test_what_was_added_to_a_thread_in_memory_is_saved_before_the_next_answer(
    url: str, store: SessionStore
) -> None:
    async with SessionAgent(store=url, model=parrot) as agent:
        session_id = await agent.create_session()
        agent.sessions[session_id].add_message(Message.system("Speak French."))

        assert await agent.run_session(session_id, "Hello!") == "Hello! after 1"

        agent.sessions[session_id].add_message(Message.user("Bye"))
    assert [each.content for each in await store.history(session_id)] == [
        "Speak French.",
        "Hello!",
        "Hello! after 1",
        "Bye",
    ]


async def test_a_deleted_session_is_not_made_again_by_its_thread_in_memory(
    url: str, store: SessionStore
) -> None:
    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()
        agent.sessions[session_id].add_message(Message.user("unsaved"))
        await store.delete(session_id)

        with pytest.raises(SessionNotFoundError):
            await agent.run_session(session_id, "Hello!")

    with pytest.raises(SessionNotFoundError):
        await store.get(session_id)


async def test_the_store_is_looked_at_in_the_background(url: str, caplog: pytest.LogCaptureFixture) -> None:
    agent = SessionAgent(store=url, health_interval=0.01)
    await agent.initialize()

    async def looked() -> bool:
        return agent.last_health is not None and agent.last_health.ok

    with caplog.at_level(logging.WARNING, "miniagent_store"):
        await eventually(looked)
        await agent.shutdown()
    assert caplog.records == []


# Who is told


async def test_events_and_hooks_tell_of_a_sessions_life(url: str) -> None:
    hooks: list[tuple[str, str]] = []

    class Watcher:
        @hookimpl
        def session_resumed(self, session: Any) -> None:
            hooks.append(("resumed", session.id))

        @hookimpl
        def session_ended(self, session_id: str) -> None:
            hooks.append(("ended", session_id))

    told: list[str] = []

    async def tell(event: Event) -> None:
        told.append(event.type)

    async with open_store(url, plugins=[Watcher()]) as store:
        session_id = (await store.create()).id
        async with SessionAgent(store=store, callbacks=[tell]) as agent:
            await agent.resume_session(session_id)
            await agent.resume_session(session_id)
            await agent.run_session(session_id, "Hello!", stream=False)
            await agent.end_session(session_id)
            await agent.create_session()

    assert told == ["session_resumed", "llm_call", "session_ended", "session_created"]
    assert hooks == [("resumed", session_id), ("ended", session_id)]
