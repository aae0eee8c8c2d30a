"""Called from fresh event loops and threads, inside a running loop, and after pickling."""

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.storage.chat_store.loading import load_chat_store

from miniagent_store import StoreClosedError, open_store
from miniagent_store.integrations.llama_index import (
    MiniAgentChatStore,
    MiniAgentKVStore,
    MiniAgentLegacyChatStore,
)
from miniagent_store.testing.servers import Server


def said(messages: list[ChatMessage]) -> list[str | None]:
    return [message.content for message in messages]


def test_a_fresh_loop_for_each_call(url: str) -> None:
    store = MiniAgentChatStore(url)
    asyncio.run(store.add_message("s", ChatMessage(content="0")))
    threads = threading.active_count()
    for number in range(1, 10):
        asyncio.run(store.add_message("s", ChatMessage(content=str(number))))
    assert said(asyncio.run(store.get_messages("s"))) == list(map(str, range(10)))
    assert threading.active_count() <= threads


def test_no_connection_is_left(redis_server: Server) -> None:
    store = MiniAgentChatStore(f"{redis_server.url}/0?namespace=connections")
    before = connections(redis_server)
    asyncio.run(store.add_message("s", ChatMessage(content="0")))
    opened = connections(redis_server)
    for _ in range(20):
        asyncio.run(store.add_message("s", ChatMessage(content="1")))
    assert connections(redis_server) == opened
    asyncio.run(store.aclose())
    assert connections(redis_server) == before


def connections(server: Server) -> int:
    return len(server.command("CLIENT", "LIST", "TYPE", "normal").splitlines())


def test_threads_with_loops_of_their_own(url: str) -> None:
    store = MiniAgentChatStore(url)

    def work(name: int) -> None:
        for number in range(5):
            asyncio.run(store.add_message("s", ChatMessage(content=f"{name}/{number}")))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = said(asyncio.run(store.get_messages("s")))
    assert sorted(map(str, found)) == sorted(f"{name}/{number}" for name in range(8) for number in range(5))


async def test_blocking_calls_inside_a_running_loop(url: str) -> None:
    async with open_store(url) as opened:
        memory = Memory.from_defaults("s", chat_store=MiniAgentChatStore(opened))
        # It puts this into a new loop in a new thread, while this one stands.
        memory.put(ChatMessage(content="a"))
        await memory.aput(ChatMessage(content="b"))
        legacy = MiniAgentLegacyChatStore(opened)
        legacy.add_message("s", ChatMessage(content="c"))
        assert said(legacy.get_messages("s")) == ["a", "b", "c"]
        assert said(await legacy.aget_messages("s")) == ["a", "b", "c"]
        assert said(memory.get()) == said(await memory.aget()) == ["a", "b", "c"]
        kv = MiniAgentKVStore(opened)
        kv.put("k", {"a": 1})
        assert await kv.aget("k") == {"a": 1}


async def test_pickled_and_copied(url: str) -> None:
    memory = Memory.from_defaults("s", chat_store=MiniAgentChatStore(url))
    await memory.aput(ChatMessage(content="a"))
    for again in (pickle.loads(pickle.dumps(memory)), copy.deepcopy(memory), copy.copy(memory)):
        assert isinstance(again.sql_store, MiniAgentChatStore)
        assert said(await again.aget()) == ["a"]
    legacy = pickle.loads(pickle.dumps(MiniAgentLegacyChatStore(url)))
    assert said(legacy.get_messages("s")) == ["a"]
    kv = MiniAgentKVStore(url)
    kv.put("k", {"a": 1})
    assert pickle.loads(pickle.dumps(kv)).get("k") == {"a": 1}


def test_written_as_json(url: str) -> None:
    legacy = MiniAgentLegacyChatStore(url)
    legacy.add_message("s", ChatMessage(content="a"))
    again = load_chat_store(legacy.to_dict())
    assert said(again.get_messages("s")) == ["a"]
    assert "secret" not in repr(MiniAgentLegacyChatStore("redis://:secret@localhost:1/0"))
    with pytest.raises(ValueError, match="was given a URL"):
        ChatMemoryBuffer.from_defaults(chat_store=MiniAgentLegacyChatStore(open_store(url))).to_string()


async def test_closed(url: str) -> None:
    store = MiniAgentChatStore(url)
    await store.add_message("s", ChatMessage(content="a"))
    await store.aclose()
    with pytest.raises(StoreClosedError):
        await store.get_messages("s")


async def test_what_was_given_may_be_changed(url: str) -> None:
    """The framework changes messages that it was given; what is kept stays as it was."""
    store = MiniAgentChatStore(url)
    message = ChatMessage(content="a", additional_kwargs={"deep": {"er": [1]}})
    await store.add_message("s", message)
    (found,) = await store.get_messages("s")
    found.blocks[0].text = "changed"
    found.additional_kwargs["deep"]["er"].append(2)
    assert await store.get_messages("s") == [message]
    await store.aclose()
