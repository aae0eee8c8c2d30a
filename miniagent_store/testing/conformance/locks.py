"""Promises of named locks and of their fences."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

import pytest

from miniagent_store.backend import Backend, Fence, LeaseHeld, LeaseRequest
from miniagent_store.errors import FencedError, LockLostError, LockTimeoutError
from miniagent_store.rules import CLAIM_MS
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    append,
    backend_of,
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

    async def test_who_waits_longest_is_served_first(self, store: SessionStore) -> None:
        served = []

        async def wait(number: int) -> None:
            async with store.lock("job"):
                served.append(number)

        async with store.lock("job"):
            waiting = [asyncio.create_task(wait(number)) for number in range(8)]
            await asyncio.sleep(0.05)
        await soon(asyncio.gather(*waiting))

        assert served == list(range(8))

    async def test_a_newcomer_overtakes_nobody(self, store: SessionStore, other: SessionStore) -> None:
        served = []

        async def wait(number: int) -> None:
            async with other.lock("job"):
                served.append(number)

        async with store.lock("job"):
            waiting = [asyncio.create_task(wait(number)) for number in range(3)]
            await eventually(lambda: stands_in_line(store, "job", 3))
        # Each release lets in the next one, never a newcomer.
        while len(served) < 3:
            with contextlib.suppress(LockTimeoutError):
                async with store.lock("job", wait=0):
                    assert len(served) == 3
            await asyncio.sleep(0)
        await soon(asyncio.gather(*waiting))

        assert served == [0, 1, 2]

    async def test_a_timeout_tells_who_holds_it_also_in_this_process(self, store: SessionStore) -> None:
        async with store.lock("job", ttl=7):
            with pytest.raises(LockTimeoutError) as at_once:
                async with store.lock("job", wait=0):
                    pass
            with pytest.raises(LockTimeoutError) as after_a_while:
                async with store.lock("job", wait=0.05):
                    pass

        for told in (at_once.value, after_a_while.value):
            assert told.holder.endswith(f":{os.getpid()}")
            assert 0 < told.remaining <= 7
        assert at_once.value.waited < 5
        assert after_a_while.value.waited >= 0.05

    async def test_who_gives_up_holds_up_nobody(self, store: SessionStore) -> None:
        async def wait(seconds: float) -> None:
            async with store.lock("job", wait=seconds):
                pass

        async with store.lock("job", ttl=60):
            cancelled, patient = (asyncio.create_task(wait(60)) for _ in range(2))
            with pytest.raises(LockTimeoutError):
                await wait(0.1)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(cancelled)
        # Far below the time that is given to one who does not come.
        started = time.monotonic()
        await soon(patient)

        assert time.monotonic() - started < CLAIM_MS / 1000 * 0.75

    async def test_a_lease_that_was_lost_proves_nothing(
        self, store: SessionStore, session: Session
    ) -> None:
        async with store.lock("job", ttl=0.2) as lease:
            await lease.stop()
            await eventually(lambda: lease.lost)
            with pytest.raises(LockLostError):
                await store.append(session.id, Message.user("lost"), fence=lease)

        assert await texts(store, session.id) == []


async def stands_in_line(store: SessionStore, name: str, count: int) -> bool:
    """Whether so many wait for a lock that is held."""
    answer = await backend_of(store).acquire(LeaseRequest("lock", name, "onlooker", 1_000))
    return isinstance(answer, LeaseHeld) and answer.place == count
