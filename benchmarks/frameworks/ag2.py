"""AG2: what an agent asks of its storage in a turn with one call of a tool."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ag2 import MemoryStream
from ag2.context import ConversationContext
from ag2.events import (
    BaseEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolCallsEvent,
    ToolResultEvent,
    ToolResultsEvent,
)

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store.integrations.ag2 import MiniAgentStorage

PACKAGE = "ag2"
CALL = ToolCallEvent("weather", arguments='{"city": "Oslo"}')
RESULT = ToolResultEvent.from_call(CALL, "snow")
TURN: list[BaseEvent] = [
    ModelRequest([TextInput("How is the weather in Oslo, and do I need a coat today?")]),
    ModelResponse(tool_calls=ToolCallsEvent([CALL])),
    ToolCallsEvent([CALL]),
    CALL,
    RESULT,
    ToolResultsEvent([RESULT]),
    ModelResponse(ModelMessage("It snows in Oslo, so yes, take a warm coat.")),
]
# The history is read before each call of the model.
READ_AFTER = (ModelRequest, ToolResultsEvent)


def contestants(places: Places) -> list[Contestant]:
    """Ours, and AG2's own on Redis; it has none on SQLite."""
    host, port = places.redis_address
    found = [
        Contestant("ours, SQLite", _with(lambda: MiniAgentStorage(places.sqlite))),
        Contestant("ours, Redis", _with(lambda: MiniAgentStorage(places.redis))),
    ]
    try:
        from ag2.streams.redis import RedisStorage
    except ImportError:
        return found
    return [*found, Contestant("RedisStorage", _with(lambda: RedisStorage(f"redis://{host}:{port}/1")))]


def _with(make: Callable[[], Any]) -> Any:
    @asynccontextmanager
    async def prepare(history: int) -> AsyncIterator[Turn]:
        storage = make()
        stream = MemoryStream(storage, id=uuid.uuid4())
        context = ConversationContext(stream)
        await storage.set_history(stream.id, [TURN[number % len(TURN)] for number in range(history)])

        async def turn() -> None:
            for event in TURN:
                await storage.save_event(event, context)
                if isinstance(event, READ_AFTER):
                    list(await storage.get_history(stream.id))

        yield turn
        await (storage.aclose() if isinstance(storage, MiniAgentStorage) else storage.close())

    return prepare
