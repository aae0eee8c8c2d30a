"""`exclusive=True`: one run at a time has the session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Runner

from miniagent_store import FencedError, InvalidArgumentError, LockLostError, LockTimeoutError, open_store
from miniagent_store.integrations.openai_agents import MiniAgentSession
from tests.integrations.openai_agents.conversation import AGENT, CONFIG


async def test_changes_outside_are_refused(url: str) -> None:
    session = MiniAgentSession("s", url, exclusive=True)
    for change in (session.add_items([{"n": 1}]), session.pop_item(), session.clear_session()):
        with pytest.raises(InvalidArgumentError, match="async with session"):
            await change
    assert await session.get_items() == []
    await session.close()


async def test_the_next_run_waits_for_the_one_before(url: str) -> None:
    one, two = (MiniAgentSession("s", url, exclusive=True) for _ in range(2))
    at_once = MiniAgentSession("s", url, exclusive=True, wait=0)

    async def run(session: MiniAgentSession, name: str) -> None:
        async with session:
            for n in range(5):
                await session.add_items([{"by": name, "n": n}])
                await asyncio.sleep(0.01)

    async with one:
        with pytest.raises(LockTimeoutError):
            async with at_once:
                pass
        waiting = asyncio.create_task(run(two, "two"))
        for n in range(5):
            await one.add_items([{"by": "one", "n": n}])
    await waiting
    assert [item["by"] for item in await one.get_items()] == ["one"] * 5 + ["two"] * 5
    for each in (one, two, at_once):
        await each.close()


async def test_given_back_after_an_error_and_a_cancellation(url: str) -> None:
    session = MiniAgentSession("s", url, exclusive=True, wait=5)
    with pytest.raises(ZeroDivisionError):
        async with session:
            await session.add_items([{"n": 1}])
            raise ZeroDivisionError

    async def hold() -> None:
        async with session:
            held.set()
            await asyncio.sleep(60)

    held = asyncio.Event()
    task = asyncio.create_task(hold())
    await held.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with session:
        await session.add_items([{"n": 2}])
    assert await session.get_items() == [{"n": 1}, {"n": 2}]
    await session.close()


async def test_who_has_lost_the_turn_stores_nothing(url: str) -> None:
    late, next_one = (MiniAgentSession("s", url, exclusive=True) for _ in range(2))
    async with late:
        await late.add_items([{"n": 1}])
        turn: Any = late._turn
        # As if this process had hung, and renewed the lease no more.
        await late._handle.run(lambda _: turn._turn._holder.release())
        async with next_one:
            await next_one.add_items([{"n": 2}])
            with pytest.raises(FencedError):
                await late.add_items([{"n": 3}])
        turn._turn.lease._until = 0
        with pytest.raises(LockLostError):
            await late.add_items([{"n": 4}])
    assert await late.get_items() == [{"n": 1}, {"n": 2}]
    await late.close()
    await next_one.close()


async def test_other_turns_of_the_session_wait_too(url: str) -> None:
    session = MiniAgentSession("s", url, exclusive=True)
    async with open_store(url) as store:
        async with session:
            await session.add_items([{"n": 1}])
            with pytest.raises(LockTimeoutError):
                async with store.turn("s", wait=0):
                    pass
        async with store.turn("s", wait=5) as turn:
            assert [message["n"] for message in turn.history] == [1]
    await session.close()


def test_blocking(url: str, own_loop: None) -> None:
    session = MiniAgentSession("s", url, exclusive=True)
    with session:
        result = Runner.run_sync(AGENT, "turn 1", session=session, run_config=CONFIG)
    assert result.final_output == "it is found 1"
    with session:
        Runner.run_sync(AGENT, "turn 2", session=session, run_config=CONFIG)
    assert len(session._handle.run_blocking(session._read_all)) == 8
