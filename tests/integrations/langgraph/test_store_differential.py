"""Any program gives on ours what it gives on LangGraph's own store in memory."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from miniagent_store.integrations.langgraph import vectors
from miniagent_store.integrations.langgraph.store import MiniAgentStore

NAMESPACES = [("a",), ("a", "b"), ("a", "b", "c"), ("ab",), ("b", "a"), ("b", "c", "a"), ("a", "c")]
FILTERS: list[Any] = [
    None,
    {"n": 3},
    {"n": {"$gt": 2}},
    {"n": {"$gte": 2, "$lt": 5}},
    {"n": {"$lte": 4}},
    {"t": {"$ne": "x"}},
    {"t": {"$eq": "y"}},
    {"inner": {"k": 1}},
    {"list": [1, 2]},
]
PATHS: list[Any] = [None, ("a",), ("*", "b"), ("a", "*"), ("c",), ("b", "*", "a")]


def step(store: BaseStore, seed: int) -> Any:
    """One random call, and what it gave. The order of a search without a query is each store's own."""
    chance = random.Random(seed)
    namespace, key = chance.choice(NAMESPACES), chance.choice("klm")
    kind = chance.choice(["put", "put", "put", "delete", "get", "search", "search", "list"])
    if kind == "put":
        number = chance.randrange(7)
        value = {"n": number, "t": chance.choice("xyz"), "inner": {"k": number % 2}, "list": [1, number]}
        return store.put(namespace, key, value)
    if kind == "delete":
        return store.delete(namespace, key)
    if kind == "get":
        item = store.get(namespace, key)
        return None if item is None else (item.namespace, item.key, item.value)
    if kind == "search":
        found = store.search(chance.choice([(), *NAMESPACES]), filter=chance.choice(FILTERS), limit=100)
        return sorted((item.namespace, item.key, str(item.value)) for item in found)
    listed = store.list_namespaces(
        prefix=chance.choice(PATHS), suffix=chance.choice(PATHS), max_depth=chance.choice([None, 1, 2])
    )
    # Theirs lists also what is empty.
    return sorted(each for each in listed if store.search(each, limit=1))


@pytest.mark.parametrize("steps", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_program(url: str, steps: int) -> None:
    ours, theirs = MiniAgentStore(url), InMemoryStore()
    for number in range(steps):
        assert step(ours, number) == step(theirs, number), f"seed {number}"
    ours.handle.close()


def test_searches_without_numpy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "numpy", None)
    test_searches_with_a_query(url)


def test_likeness_of_many_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)

    def vector() -> list[float]:
        return [chance.gauss(0, 1) for _ in range(16)]

    stored = [[vectors.packed(vector()) for _ in range(number % 4)] for number in range(1000)]
    stored[1] = [bytes(64)]
    query = vector()
    quick = vectors.likenesses(query, stored)
    monkeypatch.setattr(vectors, "numpy", None)
    assert quick[:2] == [None, 0.0]
    assert quick == [
        None if each is None else pytest.approx(each) for each in vectors.likenesses(query, stored)
    ]


def test_a_query_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 dimensions"):
        vectors.likenesses([1.0, 0.0], [[vectors.packed([1.0, 0.0, 0.0])]])


def test_searches_with_a_query(url: str) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [[text.count("a"), text.count("b"), 1.0] for text in texts]

    index: Any = {"dims": 3, "embed": embed, "fields": ["text", "more[*]"]}
    ours, theirs = MiniAgentStore(url, index=index), InMemoryStore(index=index)
    for store in (ours, theirs):
        store.put(("n",), "1", {"text": "aaab"})
        store.put(("n",), "2", {"text": "abbb", "more": ["aaaa", "b"]})
        store.put(("n",), "3", {"text": "bb"})
        store.put(("n",), "4", {"text": "aa"}, index=False)
        store.put(("n",), "5", {"text": "zzz", "note": "aaaaaaaa"}, index=["note"])
    for query in ("a", "b", "zz", "aabb"):
        # Those that are equally alike stand in each store's own order.
        found = [
            sorted(
                (item.score is None, -round(item.score or 0, 5), item.key)
                for item in store.search(("n",), query=query)
            )
            for store in (ours, theirs)
        ]
        assert found[0] == found[1]
        page = ours.search(("n",), query=query, limit=2, offset=1)
        assert [item.key for item in page] == [item.key for item in ours.search(("n",), query=query)][1:3]
    ours.handle.close()
