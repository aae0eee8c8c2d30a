"""The chat message history, by itself and as LangChain calls it."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from miniagent_store import open_store
from miniagent_store.errors import SerializationError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langchain import MiniAgentChatMessageHistory, MiniAgentLLMCache
from miniagent_store.testing.servers import Server
from tests.integrations.conftest import Encrypted
from tests.integrations.langchain.conversation import chain_on

CALL: Any = {"name": "weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be kind."),
    HumanMessage([{"type": "text", "text": "Hello"}], id="same", name="ada"),
    AIMessage("", tool_calls=[CALL], id="same", response_metadata={"model": "m"}),
    ToolMessage("sunny", tool_call_id="1", artifact={"degrees": 21}),
    ChatMessage("aside", role="narrator"),
    HumanMessage("again", field_of_a_later_release=[1, {"a": None}]),
    HumanMessage("again", id="same"),
]


async def test_messages_come_back_as_they_were(url: str) -> None:
    history = MiniAgentChatMessageHistory("a/conversation {1}", url)
    assert await history.aget_messages() == []
    await history.aadd_messages([])
    await history.aadd_messages(MESSAGES)
    assert await history.aget_messages() == MESSAGES
    assert MiniAgentChatMessageHistory("a/conversation {1}", history.handle).messages == MESSAGES
    history.add_user_message("one more")
    assert history.messages == [*MESSAGES, HumanMessage("one more")]
    await history.aclear()
    assert history.messages == []
    history.clear()
    MiniAgentChatMessageHistory("none", history.handle).clear()
    await history.handle.aclose()


async def test_the_first_read_stays_until_something_is_added(url: str) -> None:
    handle = StoreHandle(url)
    mine, other = (MiniAgentChatMessageHistory("s", handle) for _ in range(2))
    mine.add_user_message("1")
    assert len(mine.messages) == 1
    other.add_user_message("2")
    assert len(mine.messages) == len(await mine.aget_messages()) == 1
    mine.messages.append(HumanMessage("of the caller's own"))
    mine.add_user_message("3")
    assert [each.content for each in mine.messages] == ["1", "2", "3"]
    other.clear()
    other.add_user_message("4")
    mine.add_user_message("5")
    assert [each.content for each in mine.messages] == ["4", "5"]
    await handle.aclose()


async def test_what_was_redacted_or_deleted_is_not_shown(url: str) -> None:
    async with open_store(url) as store:
        history = MiniAgentChatMessageHistory("s", store)
        await history.aadd_messages(MESSAGES)
        assert await history.aget_messages() == MESSAGES
        await store.redact("s", 2, reason="asked for")
        await history.aadd_messages(MESSAGES[:1])
        assert await history.aget_messages() == [MESSAGES[0], *MESSAGES[2:], MESSAGES[0]]
        await store.delete("s")
        await history.aadd_messages(MESSAGES[:1])
        assert await history.aget_messages() == MESSAGES[:1]


async def test_four_calls_at_once_lose_nothing(url: str) -> None:
    handle = StoreHandle(url)
    chain = chain_on(handle)
    config = {"configurable": {"session_id": "s"}}
    await asyncio.gather(*(chain.ainvoke([HumanMessage(f"t{n}")], config) for n in range(4)))
    said = [each.content for each in await MiniAgentChatMessageHistory("s", handle).aget_messages()]
    assert sorted(said[::4]) == ["t0", "t1", "t2", "t3"]
    assert said == [
        each for turn in said[::4] for each in (turn, "", f"found {turn}", f"it is found {turn}")
    ]
    await handle.aclose()


async def test_chunks_of_one_message_are_one(url: str) -> None:
    history = MiniAgentChatMessageHistory("s", url)
    chunks = [AIMessageChunk(content=text, id="run-1") for text in ("it ", "is ", "sunny")]
    other = [AIMessageChunk(content="and", id="run-2"), AIMessageChunk(content=" warm")]
    await history.aadd_messages([HumanMessage("?"), *chunks, *other])
    assert await history.aget_messages() == [
        HumanMessage("?"),
        AIMessage("it is sunny", id="run-1"),
        AIMessage("and warm", id="run-2"),
    ]
    await history.handle.aclose()


async def test_an_answer_from_a_cache_is_read_again(url: str) -> None:
    handle = StoreHandle(url)
    model = FakeListChatModel(responses=["sunny"], cache=MiniAgentLLMCache(handle))
    history = MiniAgentChatMessageHistory("s", handle)
    await history.aadd_messages([await model.ainvoke("?"), await model.ainvoke("?")])
    assert [each.content for each in await history.aget_messages()] == ["sunny", "sunny"]
    await handle.aclose()


async def test_errors_quote_no_payload() -> None:
    history = MiniAgentChatMessageHistory("s", "memory://")
    with pytest.raises(SerializationError) as caught:
        await history.aadd_messages([HumanMessage("canary", additional_kwargs={"o": object()})])
    assert "canary" not in str(caught.value)
    await history.handle.aclose()


def test_fresh_loops_and_threads(url: str) -> None:
    handle = StoreHandle(url)
    chain = chain_on(handle)
    config = {"configurable": {"session_id": "s"}}
    asyncio.run(chain.ainvoke([HumanMessage("t0")], config))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: chain.invoke([HumanMessage(f"t{n}")], config), range(1, 9)))

    async def blocking_inside_a_loop() -> None:
        await asyncio.to_thread(chain.invoke, [HumanMessage("t9")], config)
        chain.invoke([HumanMessage("t10")], config)

    asyncio.run(blocking_inside_a_loop())
    history = pickle.loads(pickle.dumps(MiniAgentChatMessageHistory("s", handle)))
    assert len(history.messages) == 4 * 11
    handle.close()


def test_nothing_is_left_behind(redis_server: Server) -> None:
    url = f"{redis_server.url}/0?namespace=left&deadline=20s"

    def open_connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    keep = StoreHandle(url)
    first = MiniAgentChatMessageHistory("s", keep)
    first.add_user_message("0")
    asyncio.run(first.aget_messages())
    threads, connections = threading.active_count(), open_connections()
    for n in range(10):
        history = MiniAgentChatMessageHistory("s", url)
        history.add_user_message(str(n))
        asyncio.run(history.aget_messages())
        del history
    gc.collect()
    # What nobody holds any more is closed in the background.
    until = time.monotonic() + 20
    while open_connections() > connections and time.monotonic() < until:
        time.sleep(0.05)
    assert open_connections() <= connections
    assert threading.active_count() <= threads
    keep.close()


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    history = MiniAgentChatMessageHistory("conversation", encrypted.url)
    tool = ToolMessage("canary", tool_call_id="canary", artifact={"canary": "canary"})
    await history.aadd_messages([HumanMessage("canary", id="canary"), tool])
    assert (await history.aget_messages())[0].content == "canary"
    encrypted.assert_absent(b"canary")
    await history.handle.aclose()
