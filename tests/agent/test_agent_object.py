"""Another framework's agent inside ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from miniagent_store import AgentConfig, ConfigurationError, InvalidArgumentError, Message, SessionStore
from miniagent_store.session import SessionAgent
from tests.agent import miniagent_like


async def test_an_agent_object_is_given_its_own_thread_and_all_it_adds_is_stored(
    url: str, store: SessionStore
) -> None:
    async with SessionAgent(store=url, model=miniagent_like.Agent()) as one:
        session_id = await one.create_session()
        before = (await store.get(session_id)).version
        assert await one.run_session(session_id, "Hello!") == "1 messages, run 1"
        assert (await store.get(session_id)).version == before + 1

    async with SessionAgent(store=url, model=miniagent_like.Agent()) as two:
        await two.run_session(session_id, "Hello again!")
        assert await two.run_session(session_id, "And again!") == "5 messages, run 3"
        held = two.sessions[session_id]

    history = await store.history(session_id)
    assert [each.content for each in history] == [
        "Hello!",
        "1 messages, run 1",
        "Hello again!",
        "3 messages, run 2",
        "And again!",
        "5 messages, run 3",
    ]
    assert all(each.time and abs((datetime.now(UTC) - each.time).total_seconds()) < 60 for each in history)
    assert await store.count(session_id, log="events") == 6
    assert await store.state(session_id).get("thread.metadata/runs") == 3
    assert [message.content for message in held.messages] == [message.content for message in history]
    assert held.metadata == {"runs": 3}


async def test_a_class_is_made_with_what_it_takes(url: str) -> None:
    made: list[miniagent_like.Agent] = []

    class Remembered(miniagent_like.Agent):
        def __init__(
            self,
            config: miniagent_like.AgentConfig | None = None,
            tools: list[Any] | None = None,
            callbacks: miniagent_like.StreamCallback | None = None,
        ) -> None:
            super().__init__(config, tools, callbacks)
            made.append(self)

    config = AgentConfig(model="gpt-4o-mini")
    async with SessionAgent(config, ["hammer"], store=url, model=Remembered) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!")

    (inner,) = made
    assert inner.config == miniagent_like.AgentConfig(model="gpt-4o-mini", stream_by_default=True)
    assert inner.tools == ["hammer"]


async def test_the_pieces_of_many_answers_at_once_reach_who_asked(url: str) -> None:
    async with SessionAgent(store=url, model=miniagent_like.Agent) as agent:
        ids = [await agent.create_session() for _ in range(4)]
        for at, session_id in enumerate(ids):
            for _ in range(at):
                await agent.run_session(session_id, "Hello!", stream=False)
        heard: dict[str, list[str]] = {session_id: [] for session_id in ids}

        await asyncio.gather(
            *(agent.run_session(each, "Hello!", stream=heard[each].append) for each in ids)
        )

    assert [heard[session_id] for session_id in ids] == [
        [f"{2 * at + 1} ", "messages, ", "run ", f"{at + 1} "] for at in range(4)
    ]


async def test_a_listener_that_raises_is_not_lost_in_the_agents_callbacks(
    url: str, store: SessionStore
) -> None:
    def broken_pipe(chunk: str) -> None:
        raise BrokenPipeError

    async with SessionAgent(store=url, model=miniagent_like.Agent) as agent:
        session_id = await agent.create_session()

        with pytest.raises(BrokenPipeError):
            await agent.run_session(session_id, "Hello!", stream=broken_pipe)

    assert await store.history(session_id) == []


async def test_an_agent_without_annotations_is_given_our_thread(url: str, store: SessionStore) -> None:
    class Plain:
        async def run(self, user_input, thread=None):  # type: ignore[no-untyped-def]
            thread.add_message(Message.user(user_input))
            return f"{len(thread.messages)} messages"

    async with SessionAgent(store=url, model=Plain()) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!")
        await store.redact(session_id, 1, reason="test")

        assert await agent.run_session(session_id, "Hello!") == "2 messages"

    assert [each.role for each in await store.history(session_id)] == [
        "redacted",
        "assistant",
        "user",
        "assistant",
    ]


async def test_an_agent_that_keeps_no_thread_is_recorded_all_the_same(
    url: str, store: SessionStore
) -> None:
    class Forgetful:
        async def run(self, user_input: str) -> str:
            return user_input.upper()

    heard: list[str] = []
    async with SessionAgent(store=url, model=Forgetful()) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!", stream=heard.append)

    assert heard == ["HELLO!"]
    assert [(each.role, each.content) for each in await store.history(session_id)] == [
        ("user", "Hello!"),
        ("assistant", "HELLO!"),
    ]


async def test_an_agent_that_fails_leaves_nothing_behind(url: str, store: SessionStore) -> None:
    class Broken:
        async def run(self, user_input: str, thread: miniagent_like.Thread) -> str:
            thread.add_message(miniagent_like.Message("user", user_input))
            raise RuntimeError("no more")

    class Wrong:
        async def run(self, user_input: str) -> int:
            return 42

    for model, error in ((Broken(), RuntimeError), (Wrong(), InvalidArgumentError)):
        async with SessionAgent(store=url, model=model) as agent:
            session_id = await agent.create_session()

            with pytest.raises(error):
                await agent.run_session(session_id, "Hello!")

        assert await store.history(session_id) == []


def test_tools_for_an_agent_that_was_made_already_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Agent, which has its own"):
        SessionAgent(tools=["hammer"], store="memory://", model=miniagent_like.Agent())


async def test_miniagents_callbacks_hear_of_our_events_in_their_own_terms(url: str) -> None:
    told: list[miniagent_like.Event] = []
    callbacks = miniagent_like.StreamCallback()
    callbacks.on(miniagent_like.EventType.SESSION_CREATED, told.append)
    callbacks.on(miniagent_like.EventType.STREAM_CHUNK, told.append)

    async with SessionAgent(callbacks=callbacks, store=url, model=miniagent_like.Agent) as agent:
        session_id = await agent.create_session("ada")
        await agent.run_session(session_id, "Hello!", stream=True)

    assert agent.callbacks is callbacks
    assert [event.data for event in told] == [
        {"session_id": session_id, "user_id": "ada"},
        "1 ",
        "messages, ",
        "run ",
        "1 ",
    ]
    assert all(type(event) is miniagent_like.Event for event in told)


@pytest.mark.parametrize("made_here", [True, False])
async def test_its_tools_pieces_and_events_are_heard_from_a_class_and_from_an_object(
    url: str, store: SessionStore, made_here: bool
) -> None:
    registry = miniagent_like.ToolRegistry()
    registry.register(miniagent_like.Lookup())
    inner = miniagent_like.Agent(tools=registry)
    told: list[tuple[str, Any]] = []

    def listen(event: Any) -> None:
        kind = event.type.value if isinstance(event, miniagent_like.Event) else str(event.type)
        told.append((kind, event.data))

    heard: list[str] = []
    config = AgentConfig(max_iterations=3)
    async with (
        SessionAgent(
            config,
            registry if made_here else None,
            callbacks=listen,
            store=url,
            model=miniagent_like.Agent if made_here else inner,
        ) as agent,
        SessionAgent(store=url, model=inner) as other,
    ):
        session_id = await agent.create_session()
        answer = await agent.run_session(session_id, "look up tea", stream=heard.append)
        await other.run_session(await other.create_session(), "Hello!", stream=True)
        await inner.run("Hello!", stream=True)

    assert heard == ["3 ", "messages, ", "run ", "1 "]
    assert answer == "3 messages, run 1"
    kinds = [kind for kind, _ in told]
    assert kinds == [
        "session_created",
        "tool_call",
        "tool_result",
        "stream_start",
        *["stream_chunk"] * 4,
        "stream_end",
    ]
    assert ("tool_result", {"tool": "lookup", "result": {"letters": 3}}) in told
    assert [(each.role, each.content) for each in await store.history(session_id)] == [
        ("user", "look up tea"),
        ("assistant", ""),
        ("tool", "3 letters"),
        ("assistant", "3 messages, run 1"),
    ]
    if not made_here:
        assert inner.max_iterations == [3, 10, 10]


async def test_callbacks_that_both_share_are_told_once(url: str) -> None:
    chunks: list[Any] = []
    callbacks = miniagent_like.StreamCallback()
    callbacks.on(miniagent_like.EventType.TOOL_CALL, chunks.append)
    registry = miniagent_like.ToolRegistry()
    registry.register(miniagent_like.Lookup())
    inner = miniagent_like.Agent(tools=registry, callbacks=callbacks)
    async with SessionAgent(callbacks=callbacks, store=url, model=inner) as agent:
        await agent.run_session(await agent.create_session(), "look up tea")

    assert len(chunks) == 1
