"""Called from fresh loops and threads: no "Event loop is closed", no deadlock, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents import Runner

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.openai_agents import MiniAgentSession
from miniagent_store.testing.servers import Server
from tests.integrations.openai_agents.conversation import AGENT, CONFIG


def run_sync(session: MiniAgentSession, turn: str) -> str:
    """`Runner.run_sync` in a thread, which makes a loop that stays the thread's own."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return str(Runner.run_sync(AGENT, f"turn {turn}", session=session, run_config=CONFIG).final_output)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_fresh_loop_for_each_call(url: str) -> None:
    session = MiniAgentSession("s", url)
    for n in range(5):
        asyncio.run(session.add_items([{"n": n}]))
        assert len(asyncio.run(session.get_items())) == n + 1
    asyncio.run(session.close())


def test_one_session_in_many_threads(url: str) -> None:
    session = MiniAgentSession("s", url)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: run_sync(session, str(n)), range(16)))
    assert answers == [f"it is found {n}" for n in range(16)]
    assert len(asyncio.run(session.get_items())) == 64
    asyncio.run(session.close())


async def test_a_store_of_this_loop_and_calls_from_threads(url: str) -> None:
    async with open_store(url) as store:
        session = MiniAgentSession("s", store)
        await Runner.run(AGENT, "turn 1", session=session, run_config=CONFIG)
        assert await asyncio.to_thread(run_sync, session, "2") == "it is found 2"
        # Blocking this very loop must not stop what it waits for.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(run_sync, session, "3").result(timeout=60) == "it is found 3"
        assert len(await session.get_items()) == 12
        await session.close()


async def test_blocking_turn_inside_a_running_loop(url: str) -> None:
    session = MiniAgentSession("s", url, exclusive=True)
    with session:
        await session.add_items([{"n": 1}])
    with session:
        assert await session.pop_item() == {"n": 1}
    await session.close()


@pytest.mark.parametrize("given", ["url", "handle"])
def test_nothing_is_left_behind(redis_server: Server, given: str) -> None:
    url = f"{redis_server.url}/0?namespace=left&deadline=20s"
    handle = StoreHandle(url)

    def use() -> None:
        session = MiniAgentSession("s", handle if given == "handle" else url)
        run_sync(session, "1")
        asyncio.run(session.close())

    def open_connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    use()
    gc.collect()
    threads, connections = threading.active_count(), open_connections()
    for _ in range(10):
        use()
    gc.collect()
    assert threading.active_count() <= threads
    assert open_connections() <= connections
    handle.close()
