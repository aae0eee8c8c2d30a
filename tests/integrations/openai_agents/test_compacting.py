"""The SDK's compaction finds our hooks, though their names are private to it, and needs one commit."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Runner
from agents.memory import OpenAIResponsesCompactionSession

from miniagent_store import InvalidArgumentError, SessionStore, open_store
from miniagent_store.integrations.openai_agents import MiniAgentSession
from tests.integrations.openai_agents.conversation import AGENT, CONFIG

# Before, it cleared the history and added the new one, and looked for no hooks.
looks_for_hooks = pytest.mark.skipif(
    tuple(map(int, version("openai-agents").split(".")[:2])) < (0, 24),
    reason="the SDK's compaction looks for hooks since 0.24",
)
SUMMARY = {"type": "compaction", "id": "cmp", "encrypted_content": "all of it"}


def compacting(session: MiniAgentSession, meanwhile: Callable[[], Any] | None = None) -> Any:
    async def compact(**_: Any) -> Any:
        if meanwhile is not None:
            await meanwhile()
        return SimpleNamespace(usage=None, output=[SUMMARY])

    client: Any = SimpleNamespace(responses=SimpleNamespace(compact=compact))
    return OpenAIResponsesCompactionSession(
        session.session_id,
        session,
        client=client,
        compaction_mode="input",
        should_trigger_compaction=lambda _: True,
    )


@pytest.fixture
async def store(url: str) -> Any:
    async with open_store(url) as store:
        yield store


@looks_for_hooks
async def test_when_asked_for(store: SessionStore) -> None:
    session = MiniAgentSession("s", store)
    await session.add_items([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    await compacting(session).run_compaction({"force": True})
    assert await session.get_items() == [SUMMARY]
    record = await store.get("s")
    assert record.version == 2
    assert record.epoch == 1


@looks_for_hooks
async def test_after_a_run(store: SessionStore) -> None:
    session = MiniAgentSession("s", store)
    await Runner.run(AGENT, "turn 1", session=compacting(session), run_config=CONFIG)
    assert await session.get_items() == [SUMMARY]
    record = await store.get("s")
    # Three of the turn, and one that compacts it; clearing and adding would be two.
    assert record.version == 4


@looks_for_hooks
async def test_only_the_end_that_the_model_saw_is_replaced(store: SessionStore) -> None:
    session = MiniAgentSession("s", store, session_settings={"limit": 2})
    old = [{"role": "user", "content": f"old {n}"} for n in range(5)]
    await session.add_items(old)
    await Runner.run(AGENT, "turn 1", session=compacting(session), run_config=CONFIG)
    assert await session.get_items(100) == [*old[:3], SUMMARY]


@looks_for_hooks
async def test_what_was_added_meanwhile_is_not_lost(store: SessionStore) -> None:
    session, other = MiniAgentSession("s", store), MiniAgentSession("s", store)

    async def meanwhile() -> None:
        await other.add_items([{"role": "user", "content": "in between"}])

    await Runner.run(AGENT, "turn 1", session=compacting(session, meanwhile), run_config=CONFIG)
    items = await session.get_items()
    assert len(items) == 5
    assert items[-1] == {"role": "user", "content": "in between"}


async def test_snapshots(store: SessionStore) -> None:
    session = MiniAgentSession("s", store)
    nothing = await session._get_compaction_snapshot(3)
    assert nothing is not None
    assert (nothing.items, nothing.complete) == ([], True)
    assert not await nothing.replace_suffix(0, [{"n": 1}])

    await session.add_items([{"n": n, "id": "same"} for n in range(1200)])
    for limit, complete in ((1, False), (1199, False), (1200, True), (5000, True)):
        snapshot = await session._get_compaction_snapshot(limit)
        assert snapshot is not None
        assert snapshot.complete is complete
        assert snapshot.items == [{"n": n, "id": "same"} for n in range(max(1200 - limit, 0), 1200)]

    snapshot = await session._get_compaction_snapshot(10, prune_prefix=lambda item: item["n"] < 1100)
    assert snapshot is not None
    assert await snapshot.replace_suffix(4, [{"n": -1, "id": "same"}, {"n": -2, "id": "same"}])
    left = [*range(1100, 1194), -1, -2]
    assert [item["n"] for item in await session.get_items()] == left
    assert not await snapshot.replace_suffix(4, [{"n": -3}])
    assert [item["n"] for item in await session.get_items()] == left
    assert (await store.get("s")).version == 2


async def test_nothing_is_replaced_outside_of_an_exclusive_run(store: SessionStore) -> None:
    session = MiniAgentSession("s", store, exclusive=True)
    async with session:
        await session.add_items([{"n": 1}])
        snapshot = await session._get_compaction_snapshot(1)
    assert snapshot is not None
    with pytest.raises(InvalidArgumentError):
        await snapshot.replace_suffix(0, [])
    with pytest.raises(InvalidArgumentError):
        await session._atomic_replace_items([])
    async with session:
        assert await snapshot.replace_suffix(0, [])
        assert await session._atomic_replace_items([{"n": 2}])
    assert await session.get_items() == [{"n": 2}]


async def test_a_subclass_may_store_items_in_its_own_way(store: SessionStore) -> None:
    class Shouting(MiniAgentSession):
        async def add_items(self, items: Any, **more: Any) -> None:
            loud = [{**item, "content": item["content"].upper()} for item in items]
            await super().add_items(loud, **more)

    session = Shouting("s", store)
    assert await session._get_compaction_snapshot(3) is None
    assert not await session._atomic_replace_items([])
