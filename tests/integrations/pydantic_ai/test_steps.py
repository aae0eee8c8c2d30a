"""`MiniAgentStepStore`: what the harness's protocol asks, on every place."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("pydantic_ai_harness")

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai_harness import StepPersistence
from pydantic_ai_harness.step_persistence import (
    ContinuableSnapshot,
    RunRecord,
    StepEvent,
    StepStore,
    ToolEffectRecord,
    continue_run,
)

from miniagent_store import open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore
from tests.integrations.pydantic_ai.scripted import make_agent, told

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def history(count: int) -> list[ModelMessage]:
    return [
        ModelRequest([UserPromptPart(f"m{number}", timestamp=BEGIN)], timestamp=BEGIN)
        if number % 2 == 0
        else ModelResponse([TextPart(f"m{number}")], timestamp=BEGIN)
        for number in range(count)
    ]


def snapshot(run_id: str, count: int, **options: object) -> ContinuableSnapshot:
    messages = history(count)
    return ContinuableSnapshot(run_id=run_id, step_index=count, messages=messages, **options)  # type: ignore[arg-type]


async def test_five_turns_with_tools(url: str) -> None:
    async with open_store(url) as near:
        store = MiniAgentStepStore(near)
        assert isinstance(store, StepStore)
        agent = make_agent(capabilities=[StepPersistence(store=store, agent_name="adder")])
        history: list[ModelMessage] = []
        for turn in range(5):
            result = await agent.run(f"turn {turn}", message_history=history, conversation_id="c")
            other = MiniAgentStepStore(near)
            runs = await other.list_runs(conversation_id="c")
            assert len(runs) == turn + 1
            history = await continue_run(other, run_id=runs[-1].run_id)
            assert history == result.all_messages()
        assert len(told(history)) == 20
        events = await store.list_events(run_id=runs[-1].run_id)
        assert [event.kind for event in events] == [
            "run_started",
            "model_request_started",
            "model_request_completed",
            "tool_call_started",
            "tool_call_completed",
            "model_request_started",
            "model_request_completed",
            "run_completed",
        ]
        assert await store.list_unresolved_tool_effects(run_id=runs[-1].run_id) == []
        effect = await other.get_tool_effect(run_id=runs[-1].run_id, tool_call_id="call-5")
        assert effect is not None
        assert effect.status == "completed"
        # Ten snapshots of up to twenty messages, each of which is stored once; what a tool returned is
        # first saved without its time.
        session = (await near.list()).items[0]
        assert session.message_count == 25
        assert len(await other.list_snapshots(run_id=runs[-1].run_id)) == 2


async def test_runs(url: str) -> None:
    store, other = MiniAgentStepStore(url), MiniAgentStepStore(url)
    first = RunRecord(
        run_id="r1", conversation_id="c", started_at=BEGIN, registration_id="reg", metadata={"k": "v"}
    )
    second = RunRecord(
        run_id="r2", conversation_id="c", parent_run_id="r1", started_at=BEGIN - timedelta(1)
    )
    alone = RunRecord(run_id="alone", parent_run_id="r1", started_at=BEGIN + timedelta(1))
    for record in (first, second, alone):
        await store.register_run(record)
    assert await other.get_run(run_id="r1") == first
    assert await other.get_run(run_id="nobody") is None
    assert await other.list_runs() == [second, first, alone]
    assert await other.list_runs(conversation_id="c") == [second, first]
    assert await other.list_runs(parent_run_id="r1") == [second, alone]
    assert await other.list_runs(parent_run_id="r1", conversation_id="c") == [second]
    assert await other.list_runs(conversation_id="nobody") == []
    # The same registration again is a retry.
    await other.register_run(replace(first, started_at=BEGIN + timedelta(9)))
    assert await store.get_run(run_id="r1") == first
    for again in (replace(first, registration_id="another"), second):
        with pytest.raises(ValueError, match="already in the store"):
            await other.register_run(again)


async def test_of_two_registrations_at_once_one_wins(url: str) -> None:
    stores = [MiniAgentStepStore(url) for _ in range(5)]
    records = [RunRecord(run_id="r", conversation_id="c", registration_id=str(n)) for n in range(5)]
    calls = (store.register_run(record) for store, record in zip(stores, records, strict=True))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, ValueError) for each in results) == 4
    assert await stores[0].get_run(run_id="r") == records[results.index(None)]


async def test_what_comes_before_its_registration(url: str) -> None:
    store, other = MiniAgentStepStore(url), MiniAgentStepStore(url)
    await store.record_tool_effect(
        ToolEffectRecord(tool_call_id="t", tool_name="x", run_id="r", status="started")
    )
    event = StepEvent(run_id="r", kind="run_started", step_index=0, timestamp=BEGIN, conversation_id="c")
    await other.append_event(event)
    record = RunRecord(run_id="r", conversation_id="c", started_at=BEGIN)
    await other.register_run(record)
    assert await store.list_runs(conversation_id="c") == [record]
    assert await store.list_runs() == [record]
    assert await store.list_events(run_id="r") == [event]
    assert len(await other.list_unresolved_tool_effects(run_id="r")) == 1
    await store.save_snapshot(snapshot("r", 3, conversation_id="c"))
    assert (await other.latest_snapshot(run_id="r")).messages == history(3)  # type: ignore[union-attr]


async def test_events_are_stored_once(url: str) -> None:
    store = MiniAgentStepStore(url)
    for run in ("r1", "r2"):
        for number in (0, 1, 0, 1, 2):
            event = StepEvent(
                run_id=run,
                kind="model_request_started",
                step_index=number,
                conversation_id="c",
                error="grüße",
                idempotency_key=f"{number}:x",
            )
            await MiniAgentStepStore(url).append_event(event)
        for _ in range(2):
            plain = StepEvent(run_id=run, kind="run_failed", step_index=9, conversation_id="c")
            await store.append_event(plain)
    for run in ("r1", "r2"):
        assert [each.step_index for each in await store.list_events(run_id=run)] == [0, 1, 2, 9, 9]
    assert await store.list_events(run_id="nobody") == []


async def test_snapshots(url: str) -> None:
    store, other = MiniAgentStepStore(url), MiniAgentStepStore(url)
    assert await store.latest_snapshot(run_id="r") is None
    saved = [
        snapshot("r", 2, conversation_id="c", timestamp=BEGIN),
        snapshot("r", 3, conversation_id="c", timestamp=BEGIN, state="interrupted", agent_name="a"),
    ]
    for each in saved:
        await store.save_snapshot(each)
    assert await other.latest_snapshot(run_id="r") == saved[0]
    assert await other.latest_snapshot(run_id="r", include_interrupted=True) == saved[1]
    assert await other.list_snapshots(run_id="r") == saved[:1]
    assert await other.list_snapshots(run_id="r", include_interrupted=True) == saved
    # A history that was rewritten, in another process and in another run.
    rewritten = snapshot("r2", 5, conversation_id="c", timestamp=BEGIN)
    del rewritten.messages[1]
    await other.save_snapshot(rewritten)
    assert await store.latest_snapshot(run_id="r2") == rewritten
    empty = ContinuableSnapshot(
        run_id="r3", step_index=0, messages=[], conversation_id="c", timestamp=BEGIN
    )
    await store.save_snapshot(empty)
    assert await other.latest_snapshot(run_id="r3") == empty
    for number in range(20):
        await store.save_snapshot(snapshot("r", number, conversation_id="c", state="interrupted"))
    assert await other.latest_snapshot(run_id="r") == saved[0]


async def test_a_lower_key_stays_refused_when_its_snapshot_is_gone(url: str) -> None:
    store = MiniAgentStepStore(url, max_snapshots_per_run=2)
    for number in range(5):
        state = "complete" if number == 1 else "interrupted"
        await store.save_snapshot(snapshot("r", number, idempotency_key=f"{number}:x", state=state))
    kept = [each.step_index for each in await store.list_snapshots(run_id="r", include_interrupted=True)]
    assert kept == [1, 3, 4]
    for fresh in (store, MiniAgentStepStore(url, max_snapshots_per_run=2)):
        for key in ("0:x", "3:x", "4:x", "2:never seen"):
            await fresh.save_snapshot(snapshot("r", 9, idempotency_key=key))
        latest = await fresh.latest_snapshot(run_id="r", include_interrupted=True)
        assert latest is not None
        assert latest.step_index == 4
    await store.save_snapshot(snapshot("r", 6, idempotency_key="4:another"))
    assert (await store.latest_snapshot(run_id="r")).step_index == 6  # type: ignore[union-attr]
    for _ in range(2):
        await MiniAgentStepStore(url).save_snapshot(snapshot("r", 7, idempotency_key="mine"))
    assert [each.step_index for each in await store.list_snapshots(run_id="r")] == [6, 7]


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_a_bound_that_cannot_be_one(wrong: object) -> None:
    with pytest.raises(ValueError, match="max_snapshots_per_run"):
        MiniAgentStepStore("memory://", max_snapshots_per_run=wrong)  # type: ignore[arg-type]


async def test_many_save_at_once(url: str) -> None:
    """The messages of one conversation, from several instances: each once, and every snapshot whole."""

    async def work(number: int) -> None:
        store = MiniAgentStepStore(url)
        for count in range(1, 5):
            each = snapshot(f"r{number}", count, conversation_id="c", timestamp=BEGIN)
            each.messages.append(ModelResponse([TextPart(f"own {number}")], timestamp=BEGIN))
            await asyncio.gather(
                store.save_snapshot(each),
                store.append_event(StepEvent(run_id=f"r{number}", kind="run_started", step_index=count)),
            )

    await asyncio.gather(*map(work, range(4)))
    store = MiniAgentStepStore(url)
    for number in range(4):
        found = await store.list_snapshots(run_id=f"r{number}")
        own = ModelResponse([TextPart(f"own {number}")], timestamp=BEGIN)
        assert [each.messages for each in found] == [[*history(count), own] for count in range(1, 5)]
        assert len(await store.list_events(run_id=f"r{number}")) == 4


async def test_effects(url: str) -> None:
    store, other = MiniAgentStepStore(url), MiniAgentStepStore(url)
    effects = [
        ToolEffectRecord(
            tool_call_id=f"t{number}",
            tool_name="x",
            run_id="r",
            status="started",
            started_at=BEGIN - timedelta(number),
        )
        for number in range(3)
    ]
    for effect in effects:
        await store.record_tool_effect(effect)
    done = replace(
        effects[1], status="completed", ended_at=BEGIN, effect_summary="done", idempotency_key="k"
    )
    await other.record_tool_effect(done)
    assert await store.get_tool_effect(run_id="r", tool_call_id="t1") == done
    assert await store.get_tool_effect(run_id="r", tool_call_id="nobody") is None
    assert await store.list_unresolved_tool_effects(run_id="r") == [effects[2], effects[0]]
    assert await store.list_unresolved_tool_effects(run_id="nobody") == []


async def test_ids_of_models_may_be_long(url: str) -> None:
    store = MiniAgentStepStore(url)
    calls = [f"{'x' * 3000}{number}" for number in range(2)] + ["grüße/{x}", "a/b", "a"]
    for call in calls:
        effect = ToolEffectRecord(tool_call_id=call, tool_name="x", run_id="r", status="started")
        await store.record_tool_effect(effect)
        for _ in range(2):
            key = f"0:1:tool_call_started:{call}"
            event = StepEvent(run_id="r", kind="tool_call_started", step_index=1, idempotency_key=key)
            await store.append_event(event)
            await store.save_snapshot(snapshot("r", 1, idempotency_key=f"mine {call}"))
    assert {each.tool_call_id for each in await store.list_unresolved_tool_effects(run_id="r")} == set(
        calls
    )
    assert len(await store.list_events(run_id="r")) == len(calls)
    assert len(await store.list_snapshots(run_id="r")) == len(calls)
    found = await MiniAgentStepStore(url).get_tool_effect(run_id="r", tool_call_id=calls[1])
    assert found is not None
    assert found.tool_call_id == calls[1]
