"""What the SDK asks of a session, and what its RedisSession promises beyond that."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest
from agents import RunConfig, RunContextWrapper, Runner, SessionSettings
from agents.memory import Session

from miniagent_store import EncodeError, StoreClosedError, open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.openai_agents import MiniAgentSession
from tests.integrations.openai_agents.conversation import AGENT, CONFIG, PLACEHOLDER

ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello", "id": PLACEHOLDER},
    {"role": "assistant", "content": "Hi", "id": PLACEHOLDER},
    {"role": "user", "content": "Hello", "id": PLACEHOLDER},
]
AWKWARD = [
    "émoji 🎉 and 中文, \u200b, \u2028",
    "quotes \" and ' and \\ and \n\r\t",
    "NULL; DROP TABLE agent_messages; --",
    '{"role": "user"}',
    "%s {braces} $t __enc__",
    "\x00\x07\x1b",
    "",
    " " * 1000,
]


@pytest.fixture
async def session(url: str) -> Any:
    session = MiniAgentSession("user/1 {2}", url)
    yield session
    await session.close()


async def test_is_a_session_and_starts_empty(session: MiniAgentSession) -> None:
    assert isinstance(session, Session)
    assert session.session_id == "user/1 {2}"
    assert await session.get_items() == []
    assert await session.get_items(5) == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])
    assert await session.get_items() == []


async def test_items_come_back_exactly_and_equal_ids_are_no_identity(session: MiniAgentSession) -> None:
    strange = [
        {"type": "function_call", "arguments": '{"a": 1}', "call_id": "c", "name": "f", "id": None},
        {"$t": "map", "v": [1, 2.5, -0.0, 1e300, True, None, {"deep": [[[{}]]]}], "time": "2030", "id": 7},
        *({"role": "user", "content": text, text: text} for text in AWKWARD),
    ]
    await session.add_items(ITEMS)
    await session.add_items(ITEMS)
    await session.add_items(strange)
    wanted = [*ITEMS, *ITEMS, *strange]
    for found in (await session.get_items(), await session.get_items(100)):
        # Also the order of keys, and ints that stay ints.
        assert [json.dumps(item) for item in found] == [json.dumps(item) for item in wanted]


async def test_callers_share_no_items(session: MiniAgentSession) -> None:
    await session.add_items([{"role": "user", "content": [{"text": "a"}]}])
    (await session.get_items())[0]["content"][0]["text"] = "changed"
    assert await session.get_items() == [{"role": "user", "content": [{"text": "a"}]}]


@pytest.mark.parametrize("item", ["text", 1, {"role": {1, 2}}, {"role": object()}, {"a": float}])
async def test_what_is_no_json_is_refused_and_not_quoted(session: MiniAgentSession, item: Any) -> None:
    with pytest.raises(EncodeError) as caught:
        await session.add_items([{"role": "user", "content": "fine"}, item])
    assert "object at" not in str(caught.value)
    assert caught.value.__context__ is None
    assert await session.get_items() == []


async def test_limits(session: MiniAgentSession) -> None:
    await session.add_items([{"n": n} for n in range(10)])
    assert await session.get_items(3) == [{"n": 7}, {"n": 8}, {"n": 9}]
    assert await session.get_items(0) == []
    assert len(await session.get_items(99)) == 10
    session.session_settings = SessionSettings(limit=2)
    assert await session.get_items() == [{"n": 8}, {"n": 9}]
    assert len(await session.get_items(4)) == 4
    session.session_settings = None
    assert len(await session.get_items()) == 10


async def test_settings_of_the_constructor(url: str) -> None:
    assert MiniAgentSession("s", url).session_settings == SessionSettings()
    three = SessionSettings(limit=3)
    assert MiniAgentSession("s", url, session_settings={"limit": 3}).session_settings == three
    with pytest.raises(TypeError, match="limitt"):
        MiniAgentSession("s", url, session_settings={"limitt": 3})


async def test_runner_overrides_the_limit(session: MiniAgentSession) -> None:
    await session.add_items([{"role": "user", "content": f"old {n}"} for n in range(20)])
    seen: list[int] = []

    def look(history: list[Any], new: list[Any]) -> list[Any]:
        seen.append(len(history))
        return history + new

    config = RunConfig(
        tracing_disabled=True, session_settings=SessionSettings(limit=4), session_input_callback=look
    )
    await Runner.run(AGENT, "turn x", session=session, run_config=config)
    assert seen == [4]
    assert len(await session.get_items()) == 24


async def test_pop_and_clear(session: MiniAgentSession) -> None:
    await session.add_items(ITEMS)
    assert await session.pop_item() == ITEMS[2]
    assert await session.get_items() == ITEMS[:2]
    await session.add_items([{"n": 1}])
    assert await session.get_items() == [*ITEMS[:2], {"n": 1}]
    await session.clear_session()
    assert await session.get_items() == []
    await session.add_items([{"n": 2}])
    assert await session.get_items() == [{"n": 2}]


async def test_each_item_is_popped_by_one_caller(url: str) -> None:
    sessions = [MiniAgentSession("s", url) for _ in range(4)]
    await sessions[0].add_items([{"n": n} for n in range(20)])
    popped = await asyncio.gather(*(each.pop_item() for each in sessions * 6))
    assert sorted(item["n"] for item in popped if item) == list(range(20))
    assert popped.count(None) == 4


async def test_concurrent_commits_are_whole(url: str) -> None:
    sessions = [MiniAgentSession("s", url) for _ in range(4)]
    await asyncio.gather(
        *(each.add_items([{"by": f"{n}-{k}", "i": i} for i in range(3)])
          for k, each in enumerate(sessions) for n in range(5))
    )  # fmt: skip
    items = await sessions[0].get_items()
    assert len(items) == 60
    for start in range(0, 60, 3):
        assert len({item["by"] for item in items[start : start + 3]}) == 1
        assert [item["i"] for item in items[start : start + 3]] == [0, 1, 2]


async def test_what_is_known_follows_what_others_do(url: str) -> None:
    ours, other = MiniAgentSession("s", url), MiniAgentSession("s", url)
    for change in (
        other.add_items([{"n": 1}, {"n": 2}, {"n": 3}]),
        other.pop_item(),
        other.add_items([{"n": 4}]),
        other.clear_session(),
        other.add_items([{"n": 5}]),
        other._atomic_replace_items([{"n": 6}, {"n": 7}]),
    ):
        await change
        assert await ours.get_items() == await MiniAgentSession("s", url).get_items()
    async with open_store(url) as store:
        await store.delete("s")
        assert await ours.get_items() == []
        await other.add_items([{"n": 8}, {"n": 9}])
        assert await ours.get_items() == [{"n": 8}, {"n": 9}]
        await store.redact("s", 1, reason="asked for")
        await store.redact("s", 2, reason="asked for")
        assert await ours.get_items() == []
        await other.add_items([{"n": 10}])
        await store.redact("s", 3, reason="asked for")
        await other.add_items([{"n": 11}])
        await store.append("s", {"n": 12})
        assert await ours.get_items() == [{"n": 11}, {"n": 12}] == await ours.get_items(2)
        await store.redact("s", 5, reason="asked for")
        assert await ours.get_items(1) == [{"n": 11}]
        assert await ours.pop_item() == {"n": 11}


async def test_a_tool_turn_is_one_reading_and_three_commits(url: str) -> None:
    async with open_store(url) as store:
        session = MiniAgentSession("s", store)
        await Runner.run(AGENT, "turn 1", session=session, run_config=CONFIG)
        assert (await store.get("s")).version == 3
        assert await store.count("s") == 4
        await Runner.run(AGENT, "turn 2", session=session, run_config=CONFIG)
        assert (await store.get("s")).version == 6


async def test_whose_conversation_it_is(url: str) -> None:
    asked: list[Any] = []

    def user(context: RunContextWrapper[Any] | None) -> str | None:
        asked.append(context)
        return context.context["user"] if context else None

    async with open_store(url) as store:
        await MiniAgentSession("fixed", store, user_id="ada").add_items([{"n": 1}])
        session = MiniAgentSession("of a run", store, user_id=user)
        for turn in ("1", "2"):
            await Runner.run(
                AGENT, f"turn {turn}", session=session, run_config=CONFIG, context={"user": "grace"}
            )
        assert [record.id for record in await store.list(user_id="ada")] == ["fixed"]
        assert [record.id for record in await store.list(user_id="grace")] == ["of a run"]
        assert len(asked) == 1


async def test_ttl_is_the_store_s(url: str) -> None:
    session = MiniAgentSession("s", f"{url}&ttl=1h")
    await session.add_items([{"n": 1}])
    async with open_store(url) as store:
        assert (await store.get("s")).ttl == 3600
    await session.close()


async def test_sessions_and_namespaces_are_apart(url: str) -> None:
    one, two = MiniAgentSession("1", url), MiniAgentSession("2", url)
    await one.add_items([{"n": 1}])
    await two.add_items([{"n": 2}])
    await one.clear_session()
    assert await one.get_items() == []
    assert await two.get_items() == [{"n": 2}]


async def test_what_has_begun_ends_though_it_is_cancelled(url: str) -> None:
    async with open_store(url) as store:
        session = MiniAgentSession("s", store)
        task = asyncio.create_task(session.add_items([{"n": 1}]))
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await session.get_items() == [{"n": 1}]


async def test_closing(url: str) -> None:
    alone = MiniAgentSession("s", url)
    await alone.add_items([{"n": 1}])
    await alone.close()
    await alone.close()
    with pytest.raises(StoreClosedError):
        await alone.get_items()
    handle = StoreHandle(url)
    shared = MiniAgentSession("s", handle)
    await shared.add_items([{"n": 1}])
    await shared.close()
    assert await shared.get_items()
    await handle.aclose()
    with pytest.raises(StoreClosedError):
        await shared.get_items()


async def test_pickled(url: str) -> None:
    session = MiniAgentSession("s", url, exclusive=True, session_settings={"limit": 2})
    async with session:
        await session.add_items([{"n": n} for n in range(3)])
    again = pickle.loads(pickle.dumps(session))
    assert await again.get_items() == [{"n": 1}, {"n": 2}]
    async with again:
        await again.add_items([{"n": 3}])
    assert await session.get_items() == [{"n": 2}, {"n": 3}]


def test_what_is_shown_has_no_secret() -> None:
    shown = repr(MiniAgentSession("s", "redis://ada:secret@db:6379/0?ttl=1h"))
    assert "secret" not in shown
    assert "db:6379" in shown
