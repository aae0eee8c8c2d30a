"""Results of nodes are computed once, over all instances."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any, TypedDict

from langgraph.cache.base import BaseCache
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy

from miniagent_store.integrations.langgraph.node_cache import MiniAgentNodeCache
from tests.integrations.conftest import Encrypted

FIRST, SECOND = (("n", "m"), "k"), (("n", "m2"), "k")


class State(TypedDict):
    question: str
    answer: str


def graph_with(cache: BaseCache[Any], asked: list[str], ttl: int | None = None) -> Any:
    def answer(state: State) -> dict[str, str]:
        asked.append(state["question"])
        return {"answer": state["question"].upper()}

    graph = StateGraph(State)
    graph.add_node("answer", answer, cache_policy=CachePolicy(ttl=ttl))
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(cache=cache)


def test_as_in_memory(url: str) -> None:
    ours: MiniAgentNodeCache[Any] = MiniAgentNodeCache(url)
    for cache in (ours, InMemoryCache[Any]()):
        value = {"a": 1, "b": [1, {2}], "c": b"\0"}
        cache.set({FIRST: (value, None), SECOND: ("second", 100)})
        assert cache.get([FIRST, SECOND, (("n",), "m"), (("n", "m"), "l")]) == {
            FIRST: value,
            SECOND: "second",
        }
        assert cache.get([]) == {}
        cache.clear([("n", "m")])
        assert cache.get([FIRST, SECOND]) == {SECOND: "second"}
        # Exactly these, and none below.
        cache.clear([("n",)])
        assert cache.get([SECOND]) == {SECOND: "second"}
        cache.clear()
        assert cache.get([FIRST, SECOND]) == {}
    ours.handle.close()


async def test_a_node_runs_once_for_all_instances(url: str) -> None:
    asked: list[str] = []
    for _ in range(3):
        cache: MiniAgentNodeCache[Any] = MiniAgentNodeCache(url)
        graph = graph_with(pickle.loads(pickle.dumps(cache)), asked)
        assert (await graph.ainvoke({"question": "why", "answer": ""}))["answer"] == "WHY"
        assert (await asyncio.to_thread(graph.invoke, {"question": "why", "answer": ""}))["answer"] == "WHY"
    assert asked == ["why"]
    await cache.aclear()
    await graph.ainvoke({"question": "why", "answer": ""})
    assert asked == ["why", "why"]
    await cache.handle.aclose()


async def test_a_result_expires(url: str) -> None:
    cache: MiniAgentNodeCache[Any] = MiniAgentNodeCache(url)
    await cache.aset({FIRST: ("short", 1), SECOND: ("long", 100)})
    assert set(await cache.aget([FIRST, SECOND])) == {FIRST, SECOND}
    await asyncio.sleep(1.1)
    assert set(await cache.aget([FIRST, SECOND])) == {SECOND}
    await cache.handle.aclose()


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    cache: MiniAgentNodeCache[Any] = MiniAgentNodeCache(encrypted.url)
    await cache.aset({(("canary",), "canary"): ({"word": "canary"}, None)})
    assert await cache.aget([(("canary",), "canary")]) == {(("canary",), "canary"): {"word": "canary"}}
    encrypted.assert_absent(b"canary")
    await cache.handle.aclose()
