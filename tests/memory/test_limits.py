"""What is no memory is refused before anything is stored; hostile ids, filters and queries find nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from miniagent_store import InvalidArgumentError, SessionStore, open_store
from miniagent_store.integrations.scopes import Scopes
from miniagent_store.store.memory import limits
from miniagent_store.store.memory.filters import checked, holds
from miniagent_store.testing.servers import Server
from miniagent_store.values import MemorySource
from tests.memory.plain_reference import filters, ids_of, metadata, passes


@pytest.fixture(params=["sqlite", "vectors"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, vectors_server: Server
) -> AsyncIterator[SessionStore]:
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else f"{vectors_server.url}/0"
    async with open_store(f"{url}?deadline=20s", namespace=tmp_path.name[:64]) as store:
        yield store


NESTED: Any = "x"
for _ in range(40):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"said": ""}, "no text"),
        ({"said": " \n "}, "no text"),
        ({"said": {"role": "user", "content": [{"type": "image"}]}}, "no text"),
        ({"said": None}, "no text"),
        ({"said": "x" * (limits.MAX_TEXT_BYTES + 1)}, "split it"),
        ({"said": "ü" * limits.MAX_TEXT_BYTES}, "split it"),
        ({"said": "half \ud800 a pair"}, "surrogate"),
        ({"metadata": {"n": math.nan}}, "NaN"),
        ({"metadata": {"n": math.inf}}, "infinite"),
        ({"metadata": {"n": 2**64}}, "64 bits"),
        ({"metadata": {"n": "\udfff"}}, "surrogate"),
        ({"metadata": {"\udfff": 1}}, "unprintable"),
        ({"metadata": {"a\0b": 1}}, "control"),
        ({"metadata": {"": 1}}, "empty"),
        ({"metadata": {"n" * 2000: 1}}, "1024 bytes"),
        ({"metadata": {1: 1}}, "a str"),
        ({"metadata": {"n": b"bytes"}}, "not bytes"),
        ({"metadata": {"n": {1: 2}}}, "keys are texts"),
        ({"metadata": {"n": NESTED}}, "too deep"),
        ({"metadata": {"n": "x" * limits.MAX_METADATA_BYTES}}, "65536 bytes"),
        ({"metadata": dict.fromkeys(map(str, range(300)))}, "256 fields"),
        ({"metadata": ["n"]}, "a mapping"),
        ({"id": ""}, "empty"),
        ({"id": "i" * 513}, "512 bytes"),
        ({"id": "a\nb"}, "control"),
        ({"id": 7}, "a str"),
        ({"source": {"session_id": "s"}}, "MemorySource"),
        ({"source": MemorySource("a{b}")}, "brace"),
        ({"source": MemorySource("s", 0)}, "sequence"),
        ({"source": MemorySource("s", True)}, "sequence"),
        ({"source": MemorySource("s", 1, "\ud800")}, "unprintable"),
        ({"time": datetime(2024, 1, 1)}, "aware"),
        ({"time": 7}, "aware"),
        ({"ttl": -1}, "ttl"),
    ],
)
async def test_what_is_no_memory_is_refused(given: dict[str, Any], says: str) -> None:
    async with open_store("memory://") as store:
        memory = store.memory("ada")
        with pytest.raises(InvalidArgumentError, match=says):
            # Of several, none: all are looked at before the first is stored.
            await memory.add_many(["fine", {"said": "a text", **given}])
        assert len(await memory.list()) == 0
        assert (await store.stats()).sessions.get("memory") is None


async def test_what_is_as_large_as_may_be_is_found(store: SessionStore) -> None:
    memory = store.memory("a" * 400)
    large = "word " * (limits.MAX_TEXT_BYTES // 5)
    plain = {"text": "x" * 60_000, "list": [1, {"a": None}], "int": -(2**63), "*": 1e300, "ü": True}
    for id in ("i" * 512, "ü" * 256, "*", "a/b", "m/", "../x", "'; DROP TABLE", "$where", "{}", "%"):
        await memory.add(large if id == "*" else "a text", id=id, metadata=plain)
        found = await memory.get(id)
        assert found is not None
        assert dict(found.metadata) == plain
        assert ids_of(await memory.search("text", k=1, filter={"int": -(2**63), "ü": True})) != []
        assert await memory.delete(id) == 1
        assert await memory.get(id) is None
    assert await memory.search("word") == []


@pytest.mark.parametrize("text", ["a", "ü", "日", "🙂"])
def test_what_is_cut_fits(text: str) -> None:
    assert limits.cut(text * 100) == text * 100
    cut = limits.cut(text * 300_000)
    assert limits.text_of(cut) == cut
    assert len(cut.encode()) > limits.MAX_TEXT_BYTES - 4


async def test_adapters_cut_what_they_are_given() -> None:
    async with open_store("memory://") as store:
        scopes = Scopes(store)
        await scopes.add("ada", [{"said": "dog " * 100_000, "id": "1"}, {"said": "cat", "id": "2"}])
        assert ids_of(await scopes.search("ada", "dog " * 100_000, mode="words")) == ["1"]


HOSTILE: list[Any] = [
    {"$where": "1"},
    {"$.topic": "food"},
    {"$or": [{"a": 1}]},
    {"topic": {"$regex": ".*"}},
    {"topic": {"$where": "true"}},
    {"topic": {"$gt": None}},
    {"topic": {"$gt": True}},
    {"topic": {"$gt": math.nan}},
    {"topic": {"$in": "food"}},
    {"topic": {"$in": [["food"]]}},
    {"topic": {"$in": list(range(1001))}},
    {"topic": {"$eq": {"$ne": 1}}},
    {"topic": NESTED},
    {"topic": "x" * 10_000},
    {"x" * 10_000: 1},
    {"topic": "\ud800"},
    {"\ud800": 1},
    {"": 1},
    {1: 1},
    {"topic": {1: 1}},
    {str(number): 1 for number in range(100)},
    "topic = 'food'",
    [("topic", "food")],
]
HARMLESS: list[Any] = [
    {"*": "*"},
    {"topic[*]": "food"},
    {'topic" or "" == "': "food"},
    {"topic": '" or 1 or "'},
    {"topic": "' OR '1'='1"},
    {"topic": "food%"},
    {"topic": "foo_"},
    {".topic": "food"},
    {"topic.x": "food"},
    {"__class__": "food"},
    {"topic": {"$in": ["*", "' or 1 --", 10**40, -(10**400), 1e308]}},
    {"year": {"$gt": 10**400}},
    {"year": {"$lt": -(10**400)}},
    {"year": {"$eq": 10**40}},
    {"year": {"$eq": math.nan}},
    {"year": {"$in": []}},
    {"year": math.inf},
    {"year": True},
    {"year": "2024"},
]


@pytest.mark.parametrize("index", ["exact", "exact:int8", "usearch", "vector-set"])
async def test_hostile_filters_find_nothing_and_break_nothing(store: SessionStore, index: str) -> None:
    if index == "vector-set" and store.url.startswith("sqlite"):
        pytest.skip("there are none")
    memory = store.memory("ada", index=index)
    await memory.add("I love sushi", id="1", metadata={"topic": "food", "year": 2024})
    for wanted in HOSTILE:
        for mode in ("vector", "words"):
            with pytest.raises(InvalidArgumentError):
                await memory.search("sushi", filter=wanted, mode=mode)
    for wanted in HARMLESS:
        for mode in ("vector", "words", "hybrid"):
            assert await memory.search("sushi", filter=wanted, mode=mode) == [], wanted
    for wanted in ({"year": {"$lt": 10**400}}, {"year": {"$gt": -(10**400)}}, {"year": {"$ne": math.nan}}):
        assert ids_of(await memory.search("sushi", filter=wanted, mode="vector")) == ["1"], wanted


async def test_hostile_queries_are_refused_or_find_what_is_there(store: SessionStore) -> None:
    memory = store.memory("ada")
    await memory.add("I love sushi", id="1")
    for query in (
        '"sushi',
        "sushi*",
        "sushi OR",
        "NEAR(sushi",
        "sushi'; DROP",
        "text:sushi",
        "^sushi",
        "-sushi",
    ):
        for mode in ("words", "hybrid"):
            assert ids_of(await memory.search(query, mode=mode)) == ["1"], query
    for query in ("", " ", "\0", "?", "*", "AND", "(", '"', "x" * 10_000):
        assert await memory.search(query, mode="words") == []
        await memory.search(query)
    bad: list[dict[str, Any]] = [
        {"query": "\ud800"},
        {"query": "x" * 300_000},
        {"query": [math.nan] * 512},
        {"query": [1.0]},
        {"query": []},
        {"query": None},
        {"query": 7},
        {"query": ["a"] * 512},
        {"k": 0},
        {"k": -1},
        {"k": 10**9},
        {"k": 1.5},
        {"k": "1"},
        {"min_score": math.nan},
        {"min_score": "high"},
        {"after": datetime(2024, 1, 1)},
        {"before": "2024"},
        {"mode": "magic"},
        {"mode": ["vector"]},
    ]
    for each in bad:
        with pytest.raises(InvalidArgumentError):
            await memory.search(**{"query": "sushi", **each})
    for page in ({"limit": 0}, {"limit": "1"}, {"cursor": ""}, {"cursor": "\ud800"}, {"cursor": 7}):
        with pytest.raises(InvalidArgumentError):
            await memory.list(**page)
    at_the_ends = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert ids_of(await memory.search("sushi", after=at_the_ends[0], before=at_the_ends[1])) == ["1"]


@pytest.mark.parametrize("scope", ["", "a{b}", "a\nb", "\ud800", "x" * 600, None, 7])
async def test_a_scope_is_an_id(scope: Any) -> None:
    async with open_store("memory://") as store:
        with pytest.raises(InvalidArgumentError):
            store.memory(scope)
        await asyncio.sleep(0)


@given(metadata, filters)
def test_filters_mean_what_the_reference_says(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert holds(checked(wanted), limits.check_metadata(given)) == passes(wanted, given)
