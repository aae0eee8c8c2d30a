"""Several processes on one stream: nothing is lost, and turns are whole where that is asked."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from ag2 import MemoryStream
from ag2.context import ConversationContext as Context
from ag2.events import BaseEvent, ModelRequest, ModelResponse, ToolCallEvent, ToolResultEvent

from miniagent_store import FencedError, LockTimeoutError
from miniagent_store.integrations.ag2 import MiniAgentStorage
from miniagent_store.integrations.held_turn import HeldTurn
from miniagent_store.testing.servers import Server
from tests.integrations.ag2.model import agent

ROOT = Path(__file__).parents[3]
WRITERS = ("ann", "bob")
TURN = [
    "ModelRequest",
    "ModelResponse",
    "ToolCallsEvent",
    "ToolCallEvent",
    "ToolResultEvent",
    "ToolResultsEvent",
    "ModelResponse",
]


async def run_writers(url: str, stream_id: UUID, turns: int, *how: str) -> list[BaseEvent]:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integrations.ag2.writer",
            *(url, str(stream_id), name, str(turns), *how),
            cwd=ROOT,
        )
        for name in WRITERS
    ]
    async with asyncio.timeout(200):
        assert [await process.wait() for process in started] == [0] * len(WRITERS)
    storage = MiniAgentStorage(url)
    events = list(await storage.get_history(stream_id))
    await storage.aclose()
    return events


def questions(events: list[BaseEvent]) -> list[str]:
    return sorted(event.parts[0].content for event in events if isinstance(event, ModelRequest))


def expected(turns: int) -> list[str]:
    return sorted(f"{name}-{number}" for name in WRITERS for number in range(turns))


async def test_exclusive_turns_are_a_serial_order(redis_server: Server) -> None:
    await check_exclusive(f"{redis_server.url}/0?namespace=writers", 3)


@pytest.mark.slow
async def test_exclusive_turns_are_a_serial_order_everywhere(durable_url: str) -> None:
    await check_exclusive(durable_url, 25)


async def check_exclusive(url: str, turns: int) -> None:
    events = await run_writers(url, uuid4(), turns, "exclusive")
    assert questions(events) == expected(turns)
    for begin in range(0, len(events), len(TURN)):
        turn = events[begin : begin + len(TURN)]
        assert [type(event).__name__ for event in turn] == TURN
        asked, last = turn[0], turn[-1]
        assert isinstance(asked, ModelRequest)
        assert isinstance(last, ModelResponse)
        assert last.content == f"They say: sunny in {asked.parts[0].content}"


async def write_at_once(url: str, stream_id: UUID, name: str, number: int) -> None:
    storage = MiniAgentStorage(url)
    stream = MemoryStream(storage, id=stream_id)
    for each in range(number):
        await stream.send(ToolCallEvent(name, arguments=str(each)), Context(stream))
    await storage.aclose()


async def test_without_it_each_event_is_saved(url: str) -> None:
    stream_id = uuid4()
    await asyncio.gather(*(write_at_once(url, stream_id, name, 20) for name in WRITERS))
    storage = MiniAgentStorage(url)
    events = list(await storage.get_history(stream_id))
    for name in WRITERS:
        assert [event.arguments for event in events if event.name == name] == list(map(str, range(20)))
    await storage.aclose()


async def test_a_turn_is_waited_for(storage: MiniAgentStorage, url: str) -> None:
    stream_id = uuid4()
    other = MiniAgentStorage(url)
    entered = asyncio.Event()
    go_on = asyncio.Event()

    async def hold(event: BaseEvent) -> None:
        if isinstance(event, ToolResultEvent):
            entered.set()
            await go_on.wait()

    stream = MemoryStream(storage, id=stream_id)
    stream.subscribe(hold)
    held = asyncio.create_task(agent(middleware=[storage.exclusive()]).ask("a", stream=stream))
    await asyncio.wait_for(entered.wait(), 60)
    # AG2 has a lock of its own for one process; another process has another one.
    impatient = HeldTurn(other._handle, f"ag2/{stream_id}", wait=0)
    with pytest.raises(LockTimeoutError):
        await impatient.take()
    go_on.set()
    await held
    assert await impatient.take() > 0
    await impatient.give_back()
    await other.aclose()


async def test_who_has_lost_the_turn_saves_nothing(storage: MiniAgentStorage, url: str) -> None:
    stream = MemoryStream(storage)
    await stream.send(ToolCallEvent("first"), Context(stream))
    other = MiniAgentStorage(url)
    turn = HeldTurn(storage._handle, f"ag2/{stream.id}", wait=20)
    storage._fences[stream.id] = await turn.take()
    await turn.give_back()
    another = HeldTurn(other._handle, f"ag2/{stream.id}", wait=20)
    other._fences[stream.id] = await another.take()
    same = MemoryStream(other, id=stream.id)
    await same.send(ToolCallEvent("second"), Context(same))
    with pytest.raises(FencedError):
        await stream.send(ToolCallEvent("late"), Context(stream))
    assert [event.name for event in await stream.history.get_events()] == ["first", "second"]
    await another.give_back()
    await other.aclose()


async def test_a_turn_that_is_cancelled_while_it_waits(storage: MiniAgentStorage, url: str) -> None:
    other = MiniAgentStorage(url)
    first = HeldTurn(storage._handle, "ag2/x", wait=20)
    await first.take()
    for delay in (0, 0.001, 0.01, 0.05):
        waiting = asyncio.create_task(HeldTurn(other._handle, "ag2/x", wait=60).take())
        await asyncio.sleep(delay)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await first.give_back()
    again = HeldTurn(storage._handle, "ag2/x", wait=10)
    await again.take()
    await again.give_back()
    await other.aclose()
