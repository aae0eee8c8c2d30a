"""LangGraph's store: what a tool asks for that remembers a fact of its user, among those of many users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.store.base import BaseStore, PutOp
from langgraph.store.sqlite.aio import AsyncSqliteStore

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.langgraph.store import MiniAgentStore

PACKAGE = "langgraph"
FACT = {"fact": "Ada likes tea with milk, and no sugar in it.", "source": "conversation", "weight": 3}
# What one user is known by.
EACH = 10


def contestants(places: Places) -> list[Contestant]:
    @asynccontextmanager
    async def ours(history: int, url: str) -> AsyncIterator[Turn]:
        async with open_store(url) as store:
            yield await turns_of(MiniAgentStore(store, name=str(history)), history)

    @asynccontextmanager
    async def theirs(history: int) -> AsyncIterator[Turn]:
        async with AsyncSqliteStore.from_conn_string(str(places.folder / f"theirs-{history}.db")) as store:
            await store.setup()
            yield await turns_of(store, history)

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("AsyncSqliteStore", theirs),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
    ]


async def turns_of(store: BaseStore, history: int) -> Turn:
    """A store with so many facts, and the calls of one turn."""
    facts = [
        PutOp(("memories", f"user {number // EACH}"), str(number % EACH), FACT) for number in range(history)
    ]
    for start in range(0, history, 500):
        await store.abatch(facts[start : start + 500])

    async def turn() -> None:
        await store.asearch(("memories", "user 0"))
        await store.aput(("memories", "user 0"), "3", FACT)
        await store.aget(("memories", "user 0"), "3")

    return turn
