"""What users of the seed's code call, and the faults of it that must not survive."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import AgentConfig, SessionExistsError, SessionNotFoundError, SessionStore
from miniagent_store.session import SessionAgent, SessionManager
from tests.agent.agent_support import SlowModel, parrot


class RedisConfigLike:
    """What `SessionAgent` asks of a `RedisConfig`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def to_url(self) -> str:
        return self._url


async def test_the_seeds_basic_usage_remembers_what_was_just_said(url: str) -> None:
    redis_config = RedisConfigLike(url)

    agent = SessionAgent(config=AgentConfig(name="MyBot"), redis_config=redis_config)
    await agent.initialize()
    manager = SessionManager(agent)
    session_id = await manager.create_or_resume_session(user_id="user123")
    await manager.chat(session_id, "Hello!")
    response = await manager.chat(session_id, "What did I just say?")
    await agent.shutdown()

    assert response == 'You said: "Hello!"'


async def test_a_second_agent_goes_on_where_the_first_left_off(url: str, store: SessionStore) -> None:
    async with SessionAgent(store=url) as first:
        session_id = await SessionManager(first).create_or_resume_session(user_id="ada")
        await SessionManager(first).chat(session_id, "Hello!")

    async with SessionAgent(store=url) as second:
        manager = SessionManager(second)
        resumed = await manager.create_or_resume_session(session_id)
        response = await manager.chat(session_id, "What did I just say?")

    assert resumed == session_id
    assert response == 'You said: "Hello!"'


async def test_another_process_goes_on_where_this_one_left_off(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()
        await agent.run_session(session_id, "Hello!")
    program = (
        "import asyncio, sys\n"
        "from miniagent_store.session import SessionAgent\n"
        "async def main():\n"
        "    async with SessionAgent(store=sys.argv[1]) as agent:\n"
        "        print(await agent.run_session(sys.argv[2], 'What did I just say?'))\n"
        "asyncio.run(main())\n"
    )

    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, url, session_id],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert process.stdout.strip() == 'You said: "Hello!"'


async def test_concurrent_chats_of_two_agents_never_interleave(url: str) -> None:
    async def slow_parrot(messages: list[Any], config: AgentConfig) -> str:
        await asyncio.sleep(0.001)
        return await parrot(messages, config)

    async with (
        SessionAgent(store=url, model=slow_parrot) as one,
        SessionAgent(store=url, model=slow_parrot) as two,
    ):
        session_id = await one.create_session()

        said = [f"question {number}" for number in range(12)]
        await asyncio.gather(
            *(agent.run_session(session_id, text) for agent, text in zip([one, two] * 6, said, strict=True))
        )

        history = await SessionManager(two).get_history(session_id)
    questions, answers = history[::2], history[1::2]
    assert sorted(each["content"] for each in questions) == sorted(said)
    # Each answer follows its question, and was given in sight of all that stands before it.
    assert [each["content"] for each in answers] == [
        f"{question['content']} after {2 * at}" for at, question in enumerate(questions)
    ]


async def test_only_one_answer_a_session_is_under_way_at_a_time(url: str) -> None:
    model = SlowModel()
    model.go_on.set()
    async with SessionAgent(store=url, model=model) as one, SessionAgent(store=url, model=model) as two:
        session_id = await one.create_session()

        await asyncio.gather(*(agent.run_session(session_id, "x") for agent in [one, two] * 4))

    assert model.at_once == 1


async def test_message_count_and_last_activity_are_right_at_once(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session(user_id="ada")
        (before,) = await manager.list_sessions("ada")

        await manager.chat(session_id, "Hello!")

        (after,) = await manager.list_sessions("ada")
    assert list(after) == ["session_id", "user_id", "created_at", "last_activity", "message_count"]
    assert (before["message_count"], after["message_count"]) == (0, 2)
    assert after["created_at"] == before["created_at"]
    assert len(after["created_at"][:19]) == 19
    times = [datetime.fromisoformat(after[name]) for name in ("created_at", "last_activity")]
    assert times == sorted(times)
    assert all(time.tzinfo is not None for time in times)


async def test_listings_are_by_user_and_newest_first(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)
        older = await manager.create_or_resume_session(user_id="ada")
        newer = await manager.create_or_resume_session(user_id="ada")
        await agent.create_session(user_id="bob")
        nobodys = await agent.create_session()
        await manager.chat(newer, "Hello!")

        of_ada = await manager.list_sessions("ada")
        of_all = await manager.list_sessions()
        of_nobody = await manager.list_sessions("anonymous")

    assert [each["session_id"] for each in of_ada] == [newer, older]
    assert len(of_all) == 4
    assert [(each["session_id"], each["user_id"]) for each in of_nobody] == [(nobodys, "anonymous")]


async def test_the_ttl_does_not_creep_by_chatting(url: str, store: SessionStore) -> None:
    async with SessionAgent(store=f"{url}?ttl=100000") as agent:
        session_id = await agent.create_session()
        for number in range(3):
            await agent.run_session(session_id, f"message {number}")

    session = await store.get(session_id)
    assert session.ttl == 100_000
    assert session.expires_at is not None
    assert (session.expires_at - session.last_activity).total_seconds() == pytest.approx(100_000, abs=2)


async def test_reading_listing_and_resuming_renew_no_ttl(url: str, store: SessionStore) -> None:
    async with SessionAgent(store=f"{url}?ttl=1h") as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session()
        await manager.chat(session_id, "Hello!")
        before = (await store.get(session_id)).expires_at
        await asyncio.sleep(0.01)

        await manager.list_sessions()
        await manager.get_history(session_id)
        await manager.create_or_resume_session(session_id)

    assert (await store.get(session_id)).expires_at == before


async def test_chat_with_an_unknown_id_raises_and_makes_no_session(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)

        with pytest.raises(SessionNotFoundError):
            await manager.chat("unknown", "Hello!")

        assert await manager.list_sessions() == []
        assert await manager.get_history("unknown") == []


async def test_chat_after_deletion_raises_and_saves_no_orphan(url: str, store: SessionStore) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session()
        await manager.chat(session_id, "Hello!")
        await store.delete(session_id)

        with pytest.raises(SessionNotFoundError):
            await manager.chat(session_id, "Are you there?")

        assert session_id not in agent.sessions
        assert await manager.list_sessions() == []
        with pytest.raises(SessionNotFoundError):
            await store.get(session_id)


async def test_deleted_while_the_model_answers_is_not_raised_from_the_dead(
    url: str, store: SessionStore
) -> None:
    model = SlowModel()
    async with SessionAgent(store=url, model=model) as agent:
        session_id = await agent.create_session()
        answer = asyncio.create_task(agent.run_session(session_id, "Hello!"))
        await model.began.wait()
        await store.delete(session_id)
        model.go_on.set()

        with pytest.raises(SessionNotFoundError):
            await answer

        assert await agent.list_active_sessions() == []


async def test_what_is_no_conversation_is_no_session_to_chat_in(url: str, store: SessionStore) -> None:
    await store.kv("settings").set("color", "blue")
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)

        with pytest.raises(SessionNotFoundError):
            await manager.chat("kv/settings", "Hello!")

        assert not await manager.clear_history("kv/settings")
        assert not await manager.end_session("kv/settings")
        assert await agent.get_session_history("kv/settings") is None
        assert not await agent.resume_session("kv/settings")


async def test_creating_twice_is_refused_and_overwrites_nothing(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        await agent.create_session("ada", {"topic": "tea"}, session_id="s1")
        await agent.run_session("s1", "Hello!")

        with pytest.raises(SessionExistsError):
            await agent.create_session("bob", session_id="s1")

        assert (await agent.store.get("s1")).metadata == {"topic": "tea"}
        assert len(await agent.get_session_history("s1") or ()) == 2


async def test_create_or_resume_makes_a_session_under_the_id_it_is_given(url: str) -> None:
    async with SessionAgent(store=url) as one, SessionAgent(store=url) as two:
        ids = await asyncio.gather(
            *(
                SessionManager(agent).create_or_resume_session("telegram:42", user_id="ada")
                for agent in [one, two] * 3
            )
        )

        assert set(ids) == {"telegram:42"}
        assert len(await one.list_active_sessions("ada")) == 1


async def test_ending_keeps_a_session_and_says_false_where_there_is_none(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session()
        await manager.chat(session_id, "Hello!")

        assert await manager.end_session(session_id)
        assert not await manager.end_session("unknown")

        assert session_id not in agent.sessions
        assert await agent.store.state(session_id).get("agent.ended_at")
        assert await manager.chat(session_id, "What did I just say?") == 'You said: "Hello!"'


async def test_clearing_empties_the_history_and_keeps_the_session(url: str) -> None:
    async with SessionAgent(store=url) as agent:
        manager = SessionManager(agent)
        session_id = await manager.create_or_resume_session()
        await manager.chat(session_id, "Hello!")

        assert await manager.clear_history(session_id)
        assert not await manager.clear_history("unknown")

        assert await manager.get_history(session_id) == []
        assert list(agent.sessions[session_id].messages) == []
        assert await manager.chat(session_id, "Hello again!") == "You said: Hello again! (message 1)"


async def test_histories_show_redactions_and_never_none(url: str, store: SessionStore) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]
    async with SessionAgent(store=url) as agent:
        session_id = await agent.create_session()
        await store.append(
            session_id,
            {"role": "user", "content": "my card is 4111"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "noon", "tool_call_id": "c1"},
        )
        await store.redact(session_id, 1, reason="card number")

        history = await SessionManager(agent).get_history(session_id)

    assert history == [
        {"role": "redacted", "content": "[redacted: card number]"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "noon", "tool_call_id": "c1"},
    ]
