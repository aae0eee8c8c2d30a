"""Random programs against `MiniAgentStepStore` and the harness's memory and SQLite stores.

Where those two differ from each other, what ours does is written where it is compared.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai_harness")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai_harness.step_persistence import (
    ContinuableSnapshot,
    InMemoryStepStore,
    RunRecord,
    SqliteStepStore,
    StepEvent,
    StepStore,
    ToolEffectRecord,
)

from miniagent_store import open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
RUNS = st.sampled_from(["r1", "r2", "r3", "r/4"])
CONVERSATIONS = st.sampled_from([None, "c1", "c2"])
STATES = st.sampled_from(["complete", "interrupted"])
KEYS = st.none() | st.sampled_from("kl")
HISTORIES = st.lists(st.sampled_from("abcde"), max_size=6)


def messages(texts: list[str]) -> list[ModelMessage]:
    return [
        ModelRequest([UserPromptPart(text, timestamp=BEGIN)], timestamp=BEGIN)
        if number % 2 == 0
        else ModelResponse([TextPart(text)], timestamp=BEGIN)
        for number, text in enumerate(texts)
    ]


class Programs(RuleBasedStateMachine):
    """Each step is done with all stores; what they give, and what can be seen afterwards, is the same."""

    url = "memory://"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.near = open_store(self.url, namespace=uuid.uuid4().hex)
        self.folder = tempfile.TemporaryDirectory()
        self.bound: int | None = None
        self.stores: list[StepStore] = []
        self.clock = 0
        self.steps: dict[str, int] = {}

    def opened(self) -> list[StepStore]:
        if not self.stores:
            self.stores = [
                InMemoryStepStore(max_snapshots_per_run=self.bound),
                SqliteStepStore(
                    database=Path(self.folder.name) / "steps.db",
                    media_store=None,
                    max_snapshots_per_run=self.bound,
                ),
                self.ours(),
            ]
        return self.stores

    def ours(self) -> StepStore:
        return MiniAgentStepStore(self.near, max_snapshots_per_run=self.bound)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.near.close())
        self.loop.close()
        self.folder.cleanup()

    def all(self, call: Any) -> Any:
        """What the call gives, which must be the same with all stores."""

        async def one(store: StepStore) -> Any:
            return await call(store)

        results = [self.loop.run_until_complete(one(store)) for store in self.opened()]
        assert results[0] == results[2]
        assert results[1] == results[2]
        return results[0]

    def now(self) -> datetime:
        self.clock += 1
        return BEGIN + timedelta(seconds=self.clock)

    @rule(bound=st.none() | st.integers(1, 3))
    def choose(self, bound: int | None) -> None:
        """How many snapshots are kept; only before the first step."""
        if not self.stores:
            self.bound = bound

    @rule()
    def fresh(self) -> None:
        """Another process."""
        if self.stores:
            self.stores = [*self.stores[:2], self.ours()]

    @rule(run=RUNS, conversation=CONVERSATIONS, parent=st.none() | RUNS, registration=st.sampled_from("xy"))
    def register(self, run: str, conversation: str | None, parent: str | None, registration: str) -> None:
        record = RunRecord(
            run_id=run,
            conversation_id=conversation,
            parent_run_id=parent,
            started_at=self.now(),
            registration_id=registration,
            metadata={"grüße": run},
        )
        memory, sqlite, ours = self.opened()
        there = self.loop.run_until_complete(memory.get_run(run_id=run))
        if there is None:
            self.all(lambda store: store.register_run(record))
        elif there.registration_id == registration:
            # A retry. SQLite refuses it, and the harness looks before it registers.
            self.loop.run_until_complete(ours.register_run(record))
        else:
            # Memory overwrites.
            with pytest.raises(sqlite3.IntegrityError):
                self.loop.run_until_complete(sqlite.register_run(record))
            with pytest.raises(ValueError, match="already"):
                self.loop.run_until_complete(ours.register_run(record))

    @rule(
        run=RUNS, conversation=CONVERSATIONS, step=st.integers(0, 3), key=st.none() | st.sampled_from("kl")
    )
    def event(self, run: str, conversation: str | None, step: int, key: str | None) -> None:
        event = StepEvent(
            run_id=run,
            kind="tool_call_started",
            step_index=step,
            timestamp=self.now(),
            conversation_id=conversation,
            idempotency_key=key,
            metadata={"k": "v"},
        )
        self.all(lambda store: store.append_event(event))

    @rule(run=RUNS, conversation=CONVERSATIONS, texts=HISTORIES, state=STATES, back=st.integers(0, 3))
    def save(self, run: str, conversation: str | None, texts: list[str], state: Any, back: int) -> None:
        """A snapshot under the next key, as step persistence makes them, or again one of those before."""
        last = self.steps.get(run, -1)
        sequence = last + 1 if back == 0 else max(last - back + 1, 0)
        self.steps[run] = max(last, sequence)
        snapshot = ContinuableSnapshot(
            run_id=run,
            step_index=sequence,
            messages=messages(texts),
            conversation_id=conversation,
            timestamp=self.now(),
            state=state,
            idempotency_key=f"{sequence}:key",
        )
        self.all(lambda store: store.save_snapshot(snapshot))

    @rule(run=RUNS, texts=HISTORIES, state=STATES)
    def save_without_key(self, run: str, texts: list[str], state: Any) -> None:
        snapshot = ContinuableSnapshot(
            run_id=run, step_index=0, messages=messages(texts), timestamp=self.now(), state=state
        )
        self.all(lambda store: store.save_snapshot(snapshot))

    @rule(run=RUNS, call=st.sampled_from("tu"), status=st.sampled_from(["started", "completed", "failed"]))
    def effect(self, run: str, call: str, status: Any) -> None:
        effect = ToolEffectRecord(
            tool_call_id=call, tool_name="x", run_id=run, status=status, started_at=self.now()
        )
        self.all(lambda store: store.record_tool_effect(effect))
        self.all(lambda store: store.record_tool_effect(replace(effect, effect_summary="more")))

    @rule(run=RUNS, conversation=CONVERSATIONS, interrupted=st.booleans())
    def look(self, run: str, conversation: str | None, interrupted: bool) -> None:
        async def call(store: Any) -> Any:
            unresolved = await store.list_unresolved_tool_effects(run_id=run)
            return (
                await store.get_run(run_id=run),
                await store.list_runs(),
                await store.list_runs(conversation_id=conversation),
                await store.list_runs(parent_run_id=run),
                await store.list_runs(parent_run_id=run, conversation_id=conversation),
                await store.list_events(run_id=run),
                await store.latest_snapshot(run_id=run, include_interrupted=interrupted),
                await store.list_snapshots(run_id=run, include_interrupted=interrupted),
                await store.get_tool_effect(run_id=run, tool_call_id="t"),
                # In the order of calls in memory, of rows in SQLite, of beginnings in ours.
                sorted(unresolved, key=lambda each: each.tool_call_id),
            )

        self.all(call)


def run_programs(url: str, examples: int) -> None:
    class Here(Programs):
        pass

    Here.url = url
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_programs() -> None:
    run_programs("memory://", 15)


@pytest.mark.slow
def test_many_random_programs(url: str) -> None:
    # Each program has a namespace of its own.
    run_programs(f"{url.partition('?')[0]}?deadline=60s", 60)
