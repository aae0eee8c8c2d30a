"""`MiniAgentCheckpointStorage`: held against the framework's own storage in memory."""

from __future__ import annotations

import logging
import pickle
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowCheckpoint
from agent_framework.exceptions import WorkflowCheckpointException

from miniagent_store.errors import StoreClosedError
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.agent_framework import MiniAgentCheckpointStorage

THIS = __name__


@dataclass
class Order:
    number: int


def made(name: str = "w", **fields: Any) -> WorkflowCheckpoint:
    return WorkflowCheckpoint(workflow_name=name, graph_signature_hash="g", **fields)


async def test_the_same_as_the_storage_in_memory(url: str) -> None:
    rng = random.Random(3)
    ours, theirs = MiniAgentCheckpointStorage(url), InMemoryCheckpointStorage()
    base = datetime(2026, 1, 1, tzinfo=UTC)
    times = [base + timedelta(microseconds=17 * n) for n in range(2000)]
    rng.shuffle(times)
    zones = [UTC, timezone(timedelta(hours=5)), timezone(timedelta(hours=-11))]
    ids = [f"id/{n}" for n in range(12)]
    for step in range(120):
        name, checkpoint_id = rng.choice(["w", "w/2", "ä"]), rng.choice(ids)
        match rng.choice(["save", "save", "load", "delete", "latest", "list"]):
            case "save":
                time = times.pop().astimezone(rng.choice(zones)).isoformat()
                checkpoint = made(name, checkpoint_id=checkpoint_id, timestamp=time, state={"step": step})
                assert await ours.save(checkpoint) == await theirs.save(checkpoint) == checkpoint_id
            case "load":
                assert await loaded(ours, checkpoint_id) == await loaded(theirs, checkpoint_id)
            case "delete":
                assert await ours.delete(checkpoint_id) == await theirs.delete(checkpoint_id)
            case "latest":
                latest = await ours.get_latest(workflow_name=name)
                assert latest == await theirs.get_latest(workflow_name=name)
            case _:
                expected = sorted(
                    await theirs.list_checkpoints(workflow_name=name),
                    key=lambda each: datetime.fromisoformat(each.timestamp),
                )
                assert await ours.list_checkpoints(workflow_name=name) == expected
                assert await ours.list_checkpoint_ids(workflow_name=name) == [
                    each.checkpoint_id for each in expected
                ]


async def loaded(storage: Any, checkpoint_id: str) -> Any:
    try:
        return await storage.load(checkpoint_id)
    except WorkflowCheckpointException:
        return None


async def test_what_is_stored_comes_back(url: str) -> None:
    storage = MiniAgentCheckpointStorage(url, allowed_types=[f"{THIS}:Order"])
    state = {
        "plain": {"a": [1, 2.5, None, True, "ä"], "big": 2**70},
        "typed": (Order(1), {3, 4}, datetime(2026, 1, 1, tzinfo=UTC), b"\x00\xff"),
        "__pickled__": "only a key",
    }
    checkpoint = made(state=state, metadata={"m": 1}, iteration_count=4, previous_checkpoint_id="before")
    await storage.save(checkpoint)
    found = await storage.load(checkpoint.checkpoint_id)
    assert found == checkpoint
    assert found is not checkpoint


async def test_types_that_are_not_admitted_are_refused_when_saved(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = MiniAgentCheckpointStorage(url)
    with pytest.raises(WorkflowCheckpointException), caplog.at_level(logging.ERROR):
        await storage.save(made(state={"order": Order(7)}))
    assert storage.failed_saves == 1
    assert "was not saved" in caplog.text
    assert await storage.get_latest(workflow_name="w") is None


async def test_types_that_are_not_admitted_are_not_restored(url: str) -> None:
    checkpoint = made(state={"order": Order(7)})
    await MiniAgentCheckpointStorage(url, allowed_types=[f"{THIS}:Order"]).save(checkpoint)
    storage = MiniAgentCheckpointStorage(url)
    with pytest.raises(WorkflowCheckpointException):
        await storage.load(checkpoint.checkpoint_id)
    with pytest.raises(WorkflowCheckpointException):
        await storage.get_latest(workflow_name="w")
    assert await storage.list_checkpoints(workflow_name="w") == []
    assert await storage.delete(checkpoint.checkpoint_id)


async def test_what_cannot_be_encoded_is_refused() -> None:
    storage = MiniAgentCheckpointStorage("memory://")
    with pytest.raises(WorkflowCheckpointException, match="cannot be encoded"):
        await storage.save(made(state={"f": lambda: None}))
    with pytest.raises(WorkflowCheckpointException, match="ISO 8601"):
        await storage.save(made(timestamp="yesterday"))
    assert storage.failed_saves == 2


async def test_scopes_are_apart(url: str) -> None:
    one, other = MiniAgentCheckpointStorage(url, scope="a"), MiniAgentCheckpointStorage(url, scope="b")
    saved = await one.save(made())
    assert await other.get_latest(workflow_name="w") is None
    with pytest.raises(WorkflowCheckpointException, match="No checkpoint found"):
        await other.load(saved)
    assert not await other.delete(saved)


async def test_a_store_that_fails_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The framework goes on without a checkpoint, and says so only in its own log."""
    handle = StoreHandle("memory://")
    storage = MiniAgentCheckpointStorage(handle)
    handle.close()
    with pytest.raises(WorkflowCheckpointException) as caught, caplog.at_level(logging.ERROR):
        await storage.save(made())
    assert isinstance(caught.value.__cause__, StoreClosedError)
    assert storage.failed_saves == 1
    assert "'w' was not saved" in caplog.text
    with pytest.raises(WorkflowCheckpointException):
        await storage.get_latest(workflow_name="w")
    with pytest.raises(WorkflowCheckpointException):
        await storage.delete("x")


async def test_pickled_and_with_a_ttl(durable_url: str) -> None:
    storage = MiniAgentCheckpointStorage(f"{durable_url}&ttl=1h", scope="u/1")
    saved = await storage.save(made())
    again = pickle.loads(pickle.dumps(storage))
    assert (await again.load(saved)).checkpoint_id == saved
    session = await StoreHandle(durable_url).run(
        lambda store: store.get("agent-framework-checkpoints/u%2F1")
    )
    assert session.ttl == 3600
