"""Called from fresh event loops and threads, after pickling, and what stands in the store."""

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from ag2 import MemoryStream
from ag2.context import ConversationContext as Context
from ag2.events import ToolCallEvent

from miniagent_store import StoreClosedError, open_store
from miniagent_store.integrations.ag2 import MiniAgentCheckpointStore, MiniAgentStorage
from miniagent_store.testing.servers import Server
from tests.integrations.ag2.model import agent
from tests.integrations.conftest import Encrypted

CANARY = "canary"


def test_a_fresh_loop_for_each_turn(url: str) -> None:
    storage = MiniAgentStorage(url)
    stream_id = uuid4()
    asyncio.run(ask(storage, stream_id, "0"))
    threads = threading.active_count()
    for number in range(1, 4):
        asyncio.run(ask(storage, stream_id, str(number)))
    assert len(list(asyncio.run(storage.get_history(stream_id)))) == 4 * 7
    assert threading.active_count() <= threads


def test_no_connection_is_left(redis_server: Server) -> None:
    storage = MiniAgentStorage(f"{redis_server.url}/0?namespace=connections")
    before = connections(redis_server)
    asyncio.run(ask(storage, uuid4(), "0"))
    opened = connections(redis_server)
    for _ in range(5):
        asyncio.run(ask(storage, uuid4(), "1"))
    assert connections(redis_server) == opened
    asyncio.run(storage.aclose())
    assert connections(redis_server) == before


def connections(server: Server) -> int:
    return len(server.command("CLIENT", "LIST", "TYPE", "normal").splitlines())


def test_threads_with_loops_of_their_own(url: str) -> None:
    storage = MiniAgentStorage(url)
    stream_id = uuid4()

    def work(name: int) -> None:
        stream = MemoryStream(storage, id=stream_id)
        for number in range(5):
            asyncio.run(stream.send(ToolCallEvent(f"{name}/{number}"), Context(stream)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = [event.name for event in asyncio.run(storage.get_history(stream_id))]
    assert sorted(found) == sorted(f"{name}/{number}" for name in range(8) for number in range(5))


async def test_on_a_store_of_this_loop(url: str) -> None:
    async with open_store(url) as opened:
        storage = MiniAgentStorage(opened)
        stream_id = uuid4()
        await ask(storage, stream_id, "a")
        assert len(list(await storage.get_history(stream_id))) == 7
        # The same history from another loop, while this one stands.
        thread = ThreadPoolExecutor(1)
        found = thread.submit(lambda: asyncio.run(storage.get_history(stream_id)))
        assert len(list(await asyncio.wrap_future(found))) == 7
        thread.shutdown()


async def test_pickled(storage: MiniAgentStorage, url: str) -> None:
    stream_id = uuid4()
    await storage.set_history(stream_id, [ToolCallEvent("t")])
    again = pickle.loads(pickle.dumps(storage))
    assert list(await again.get_history(stream_id)) == list(await storage.get_history(stream_id))
    checkpoints = MiniAgentCheckpointStore(url, ttl="1h")
    await checkpoints.write("task", {"a": 1})
    restored = pickle.loads(pickle.dumps(checkpoints))
    assert await restored.read("task") == {"a": 1}


async def test_closed(url: str) -> None:
    storage = MiniAgentStorage(url)
    await storage.set_history(uuid4(), [])
    await storage.aclose()
    with pytest.raises(StoreClosedError):
        await storage.get_history(uuid4())


async def test_a_word_is_nowhere(encrypted: Encrypted) -> None:
    storage = MiniAgentStorage(encrypted.url)
    stream_id = uuid4()
    # The tool's call, its result and the answer repeat the question.
    await ask(storage, stream_id, CANARY)
    assert CANARY in str(list(await storage.get_history(stream_id)))
    await storage.set_history(stream_id, list(await storage.get_history(stream_id)))
    checkpoints = MiniAgentCheckpointStore(encrypted.url)
    await checkpoints.write("task", {"word": CANARY})
    encrypted.assert_absent(CANARY.encode())
    await storage.aclose()
    await checkpoints.aclose()


async def ask(storage: MiniAgentStorage, stream_id: object, question: str) -> None:
    await agent().ask(question, stream=MemoryStream(storage, id=stream_id))
