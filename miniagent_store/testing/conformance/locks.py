"""Promises of named locks and of their fences."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.backend import Backend, Fence
from miniagent_store.errors import FencedError, LockTimeoutError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    commit,
    eventually,
    make,
    soon,
    texts,
)
from miniagent_store.values import Message, Session


class LockPromises(ConformanceBase):
    """`store.lock`."""

    async def test_one_holds_a_lock_at_a_time(self, store: SessionStore) -> None:
        inside = most = 0

        async def work() -> None:
            nonlocal inside, most
            async with store.lock("job"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await soon(asyncio.gather(*[work() for _ in range(10)]))

        assert most == 1

    async def test_one_store_holds_a_lock_at_a_time(self, store: SessionStore, other: SessionStore) -> None:
        async with store.lock("job"):
            with pytest.raises(LockTimeoutError):
                async with other.lock("job", wait=0.05):
                    pass

        async with other.lock("job", wait=0):
            pass

    async def test_a_held_lock_times_out_at_once_without_waiting(self, store: SessionStore) -> None:
        async with store.lock("job"):
            with pytest.raises(LockTimeoutError):
                async with store.lock("job", wait=0):
                    pass
            async with store.lock("another job", wait=0):
                pass

    async def test_a_released_lock_wakes_who_waits(self, store: SessionStore, other: SessionStore) -> None:
        async def wait() -> bool:
            async with other.lock("job"):
                return True

        async with store.lock("job", ttl=60):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.05)

        assert await soon(waiting, within=10)

    async def test_a_lock_and_a_turn_of_one_name_are_apart(
        self, store: SessionStore, session: Session
    ) -> None:
        async with (
            store.lock(session.id, wait=0),
            store.turn(session.id, wait=0) as turn,
            store.lock("kv", wait=0),
        ):
            turn.append(Message.user("a"))

        assert await texts(store, session.id) == ["a"]

    async def test_fences_rise(self, store: SessionStore) -> None:
        fences = []
        for _ in range(5):
            async with store.lock("job") as lease:
                fences.append(lease.fence)

        assert fences == sorted(set(fences))

    async def test_a_lock_is_renewed_while_held(self, store: SessionStore, other: SessionStore) -> None:
        async with store.lock("job", ttl=0.9) as lease:
            await asyncio.sleep(1.2)
            assert not lease.lost
            with pytest.raises(LockTimeoutError):
                async with other.lock("job", wait=0):
                    pass

    async def test_a_lock_that_is_no_longer_renewed_is_lost_and_free(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        async with store.lock("job", ttl=0.3) as stale:
            await stale.stop()
            await eventually(lambda: stale.lost)
            async with other.lock("job") as lease:
                assert lease.fence > stale.fence

    async def test_a_stale_holder_cannot_write(self, store: SessionStore, session: Session) -> None:
        async with store.lock("job") as stale:
            pass
        async with store.lock("job") as lease:
            await store.append(session.id, Message.user("a"), fence=lease)
            before = await store.append(session.id, Message.user("b"), fence=lease.fence)

            with pytest.raises(FencedError):
                await store.append(session.id, Message.user("stale"), fence=stale)
            with pytest.raises(FencedError):
                await store.update(session.id, tags=["stale"], fence=stale)
            with pytest.raises(FencedError):
                async with store.batch(session.id, fence=stale) as batch:
                    batch.state.set("stale", 1)

        assert await store.get(session.id) == before

    async def test_who_shows_no_fence_is_not_fenced(self, store: SessionStore, session: Session) -> None:
        async with store.lock("job") as lease:
            await store.append(session.id, Message.user("a"), fence=lease)
        await store.append(session.id, Message.user("b"))

        assert await texts(store, session.id) == ["a", "b"]

    async def test_a_fence_protects_once_it_was_proved(self, backend: Backend) -> None:
        await make(backend, "s")
        await backend.commit(commit(backend, "s", 1, changes=append(b"a"), fence=Fence(5)))

        result = await backend.commit(commit(backend, "s", 2, changes=append(b"b"), fence=Fence(7)))
        with pytest.raises(FencedError):
            await backend.commit(commit(backend, "s", 3, changes=append(b"c"), fence=Fence(6)))

        assert result.record.lock_fence == 7

    async def test_holding_a_lock_is_let_go_when_the_body_raises(self, store: SessionStore) -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.lock("job"):
                raise ZeroDivisionError

        async with store.lock("job", wait=0):
            pass

    async def test_who_is_cancelled_while_waiting_leaves_the_line(self, store: SessionStore) -> None:
        async def wait() -> None:
            async with store.lock("job"):
                pass

        async with store.lock("job"):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(waiting)

        async with store.lock("job", wait=0):
            pass
