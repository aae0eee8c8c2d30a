"""Called from fresh loops and threads, as `Runner.run` does: nothing closed, stuck, or left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from google.adk.events.event import Event
from google.genai import types

from miniagent_store import open_store
from miniagent_store.integrations.google_adk import MiniAgentSessionService
from miniagent_store.integrations.google_adk.lining_up import Line
from miniagent_store.testing.servers import Server
from tests.integrations.google_adk.conversation import USER, load, runner_on


def run_blocking(service: MiniAgentSessionService, session_id: str, turn: str) -> list[Event]:
    """`Runner.run`: a new thread and a fresh loop for each call."""
    said = types.Content(role="user", parts=[types.Part(text=f"turn {turn}")])
    return [*runner_on(service).run(user_id=USER, session_id=session_id, new_message=said)]


def test_runner_run_again_and_again(url: str) -> None:
    service = MiniAgentSessionService(url)
    asyncio.run(load(service, "s"))
    for number in range(1, 4):
        assert len(run_blocking(service, "s", str(number))) == 4
        assert len(asyncio.run(load(service, "s")).events) == 5 * number
    asyncio.run(service.close())


def test_many_threads(url: str) -> None:
    service = MiniAgentSessionService(url)

    def converse(number: int) -> int:
        session_id = str(number)
        asyncio.run(load(service, session_id))
        for turn in range(2):
            run_blocking(service, session_id, f"{number}-{turn}")
        return len(asyncio.run(load(service, session_id)).events)

    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(converse, range(6))] == [10] * 6
    asyncio.run(service.close())


async def test_a_store_of_this_loop_and_a_runner_in_threads(url: str) -> None:
    async with open_store(url) as store, MiniAgentSessionService(store) as service:
        await load(service, "s")
        run_blocking(service, "s", "1")  # which blocks this loop
        await asyncio.to_thread(run_blocking, service, "s", "2")
        assert len((await load(service, "s")).events) == 10


def test_one_object_from_many_loops_at_once(url: str) -> None:
    service = MiniAgentSessionService(url)
    session = asyncio.run(load(service, "s"))

    def append(number: int) -> None:
        asyncio.run(service.append_event(session, Event(author="user", invocation_id=str(number))))

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(append, range(40))]
    assert asyncio.run(load(service, "s")) == session
    assert sorted(int(event.invocation_id) for event in session.events) == [*range(40)]
    asyncio.run(service.close())


def test_nothing_is_left_behind(redis_server: Server) -> None:
    url = f"{redis_server.url}/0?namespace=left-adk&deadline=20s"

    def open_connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    def use() -> None:
        service = MiniAgentSessionService(url)
        asyncio.run(load(service, "s"))
        run_blocking(service, "s", "1")
        asyncio.run(service.close())

    use()
    gc.collect()
    threads, connections = threading.active_count(), open_connections()
    for _ in range(10):
        use()
    gc.collect()
    assert threading.active_count() <= threads
    assert open_connections() <= connections


async def test_a_line_is_passed_on_by_who_is_cancelled() -> None:
    line, order = Line(), list[str]()

    async def stand(name: str, inside: asyncio.Event | None = None) -> None:
        async with line.place("key"):
            order.append(name)
            if inside is not None:
                await inside.wait()

    first = asyncio.Event()
    tasks = [asyncio.create_task(stand("1", first))]
    tasks += [asyncio.create_task(stand(name)) for name in "2345"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[3].cancel()
    await asyncio.sleep(0)
    assert order == ["1"]
    first.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["1", "3", "5"]
    assert line._last == {}
