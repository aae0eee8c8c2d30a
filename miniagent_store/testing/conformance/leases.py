"""Promises of leases at the backend: acquire, renew, release, and fences that only rise."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from miniagent_store.backend import (
    Backend,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    LogRange,
    ReadPlan,
    StateScan,
)
from miniagent_store.testing.conformance.base import ConformanceBase, eventually, make, payloads
from miniagent_store.testing.conformance.turns import granted, turn_of

Scope = Literal["turn", "lock"]
both: pytest.MarkDecorator = pytest.mark.parametrize("scope", ["turn", "lock"])


def lease(owner: str, scope: Scope, *, ttl_ms: int = 10_000) -> LeaseRequest:
    """A request for the lease "s" of either scope."""
    return LeaseRequest(scope, "s", owner, ttl_ms, holder=f"holder {owner}")


class LeasePromises(ConformanceBase):
    """`acquire`, `renew` and `release`."""

    @both
    async def test_a_free_lease_is_granted(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        now = backend.now_ms()

        grant = await granted(backend, lease("one", scope))

        assert grant.fence > 0
        assert now + 5_000 < grant.expires_ms < now + 15_000

    @both
    async def test_a_held_lease_tells_who_and_for_how_long(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        await granted(backend, lease("one", scope))

        held = await backend.acquire(lease("two", scope))

        assert isinstance(held, LeaseHeld)
        assert held.holder == "holder one"
        assert 0 < held.remaining_ms <= 10_000

    @both
    async def test_the_same_owner_reacquires_with_the_same_fence(
        self, backend: Backend, scope: Scope
    ) -> None:
        await make(backend, "s")
        first = await granted(backend, lease("one", scope, ttl_ms=1_000))

        again = await granted(backend, lease("one", scope))

        assert again.fence == first.fence
        assert again.expires_ms > first.expires_ms

    @both
    async def test_an_ended_lease_goes_to_the_next_with_a_higher_fence(
        self, backend: Backend, scope: Scope
    ) -> None:
        await make(backend, "s")
        first = await granted(backend, lease("one", scope, ttl_ms=50))

        async def take_over() -> LeaseGrant | None:
            grant = await backend.acquire(lease("two", scope))
            return grant if isinstance(grant, LeaseGrant) else None

        second: LeaseGrant = await eventually(take_over)

        assert second.fence > first.fence
        assert await backend.renew(lease("one", scope), first.fence) is False
        assert await backend.release(lease("one", scope), first.fence) is False
        assert isinstance(await backend.acquire(lease("one", scope)), LeaseHeld)

    @both
    async def test_renewing_holds_on(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("one", scope, ttl_ms=500))

        assert await backend.renew(lease("one", scope), grant.fence) is True

        await eventually(lambda: backend.now_ms() > grant.expires_ms + 10)
        assert isinstance(await backend.acquire(lease("two", scope)), LeaseHeld)

    @both
    async def test_only_the_owner_renews_and_releases(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("one", scope))

        assert await backend.renew(lease("two", scope), grant.fence) is False
        assert await backend.release(lease("two", scope), grant.fence) is False
        assert await backend.renew(lease("one", scope), grant.fence - 1) is False
        assert await backend.release(lease("one", scope), grant.fence - 1) is False
        assert await backend.renew(lease("one", scope), grant.fence) is True

    @both
    async def test_a_released_lease_is_free_and_not_released_twice(
        self, backend: Backend, scope: Scope
    ) -> None:
        await make(backend, "s")
        first = await granted(backend, lease("one", scope))

        assert await backend.release(lease("one", scope), first.fence) is True
        assert await backend.release(lease("one", scope), first.fence) is False
        assert await backend.renew(lease("one", scope), first.fence) is False
        second = await granted(backend, lease("two", scope))
        assert second.fence > first.fence

    @both
    async def test_an_owner_that_let_go_gets_a_new_fence(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        first = await granted(backend, lease("one", scope))
        await backend.release(lease("one", scope), first.fence)

        second = await granted(backend, lease("one", scope))

        assert second.fence > first.fence

    @both
    async def test_a_lease_that_ended_cannot_be_renewed(self, backend: Backend, scope: Scope) -> None:
        await make(backend, "s")
        grant = await granted(backend, lease("one", scope, ttl_ms=50))
        await eventually(lambda: backend.now_ms() > grant.expires_ms + 10)

        assert await backend.renew(lease("one", scope), grant.fence) is False

    async def test_a_turn_reads_in_the_same_step(self, backend: Backend) -> None:
        await make(backend, "s", b"1", b"2", metadata=b"m")
        plan = ReadPlan("s", (LogRange("messages", last=1),), scans=(StateScan(),))

        grant = await granted(backend, replace(turn_of("one"), plan=plan))

        assert grant.read is not None
        assert grant.read.record is not None
        assert payloads(grant.read.entries[0]) == [b"2"]
        assert grant.read.record.fence == grant.fence
        assert grant.read.record == (await backend.read(ReadPlan("s"))).record

    async def test_the_turn_of_a_missing_session_holds_nothing_if_it_must_exist(
        self, backend: Backend
    ) -> None:
        request = replace(turn_of("one"), plan=ReadPlan("s"), must_exist=True)

        grant = await granted(backend, request)

        assert grant.read is not None
        assert grant.read.record is None
        await granted(backend, turn_of("two"))

    async def test_the_turn_of_a_missing_session_may_be_held(self, backend: Backend) -> None:
        grant = await granted(backend, replace(turn_of("one"), plan=ReadPlan("s")))

        assert grant.read is not None
        assert grant.read.record is None
        assert isinstance(await backend.acquire(turn_of("two")), LeaseHeld)

    async def test_fences_of_a_turn_outlive_the_session(self, backend: Backend) -> None:
        await make(backend, "s")
        first = await granted(backend, turn_of("one"))
        await backend.release(turn_of("one"), first.fence)
        await backend.delete("s")
        await make(backend, "s")

        second = await granted(backend, turn_of("two"))

        assert second.fence > first.fence

    async def test_a_turn_that_is_held_outlives_the_session(self, backend: Backend) -> None:
        await make(backend, "s")
        await granted(backend, turn_of("one"))
        await backend.delete("s")

        assert isinstance(await backend.acquire(turn_of("two")), LeaseHeld)
