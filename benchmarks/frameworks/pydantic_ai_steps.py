"""pydantic-ai-harness: what step persistence asks of its store in a run with one call of a tool."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai_harness.step_persistence import (
    ContinuableSnapshot,
    EventKind,
    RunRecord,
    SqliteStepStore,
    StepEvent,
    StepStore,
    ToolEffectRecord,
)

from benchmarks.frameworks.contestant import Contestant, Places, Turn
from miniagent_store import open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

PACKAGE = "pydantic-ai-harness"


def one_turn() -> list[ModelMessage]:
    return [
        ModelRequest.user_text_prompt("How is the weather in Paris? " * 4),
        ModelResponse([ToolCallPart("weather", {"city": "Paris"}, "call")]),
        ModelRequest([ToolReturnPart("weather", "sunny, 21 degrees, a light wind", "call")]),
        ModelResponse([TextPart("It is sunny in Paris. " * 8)]),
    ]


def contestants(places: Places) -> list[Contestant]:
    @asynccontextmanager
    async def ours(history: int, url: str) -> AsyncIterator[Turn]:
        async with open_store(url) as near:
            yield await turns_of(MiniAgentStepStore(near), str(history), history)

    @asynccontextmanager
    async def theirs(history: int) -> AsyncIterator[Turn]:
        store = SqliteStepStore(database=places.folder / f"theirs-{history}.db")
        yield await turns_of(store, "c", history)

    return [
        Contestant("ours, SQLite", lambda history: ours(history, places.sqlite)),
        Contestant("SqliteStepStore", theirs),
        Contestant("ours, Redis", lambda history: ours(history, places.redis)),
    ]


async def turns_of(store: StepStore, conversation: str, history: int) -> Turn:
    """A conversation with that history, and the calls of one run of it."""
    messages = [message for _ in range(history // 4 + 1) for message in one_turn()][:history]
    first = ContinuableSnapshot(
        run_id=f"{conversation}-first", step_index=0, messages=messages, conversation_id=conversation
    )
    await store.save_snapshot(first)

    async def turn() -> None:
        run_id, known = uuid.uuid4().hex, list(messages)
        events = snapshots = 0

        async def event(kind: EventKind, **more: Any) -> None:
            nonlocal events
            key = f"{events}:1:{kind}:"
            events += 1
            await store.append_event(
                StepEvent(
                    run_id=run_id,
                    kind=kind,
                    step_index=1,
                    conversation_id=conversation,
                    idempotency_key=key,
                    **more,
                )
            )

        async def snapshot() -> None:
            nonlocal snapshots
            key = f"{snapshots}:1:complete"
            snapshots += 1
            await store.save_snapshot(
                ContinuableSnapshot(
                    run_id=run_id,
                    step_index=1,
                    messages=known,
                    conversation_id=conversation,
                    idempotency_key=key,
                )
            )

        async def effect(status: Any) -> None:
            await store.record_tool_effect(
                ToolEffectRecord(tool_call_id="call", tool_name="weather", run_id=run_id, status=status)
            )

        new = one_turn()
        await store.get_run(run_id=run_id)
        await store.register_run(RunRecord(run_id=run_id, conversation_id=conversation))
        await event("run_started")
        await event("model_request_started")
        await event("model_request_completed")
        await effect("started")
        await event("tool_call_started", tool_call_id="call", tool_name="weather")
        await store.get_tool_effect(run_id=run_id, tool_call_id="call")
        await effect("completed")
        await event("tool_call_completed", tool_call_id="call", tool_name="weather")
        known.extend(new[:3])
        await snapshot()
        await event("model_request_started")
        await event("model_request_completed")
        known.append(new[3])
        await snapshot()
        await event("run_completed")

    return turn
