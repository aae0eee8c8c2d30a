"""Promises of running a store: opening, closing, health, statistics, sweeping."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store.backend import Backend, Topic
from miniagent_store.errors import StoreClosedError
from miniagent_store.factory import open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    OpenHere,
    eventually,
    gone,
    say,
    soon,
    texts,
)
from miniagent_store.values import Message, Session


class RunningPromises(ConformanceBase):
    """Life cycle and self-knowledge."""

    async def test_a_store_opens_at_its_first_call(
        self, store_url: str, store_options: dict[str, Any]
    ) -> None:
        store = open_store(store_url, **{"namespace": "lazy", **store_options})

        await store.create("lazy", exist_ok=True)
        await store.delete("lazy")

        await store.close()

    async def test_a_closed_store_says_so(self, store: SessionStore, session: Session) -> None:
        await store.close()
        await store.close()

        for call in (
            store.get(session.id),
            store.append(session.id, Message.user("late")),
            store.list(),
            store.cache.get("key"),
            store.rate_limit("key", 1, 1),
            store.health(),
            store.stats(),
            store.sweep(),
            store.open(),
        ):
            with pytest.raises(StoreClosedError):
                await call
        with pytest.raises(StoreClosedError):
            async with store.lock("job"):
                pass

    async def test_closing_a_store_harms_no_other(self, store: SessionStore, other: SessionStore) -> None:
        await store.create("s")
        await other.close()

        assert (await say(store, "s", "a")).message_count == 1

    async def test_what_was_committed_survives_closing(
        self, store: SessionStore, backend: Backend, open_here: OpenHere
    ) -> None:
        if not backend.capabilities.durable:
            pytest.skip("what this backend holds ends with it")
        await store.create("s", metadata={"m": 1}, tags=["t"])
        await store.append("s", Message.user("a", id="m1"))
        await store.state("s").set("name", 1)
        left = await store.get("s")
        await store.close()

        again = await open_here()

        assert await again.get("s") == left
        await again.append("s", Message.user("a", id="m1"))
        assert await texts(again, "s") == ["a"]
        assert await again.state("s").get("name") == 1

    async def test_health_of_a_well_store(self, store: SessionStore, backend: Backend) -> None:
        health = await store.health()

        assert health.ok
        assert health.backend == backend.name
        assert health.latency is not None
        assert health.problems == ()

    async def test_stats_count_what_is_held(self, store: SessionStore) -> None:
        await store.create("s1", user_id="ada", agent="helper")
        await store.create("s2", user_id="ada", agent="coder")
        await store.create("s3", user_id="bob", agent="helper")
        await store.create("t1", user_id="eve", agent="other", kind="thread")
        await say(store, "s1", "a", "b")
        await say(store, "s1", "e", log="events")
        await say(store, "s2", "c")

        stats = await store.stats()

        assert stats.sessions == {"session": 3, "thread": 1}
        assert (stats.messages, stats.users) == (3, 2)
        assert stats.agents == {"helper": 2, "coder": 1}
        assert stats.size == sum([(await store.get(each)).size for each in ("s1", "s2", "s3", "t1")])
        assert (stats.commits, stats.problem) == (8, None)

    async def test_stats_forget_what_is_gone(self, store: SessionStore) -> None:
        await store.create("deleted", user_id="ada")
        await store.create("expired", user_id="bob", ttl=0.05)
        await store.delete("deleted")
        await gone(store, "expired")

        stats = await store.stats()

        assert (stats.sessions, stats.messages, stats.size, stats.users) == ({}, 0, 0, 0)

    async def test_each_expired_session_is_swept_once(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        await store.create("there")
        for number in range(5):
            await store.create(f"s{number}", ttl=0.05)
            await gone(store, f"s{number}")

        swept = await asyncio.gather(store.sweep(), other.sweep(), store.sweep())

        # Fewer where the backend reclaims by itself.
        assert sum(swept) <= 5
        assert await store.sweep() == 0
        assert [each.id for each in await store.list()] == ["there"]

    async def test_a_sweep_tells_whose_sessions_they_were(
        self, store: SessionStore, backend: Backend
    ) -> None:
        await store.create("s", user_id="ada", ttl=0.05)
        await store.create("t", kind="thread", ttl=0.05)
        await gone(store, "s")
        await gone(store, "t")

        expired = [each for _ in range(3) for each in await backend.claim_expired(1, 60_000)]

        known = {("s", "session", "ada"), ("t", "thread", None)}
        assert {(each.session_id, each.kind, each.user_id) for each in expired} == known
        assert len(expired) == 2

    async def test_sweeping_leaves_what_lives(self, store: SessionStore) -> None:
        await store.create("s", ttl="1h")
        await say(store, "s", "a")
        await store.state("s").set("short", 1, ttl=0.05)
        await store.state("s").set("ever", 1)
        await store.cache.set("key", 1)
        async with store.lock("job") as lease:
            before = await store.get("s")

            assert await store.sweep() == 0

            assert await texts(store, "s") == ["a"]
            assert await store.state("s").get("ever") == 1
            assert await store.cache.get("key") == 1
            assert not lease.lost
            after = await store.get("s")
            assert (after.version, after.position) == (before.version, before.position)

    async def test_sweeping_reclaims_the_size_of_expired_values(self, store: SessionStore) -> None:
        await store.create("s")
        await store.state("s").set("ever", "x")
        kept = (await store.get("s")).size
        await store.state("s").set("short", "x" * 100, ttl=0.05)

        async def is_gone() -> bool:
            return await store.state("s").get("short") is None

        await eventually(is_gone)

        await store.sweep()
        # What was not swept yet is counted until it is written over.
        await store.state("s").delete("short")

        assert (await store.get("s")).size == kept

    async def test_a_swept_id_is_free(self, store: SessionStore) -> None:
        old = await store.create("s", ttl=0.05)
        await gone(store, "s")
        await store.sweep()

        new = await store.create("s")

        assert new.incarnation != old.incarnation

    async def test_the_backends_clock_goes_forward(self, backend: Backend) -> None:
        first = backend.now_ms()
        await asyncio.sleep(0.05)

        assert 20 <= backend.now_ms() - first < 60_000

    async def test_ending_a_subscription_twice_is_fine(self, backend: Backend) -> None:
        topic = Topic("session", "s")
        one, two = await backend.subscribe(topic), await backend.subscribe(topic)

        await backend.unsubscribe(topic, one)
        await backend.unsubscribe(topic, one)

        await backend.unsubscribe(topic, two)
        await soon(backend.close())
        await soon(backend.close())
