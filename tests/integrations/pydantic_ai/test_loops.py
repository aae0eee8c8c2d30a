"""Called from fresh loops and threads: no "Event loop is closed", no deadlock, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.testing.servers import Server
from tests.integrations.pydantic_ai.scripted import make_agent
from tests.integrations.pydantic_ai.test_crash import KINDS

Talk = Callable[[Any, str, str], int]


def talk_conversations(store: Any, name: str, text: str) -> int:
    """One turn as a script has it: blocking calls, each in a loop of its own; how many messages then."""
    from pydantic_ai.conversation import Conversation

    conversation = asyncio.run(store.load(name)) or Conversation(conversation_id=name)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        result = make_agent().run_sync(text, conversation=conversation)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    asyncio.run(store.save(result))
    return len(result.all_messages())


def talk_steps(store: Any, name: str, text: str) -> int:
    from pydantic_ai_harness import StepPersistence

    agent = make_agent(capabilities=[StepPersistence(store=store)])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        result = agent.run_sync(text, conversation_id=name)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return len(asyncio.run(store.latest_snapshot(run_id=result.run_id)).messages)


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> tuple[Callable[[Any], Any], Talk]:
    """How to make a store, and a turn with it."""
    from miniagent_store.integrations import pydantic_ai

    if request.param == "conversations":
        return pydantic_ai.MiniAgentConversationStore, talk_conversations
    return pydantic_ai.MiniAgentStepStore, talk_steps


def test_a_fresh_loop_for_each_call(url: str, made: tuple[Callable[[Any], Any], Talk]) -> None:
    make, talk = made
    store = make(url)
    for _ in range(3):
        assert talk(store, "c", "hello") >= 4
    asyncio.run(store.aclose())


def test_one_store_in_many_threads(url: str, made: tuple[Callable[[Any], Any], Talk]) -> None:
    make, talk = made
    store = make(url)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: talk(store, f"c{number}", "hello"), range(16)))
    assert counts == [4] * 16
    asyncio.run(store.aclose())


async def test_a_store_of_this_loop_and_calls_from_threads(
    url: str, made: tuple[Callable[[Any], Any], Talk]
) -> None:
    make, talk = made
    async with open_store(url) as near:
        store = make(near)
        assert await asyncio.to_thread(talk, store, "c", "hello") == 4
        # Blocking this very loop does not stop what it waits for.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(talk, store, "d", "hello").result(timeout=60) == 4
        await store.aclose()
        assert (await near.list()).items


def test_pickled(tmp_path: object, made: tuple[Callable[[Any], Any], Talk]) -> None:
    make, talk = made
    store = make(f"sqlite:///{tmp_path}/store.db?ttl=1h")
    assert talk(store, "c", "hello") == 4
    copy = pickle.loads(pickle.dumps(store))
    assert type(copy) is type(store)
    assert talk(copy, "c", "hello") >= 4
    for each in (store, copy):
        asyncio.run(each.aclose())


@pytest.mark.parametrize("given", ["url", "handle"])
def test_nothing_is_left_behind(
    redis_server: Server, given: str, made: tuple[Callable[[Any], Any], Talk]
) -> None:
    make, talk = made
    url = f"{redis_server.url}/0?namespace=left&deadline=20s"
    handle = StoreHandle(url)

    def use() -> None:
        store = make(handle if given == "handle" else url)
        talk(store, "c", "hello")
        asyncio.run(store.aclose())

    def connections() -> int:
        return len(redis_server.command("CLIENT", "LIST").strip().splitlines())

    use()
    gc.collect()
    threads, open_ones = threading.active_count(), connections()
    for _ in range(5):
        use()
    gc.collect()
    assert threading.active_count() <= threads
    assert connections() <= open_ones
    handle.close()
