"""Promises of counters: int64, added to without conflicts, and of a type of their own."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store.errors import StateTypeError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, eventually, texts
from miniagent_store.values import Session

INT64_MAX, INT64_MIN = 2**63 - 1, -(2**63)


class CounterPromises(ConformanceBase):
    """`state.add`."""

    async def test_a_counter_starts_at_zero(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)

        assert await state.add("n") == 1
        assert await state.add("n", 41) == 42
        assert await state.add("n", -50) == -8
        assert await state.get("n") == -8
        assert [tuple(each) for each in await state.scan()] == [("n", -8)]

    async def test_adding_at_once_loses_nothing(self, store: SessionStore, session: Session) -> None:
        totals = await asyncio.gather(*[store.state(session.id).add("n") for _ in range(20)])

        assert sorted(totals) == list(range(1, 21))

    async def test_a_batch_tells_its_counters_in_order(self, store: SessionStore, session: Session) -> None:
        async with store.batch(session.id) as batch:
            batch.state.add("a", 5)
            batch.state.add("b", 7)
            batch.state.add("a", 1)

        assert batch.result is not None
        assert batch.result.counters == (5, 7, 6)

    @pytest.mark.parametrize(("limit", "step"), [(INT64_MAX, 1), (INT64_MIN, -1)])
    async def test_a_counter_stays_within_int64(
        self, store: SessionStore, session: Session, limit: int, step: int
    ) -> None:
        state = store.state(session.id)

        assert await state.add("n", limit) == limit
        with pytest.raises(StateTypeError):
            await state.add("n", step)
        with pytest.raises(StateTypeError):
            await state.add("other", limit + step)
        assert await state.get("n") == limit
        assert await state.add("n", -step) == limit - step

    async def test_adding_to_another_value_is_an_error(self, store: SessionStore, session: Session) -> None:
        state = store.state(session.id)
        await state.set("n", 1)
        before = await store.get(session.id)

        with pytest.raises(StateTypeError):  # noqa: PT012 - the block is what is tested
            async with store.batch(session.id) as batch:
                batch.append({"content": "lost"})
                batch.state.add("n")

        assert await store.get(session.id) == before
        assert await texts(store, session.id) == []

    async def test_a_counter_may_be_set_and_deleted_like_any_value(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)
        version = await state.set("other", 1)
        await state.add("n", 5)

        await state.set("n", "text", if_version=version + 1)
        assert await state.get("n") == "text"
        assert await state.delete("n")
        assert await state.add("n") == 1

    async def test_a_counter_weighs_nothing(self, store: SessionStore, session: Session) -> None:
        await store.state(session.id).add("n", 10**18)

        assert (await store.get(session.id)).size == session.size

    async def test_an_expired_value_is_no_obstacle_to_a_counter(
        self, store: SessionStore, session: Session
    ) -> None:
        state = store.state(session.id)
        await state.set("n", "text", ttl=0.05)

        async def is_gone() -> bool:
            return await state.get("n") is None

        await eventually(is_gone)
        assert await state.add("n") == 1
        assert (await store.get(session.id)).size == session.size
