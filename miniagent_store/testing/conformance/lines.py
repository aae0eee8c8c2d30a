"""Promises of the line before a lease: who comes first is served first, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from miniagent_store.backend import Backend, Fence, LeaseGrant, LeaseHeld, LeaseRequest, Topic
from miniagent_store.errors import BackendUnavailableError
from miniagent_store.rules import CLAIM_MS
from miniagent_store.testing.conformance.base import ConformanceBase, append, commit, eventually, make
from miniagent_store.testing.conformance.leases import Scope, both, lease
from miniagent_store.testing.conformance.turns import granted, turn_of


def waiting(backend: Backend, owner: str, scope: Scope, *, wait_ms: int = 60_000) -> LeaseRequest:
    """A request for the lease "s" that stands in line for it."""
    return replace(lease(owner, scope), line_until_ms=backend.now_ms() + wait_ms)


async def held(backend: Backend, request: LeaseRequest) -> LeaseHeld:
    """Who has a lease that must not be granted."""
    answer = await backend.acquire(request)
    assert isinstance(answer, LeaseHeld)
    return answer


class LinePromises(ConformanceBase):
    """`LeaseRequest.line_until_ms`, and what comes of it."""

    @both
    async def test_who_comes_first_is_served_first(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        holder, grant = "zero", await granted(backend, lease("zero", scope))
        owners = ["one", "two", "three"]
        places = [(await held(backend, waiting(backend, owner, scope))).place for owner in owners]
        assert places == [0, 1, 2]

        for number, owner in enumerate(owners):
            await backend.release(lease(holder, scope), grant.fence)
            for other in reversed(owners[number + 1 :]):
                await held(backend, waiting(backend, other, scope))
            holder, before = owner, grant
            grant = await granted(backend, waiting(backend, owner, scope))
            assert grant.fence > before.fence

    @both
    async def test_asking_again_keeps_the_place(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        await granted(backend, lease("zero", scope))
        await held(backend, waiting(backend, "one", scope, wait_ms=5_000))
        await held(backend, waiting(backend, "two", scope))

        again = await held(backend, waiting(backend, "one", scope))
        other = await held(backend, waiting(backend, "two", scope))

        assert (again.place, other.place) == (0, 1)
        assert again.holder == "holder zero"
        assert 0 < again.remaining_ms <= 10_000
        assert other.claim_ms > again.claim_ms > 0

    @both
    async def test_who_does_not_wait_overtakes_nobody(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        await held(backend, waiting(backend, "one", scope))
        await backend.release(lease("zero", scope), grant.fence)

        answer = await held(backend, lease("hasty", scope))

        assert 0 < answer.claim_ms <= CLAIM_MS
        await granted(backend, lease("one", scope))

    @both
    async def test_who_does_not_wait_has_no_place(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        await held(backend, lease("hasty", scope))
        await backend.release(lease("zero", scope), grant.fence)

        await granted(backend, lease("one", scope))

    @both
    async def test_a_place_ends_when_its_time_is_up(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        await held(backend, waiting(backend, "one", scope, wait_ms=50))
        until = backend.now_ms() + 100
        await held(backend, waiting(backend, "two", scope))
        await eventually(lambda: backend.now_ms() > until)
        await backend.release(lease("zero", scope), grant.fence)

        await granted(backend, waiting(backend, "two", scope))

    async def test_the_dead_are_passed_over(self, backend: Backend) -> None:
        grant = await granted(backend, lease("zero", "lock"))
        await held(backend, waiting(backend, "dead", "lock"))
        await held(backend, waiting(backend, "two", "lock"))
        await held(backend, waiting(backend, "three", "lock"))
        await backend.release(lease("zero", "lock"), grant.fence)
        released = time.monotonic()

        async def claim(owner: str) -> LeaseGrant | None:
            answer = await backend.acquire(waiting(backend, owner, "lock"))
            return answer if isinstance(answer, LeaseGrant) else None

        grant = await eventually(lambda: claim("two"))

        assert time.monotonic() - released > CLAIM_MS / 1000 - 0.2
        # It cost its time once: its place is gone.
        assert (await held(backend, waiting(backend, "three", "lock"))).place == 0
        await backend.release(lease("two", "lock"), grant.fence)
        await granted(backend, waiting(backend, "three", "lock"))

    @both
    async def test_releasing_wakes_the_first_in_line_only(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        topics = [Topic(scope, "s", owner) for owner in ("one", "two")]
        subscriptions = [await backend.subscribe(topic) for topic in topics]
        for topic in topics:
            await held(backend, waiting(backend, topic.owner, scope))

        await backend.release(lease("zero", scope), grant.fence)

        assert await subscriptions[0].wait(10)
        grant = await granted(backend, waiting(backend, "one", scope))
        await backend.release(lease("one", scope), grant.fence)
        assert await subscriptions[1].wait(10)
        for topic, subscription in zip(topics, subscriptions, strict=True):
            await backend.unsubscribe(topic, subscription)

    async def test_a_turns_commit_wakes_the_first_in_line(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("zero"))
        topic = Topic("turn", "s", "one")
        subscription = await backend.subscribe(topic)
        await held(backend, waiting(backend, "one", "turn"))

        await backend.commit(commit(backend, "s", changes=append(b"a"), fence=Fence(grant.fence, "zero")))

        assert await subscription.wait(10)
        await held(backend, lease("hasty", "turn"))
        await granted(backend, waiting(backend, "one", "turn"))
        await backend.unsubscribe(topic, subscription)

    @both
    async def test_who_gives_up_leaves_the_line(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        await held(backend, waiting(backend, "one", scope))
        await held(backend, waiting(backend, "two", scope))

        assert await backend.release(lease("one", scope), 0) is True

        assert (await held(backend, waiting(backend, "two", scope))).place == 0
        assert await backend.release(lease("one", scope), 0) is False
        await backend.release(lease("zero", scope), grant.fence)
        await granted(backend, waiting(backend, "two", scope))

    @both
    async def test_the_first_in_line_that_gives_up_wakes_the_next(
        self, backend: Backend, scope: Scope
    ) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("zero", scope))
        topic = Topic(scope, "s", "two")
        subscription = await backend.subscribe(topic)
        await held(backend, waiting(backend, "one", scope))
        await held(backend, waiting(backend, "two", scope))
        await backend.release(lease("zero", scope), grant.fence)

        await backend.release(lease("one", scope), 0)

        assert await subscription.wait(10)
        await granted(backend, waiting(backend, "two", scope))
        await backend.unsubscribe(topic, subscription)

    @both
    async def test_an_owner_that_gives_up_lets_go(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        await granted(backend, lease("zero", scope))

        assert await backend.release(lease("zero", scope), 0) is True

        await granted(backend, lease("one", scope))

    async def test_who_waits_for_the_turn_of_a_session_that_went_is_told(self, backend: Backend) -> None:
        await make(backend, "s")
        grant = await granted(backend, turn_of("zero"))
        topic = Topic("turn", "s", "two")
        subscription = await backend.subscribe(topic)
        requests = [replace(waiting(backend, owner, "turn"), must_exist=True) for owner in ("one", "two")]
        for request in requests:
            await held(backend, request)
        await backend.delete("s")
        await backend.release(turn_of("zero"), grant.fence)

        assert (await granted(backend, requests[0])).fence == 0
        assert await subscription.wait(10)
        assert (await granted(backend, requests[1])).fence == 0
        await granted(backend, turn_of("three"))
        await backend.unsubscribe(topic, subscription)

    @both
    async def test_a_request_that_comes_late_takes_nothing(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        late = replace(waiting(backend, "late", scope), not_after_ms=backend.now_ms() - 1_000)

        with pytest.raises(BackendUnavailableError, match="not-after"):
            await backend.acquire(late)

        grant = await granted(backend, lease("one", scope))
        with pytest.raises(BackendUnavailableError, match="not-after"):
            await backend.acquire(late)
        await backend.release(lease("one", scope), grant.fence)
        in_time = replace(lease("two", scope), not_after_ms=backend.now_ms() + 60_000)
        await granted(backend, in_time)

    async def test_a_waiter_does_not_hold_up_the_holder(self, backend: Backend) -> None:
        grant = await granted(backend, lease("zero", "lock", ttl_ms=1_000))
        await held(backend, waiting(backend, "one", "lock"))

        assert await backend.renew(lease("zero", "lock"), grant.fence) is True
        await asyncio.sleep(0)
        assert (await granted(backend, lease("zero", "lock"))).fence == grant.fence
        assert (await held(backend, waiting(backend, "one", "lock"))).place == 0
