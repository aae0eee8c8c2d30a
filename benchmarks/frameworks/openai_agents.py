"""OpenAI Agents SDK: what its runner asks of a session in a turn with one call of a tool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents import SessionSettings, SQLiteSession
from agents.extensions.memory import RedisSession

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.openai_agents import MiniAgentSession

PACKAGE = "openai-agents"
USER: Any = [{"role": "user", "content": "How is the weather in Paris? " * 4}]
TOOL: Any = [
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city": "Paris"}'},
    {"type": "function_call_output", "call_id": "c", "output": "sunny, 21 degrees, a light wind"},
]
SAID = {"type": "output_text", "text": "It is sunny in Paris. " * 8}
ANSWER: Any = [{"role": "assistant", "content": [SAID]}]
FEW = SessionSettings(limit=50)


def contestants(places: Places) -> list[Contestant]:
    host, port = places.redis_address
    theirs = f"redis://{host}:{port}/1"

    @asynccontextmanager
    async def ours(history: int, url: str, settings: SessionSettings | None = None) -> AsyncIterator[Turn]:
        async with open_store(url) as store:
            name = f"{history}-{settings}"
            session = MiniAgentSession(name, store, session_settings=settings)
            yield await turns_of(session, history)

    @asynccontextmanager
    async def their_sqlite(history: int, settings: SessionSettings | None = None) -> AsyncIterator[Turn]:
        file = places.folder / f"theirs-{history}-{settings is None}.db"
        session = SQLiteSession("s", file, session_settings=settings)
        yield await turns_of(session, history)
        session.close()

    @asynccontextmanager
    async def their_redis(history: int, settings: SessionSettings | None = None) -> AsyncIterator[Turn]:
        session = RedisSession.from_url(f"{history}-{settings}", url=theirs, session_settings=settings)
        yield await turns_of(session, history)
        await session.close()

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("SQLiteSession", their_sqlite),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
        Contestant("RedisSession", their_redis),
        Contestant("ours, SQLite, limit=50", lambda history: ours(history, places.sqlite, FEW)),
        Contestant("SQLiteSession, limit=50", lambda history: their_sqlite(history, FEW)),
        Contestant("ours, Redis, limit=50", lambda history: ours(history, places.redis, FEW)),
        Contestant("RedisSession, limit=50", lambda history: their_redis(history, FEW)),
    ]


async def turns_of(session: Any, history: int) -> Turn:
    """A session with that history, and the calls of one turn of it."""
    items = [*USER, *TOOL, *ANSWER]
    await session.add_items([items[number % 4] for number in range(history)])

    async def turn() -> None:
        await session.get_items()
        await session.add_items(USER)
        await session.add_items(TOOL)
        await session.add_items(ANSWER)

    return turn
