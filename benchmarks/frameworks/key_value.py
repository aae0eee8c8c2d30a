"""py-key-value: what FastMCP asks for in a call of a tool that changes its session's state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from key_value.aio.stores.redis import RedisStore

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.key_value import MiniAgentKeyValueStore

PACKAGE = "py-key-value-aio"
STATE = {"cart": [{"item": f"book {number}", "price": 12.5} for number in range(5)], "step": "paying"}


def contestants(places: Places) -> list[Contestant]:
    host, port = places.redis_address

    @asynccontextmanager
    async def ours(history: int, url: str) -> AsyncIterator[Turn]:
        async with open_store(url) as store:
            yield await turns_of(MiniAgentKeyValueStore(store), history)

    @asynccontextmanager
    async def theirs(history: int) -> AsyncIterator[Turn]:
        async with RedisStore(url=f"redis://{host}:{port}/1") as store:
            yield await turns_of(store, history)

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
        Contestant("RedisStore", theirs),
    ]


async def turns_of(store: Any, history: int) -> Turn:
    """A collection with so many sessions, and the calls of one tool."""
    collection = f"of {history}"
    for start in range(0, history, 500):
        keys = [f"session {number}" for number in range(start, min(start + 500, history))]
        await store.put_many(keys, [STATE] * len(keys), collection=collection)

    async def turn() -> None:
        state = await store.get("session 7", collection=collection)
        await store.put("session 7", state, collection=collection, ttl=86_400)
        await store.get("session 7", collection=collection)

    return turn
