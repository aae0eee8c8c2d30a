"""The three classes in fresh event loops and threads, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent_framework import AgentSession

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
    MiniAgentSessionStore,
)
from miniagent_store.testing.servers import Server
from tests.integrations.agent_framework.conversation import STEPS, Points, agent, built


async def all_three(provider: Any, sessions: Any, checkpoints: Any, name: str) -> None:
    found = await sessions.get(name) or AgentSession(session_id=name)
    await agent(Points(None), provider).run("How is it in Rome", session=found)
    await sessions.set(name, found)
    await built(Points(None), checkpoints).run([])


def of(source: Any) -> tuple[Any, Any, Any]:
    return (
        MiniAgentHistoryProvider(source, filter_replays=False),
        MiniAgentSessionStore(source),
        MiniAgentCheckpointStorage(source),
    )


def test_threads_and_fresh_loops(url: str) -> None:
    """One object of each, from many threads, each call in a loop of its own."""
    handle = StoreHandle(url)
    ours = of(handle)
    asyncio.run(all_three(*ours, "first"))
    before = threading.active_count()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: asyncio.run(all_three(*ours, f"s{number % 4}-{number}")), range(8)))
    for number in range(8):
        found = asyncio.run(ours[0].get_messages(f"s{number % 4}-{number}"))
        assert len(found) == 4
    assert len(asyncio.run(ours[2].list_checkpoint_ids(workflow_name="counting"))) == 9 * (STEPS + 1)
    assert threading.active_count() <= before
    handle.close()


async def test_in_the_loop_of_the_store_and_in_another(url: str) -> None:
    async with open_store(url) as store:
        ours = of(store)
        await all_three(*ours, "near")
        await asyncio.to_thread(lambda: asyncio.run(all_three(*ours, "far")))
        assert len(await ours[0].get_messages("near")) == 4
        if not url.startswith("memory"):
            assert len(await ours[0].get_messages("far")) == 4


def test_no_connection_is_left(redis_server: Server) -> None:
    handle = StoreHandle(f"{redis_server.url}/0?namespace=left")
    ours = of(handle)

    def connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").splitlines())

    asyncio.run(all_three(*ours, "s"))
    opened = connections()
    for number in range(4):
        asyncio.run(all_three(*ours, f"s{number}"))
    assert connections() <= opened
    handle.close()
    assert connections() < opened
