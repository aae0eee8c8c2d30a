"""Steps from another store of the harness."""

from __future__ import annotations

from typing import Protocol

from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.steps import MiniAgentStepStore

with requires("pydantic-ai-harness", extra="pydantic-ai-harness"):
    from pydantic_ai_harness.step_persistence import (
        ContinuableSnapshot,
        RunRecord,
        StepEvent,
        ToolEffectRecord,
    )


class StepSource(Protocol):
    """What is read of a store of the harness; all that it brings have it."""

    async def list_runs(self) -> list[RunRecord]: ...

    async def list_events(self, *, run_id: str) -> list[StepEvent]: ...

    async def list_snapshots(
        self, *, run_id: str, include_interrupted: bool = False
    ) -> list[ContinuableSnapshot]: ...

    async def get_tool_effect(self, *, run_id: str, tool_call_id: str) -> ToolEffectRecord | None: ...


async def import_steps(source: StepSource, target: MiniAgentStepStore) -> int:
    """Copy all registered runs that `target` does not have, with their events, snapshots and effects.

    A run is registered when all of it was copied, so an import that was cut short is begun again. Effects
    are those of tool calls that events tell of.

    Args:
        source: a step store of the harness.
        target: ours.

    Returns:
        How many runs were copied.
    """
    copied = 0
    for run in await source.list_runs():
        run_id = run.run_id
        if await target.get_run(run_id=run_id) is not None:
            continue
        events = await source.list_events(run_id=run_id)
        for event in events:
            await target.append_event(event)
        for snapshot in await source.list_snapshots(run_id=run_id, include_interrupted=True):
            await target.save_snapshot(snapshot)
        for call_id in dict.fromkeys(event.tool_call_id for event in events if event.tool_call_id):
            effect = await source.get_tool_effect(run_id=run_id, tool_call_id=call_id)
            if effect is not None:
                await target.record_tool_effect(effect)
        await target.register_run(run)
        copied += 1
    return copied
