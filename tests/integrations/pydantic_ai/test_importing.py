"""Steps from the harness's own store."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai_harness")

from pydantic_ai_harness import StepPersistence
from pydantic_ai_harness.step_persistence import SqliteStepStore

from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore
from miniagent_store.integrations.pydantic_ai.importing import import_steps
from tests.integrations.pydantic_ai.scripted import make_agent


async def test_all_of_it_is_there(url: str, tmp_path: Path) -> None:
    source, target = SqliteStepStore(database=tmp_path / "steps.db"), MiniAgentStepStore(url)
    agent = make_agent(capabilities=[StepPersistence(store=source)])
    for conversation in ("c", "c", "d"):
        await agent.run("hello", conversation_id=conversation)
    assert await import_steps(source, target) == 3
    assert await import_steps(source, target) == 0
    runs = await source.list_runs()
    assert await target.list_runs() == runs
    assert await target.list_runs(conversation_id="c") == runs[:2]
    for run in runs:
        run_id = run.run_id
        assert await target.list_events(run_id=run_id) == await source.list_events(run_id=run_id)
        assert await target.list_snapshots(run_id=run_id) == await source.list_snapshots(run_id=run_id)
        effect = await target.get_tool_effect(run_id=run_id, tool_call_id="call-1")
        assert effect is not None
        assert effect == await source.get_tool_effect(run_id=run_id, tool_call_id="call-1")
