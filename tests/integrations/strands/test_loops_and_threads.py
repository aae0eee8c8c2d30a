"""Agents in fresh event loops and threads, on one storage and one repository; and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from strands import Agent
from strands.session import RepositorySessionManager, SnapshotSessionManager

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.strands import MiniAgentSessionRepository, MiniAgentStorage
from miniagent_store.testing.servers import Server
from tests.integrations.strands.conversation import FakeModel, Points
from tests.integrations.strands.test_conversations import MANAGERS

Build = Callable[[str], Agent]


def builder(kind: str, handle: StoreHandle) -> Build:
    def build(session_id: str) -> Agent:
        manager = (
            RepositorySessionManager(session_id, MiniAgentSessionRepository(handle))
            if kind == "repository"
            else SnapshotSessionManager(session_id, storage=MiniAgentStorage(handle), save_latest_on=kind)
        )
        return Agent(
            model=FakeModel(Points(None)), session_manager=manager, agent_id="a", callback_handler=None
        )

    return build


@pytest.mark.parametrize("kind", MANAGERS)
def test_threads_and_fresh_loops(kind: str, url: str) -> None:
    """Built in one thread, called in others, each call in a loop of its own."""
    handle = StoreHandle(url)
    build = builder(kind, handle)
    build("first")("Hello")
    before = threading.active_count()

    def turns(number: int) -> int:
        guide = build(f"s{number}")
        guide("In City1")
        asyncio.run(guide.invoke_async("In City2"))
        return len(build(f"s{number}").messages)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(turns, range(12))) == {8}
    assert threading.active_count() <= before
    handle.close()


@pytest.mark.parametrize("kind", MANAGERS)
async def test_inside_a_running_loop(kind: str, url: str) -> None:
    """The blocking parts of the contract block the loop that owns the store, and still end."""
    async with open_store(url) as store:
        build = builder(kind, StoreHandle(store))
        guide = build("s")
        await guide.invoke_async("In City1")
        guide("In City2")
        assert len(build("s").messages) == 8


@pytest.mark.parametrize("kind", ["message", "repository"])
def test_no_connection_is_left(kind: str, redis_server: Server) -> None:
    handle = StoreHandle(f"{redis_server.url}/0?namespace=left")
    guide = builder(kind, handle)("s")

    def connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").splitlines())

    guide("In City0")
    opened = connections()
    for number in range(1, 6):
        asyncio.run(guide.invoke_async(f"In City{number}"))
        builder(kind, handle)(f"s{number}")
    assert connections() <= opened
    handle.close()
    assert connections() < opened
