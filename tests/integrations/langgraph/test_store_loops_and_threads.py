"""The store is called as LangGraph calls it: from any loop, from threads, and blocking inside a loop."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph.store import MiniAgentStore
from miniagent_store.testing.servers import Server
from tests.integrations.conftest import Encrypted


class State(TypedDict):
    question: str


def test_a_fresh_loop_for_each_call(url: str) -> None:
    store = MiniAgentStore(url)
    for n in range(5):
        asyncio.run(store.aput(("n",), str(n), {"n": n}))
        assert len(asyncio.run(store.asearch(("n",)))) == n + 1
        assert store.get(("n",), str(n)) is not None
    store.handle.close()


def test_many_threads(url: str) -> None:
    store = MiniAgentStore(url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(("n", str(n % 3)), str(n), {"n": n}), range(64)))
        found = pool.map(lambda n: store.get(("n", str(n % 3)), str(n)), range(64))
        assert [item.value["n"] for item in found if item is not None] == list(range(64))
    assert len(store.search(("n",), limit=100)) == 64
    store.handle.close()


async def test_blocking_inside_a_loop_and_sync_nodes(url: str) -> None:
    async with open_store(url) as opened:
        store = MiniAgentStore(opened)
        # This stops the very loop that the store belongs to.
        store.put(("n",), "here", {"from": "loop"})
        assert await store.aget(("n",), "here") is not None

        def node(state: State, *, store: BaseStore) -> State:
            store.put(("n",), "node", {"question": state["question"]})
            return state

        graph = StateGraph(State)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        graph.add_edge("node", END)
        await graph.compile(store=store).ainvoke({"question": "why"})
        await asyncio.to_thread(graph.compile(store=store).invoke, {"question": "why"})
        assert (await store.aget(("n",), "node")).value == {"question": "why"}  # type: ignore[union-attr]


async def test_commits_end_when_their_caller_is_cancelled(url: str) -> None:
    store = MiniAgentStore(url)
    await store.aget(("n",), "warm")
    for n in range(20):
        task = asyncio.create_task(store.aput(("n",), str(n), {"n": n}))
        for _ in range(n):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        stored = await store.aget(("n",), str(n))
        # Not begun, or stored whole; and if it was told to be done, it is.
        assert stored is not None or task.cancelled()
    await store.handle.aclose()


async def test_pickled(url: str) -> None:
    store = MiniAgentStore(url, name="other", ttl={"default_ttl": 60})
    await store.aput(("n",), "k", {"v": 1})
    again = pickle.loads(pickle.dumps(store))
    assert (await again.aget(("n",), "k")).value == {"v": 1}
    assert again.ttl_config == {"default_ttl": 60}
    assert await MiniAgentStore(url).aget(("n",), "k") is None
    await store.handle.aclose()


def test_nothing_is_left_behind(redis_server: Server) -> None:
    url = f"{redis_server.url}/0?namespace=left&deadline=20s"

    def open_connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    keep = StoreHandle(url)
    MiniAgentStore(keep).put(("n",), "k", {})
    threads, connections = threading.active_count(), open_connections()
    for n in range(10):
        store = MiniAgentStore(url)
        store.put(("n",), str(n), {})
        asyncio.run(store.asearch(("n",)))
        store.handle.close()
    gc.collect()
    assert threading.active_count() <= threads
    assert open_connections() <= connections
    keep.close()


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0, float(len(text))] for text in texts]

    store = MiniAgentStore(encrypted.url, index={"dims": 2, "embed": embed})
    await store.aput(("people", "ada"), "fact", {"text": "canary", "canary": 1}, ttl=60)
    found = await store.asearch(("people",), query="canary")
    assert found[0].value == {"text": "canary", "canary": 1}
    encrypted.assert_absent(b"canary")
    await store.handle.aclose()
