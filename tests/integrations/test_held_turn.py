"""A turn that is held over several commits keeps everyone else's out, from when it is taken."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store import FencedError, LockLostError, LockTimeoutError, Message, SessionStore, open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.held_turn import HeldTurn


async def say(store: SessionStore, fence: int) -> None:
    async with store.batch("s", create=True, fence=fence) as batch:
        batch.append(Message.user("hello"))


async def test_who_had_it_before_can_commit_no_more(url: str) -> None:
    async with open_store(url) as store:
        handle = StoreHandle(store)
        first, second = HeldTurn(handle, "s", wait=30), HeldTurn(handle, "s", wait=30)
        before = await first.take()
        await say(store, before)
        await first.give_back()

        # Before the second one has stored anything.
        await second.take()
        with pytest.raises(FencedError):
            await say(store, before)
        with pytest.raises(LockLostError):
            first.fence()
        await say(store, second.fence())

        assert await store.count("s") == 2
        await second.give_back()


async def test_who_gives_up_waiting_leaves_no_turn_behind(url: str) -> None:
    async with open_store(url) as store:
        handle = StoreHandle(store)
        first, second = HeldTurn(handle, "s", wait=30), HeldTurn(handle, "s", wait=30)
        await first.take()
        waiting = asyncio.create_task(second.take())
        await asyncio.sleep(0)
        with pytest.raises(LockTimeoutError):
            await HeldTurn(handle, "s", wait=0).take()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await first.give_back()

        async with store.turn("s", wait=0):
            pass


def test_it_is_taken_from_threads(url: str) -> None:
    handle = StoreHandle(url)
    turn = HeldTurn(handle, "s", wait=30)

    turn.take_blocking()
    handle.run_blocking(lambda store: say(store, turn.fence()))
    turn.give_back_blocking()
    turn.give_back_blocking()

    assert handle.run_blocking(lambda store: store.count("s")) == 1
    handle.close()
