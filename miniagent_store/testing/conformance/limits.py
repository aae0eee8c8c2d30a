"""Promises of limits: how often, and how big."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

import pytest

from miniagent_store.backend import Backend, ReadPlan, StateAdd, Truncate
from miniagent_store.errors import InvalidArgumentError, RateLimitedError, SessionTooLargeError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    OpenHere,
    append,
    commit,
    eventually,
    make,
    say,
    texts,
)
from miniagent_store.values import Message, RateLimit, Session

Algorithm = Literal["fixed", "sliding", "bucket"]
ALGORITHMS: list[Algorithm] = ["fixed", "sliding", "bucket"]
every_algorithm: pytest.MarkDecorator = pytest.mark.parametrize("algorithm", ALGORITHMS)


class LimitPromises(ConformanceBase):
    """Rate limits and size limits."""

    @every_algorithm
    async def test_so_many_are_allowed_and_no_more(self, store: SessionStore, algorithm: Algorithm) -> None:
        answers = [await store.rate_limit("key", 3, "1h", algorithm=algorithm) for _ in range(5)]

        assert [bool(each) for each in answers] == [True, True, True, False, False]
        assert [each.remaining for each in answers] == [2, 1, 0, 0, 0]
        assert [each.retry_after > 0 for each in answers] == [False, False, False, True, True]
        assert answers[-1].retry_after <= 2 * 3600

    @every_algorithm
    async def test_no_more_are_allowed_at_once(self, store: SessionStore, algorithm: Algorithm) -> None:
        answers = await asyncio.gather(
            *[store.rate_limit("key", 7, "1h", algorithm=algorithm) for _ in range(20)]
        )

        assert sum(map(bool, answers)) == 7

    @every_algorithm
    async def test_a_limit_is_shared_between_stores(
        self, store: SessionStore, other: SessionStore, algorithm: Algorithm
    ) -> None:
        for each in (store, other):
            assert await each.rate_limit("key", 2, "1h", algorithm=algorithm)

        assert not await store.rate_limit("key", 2, "1h", algorithm=algorithm)

    @every_algorithm
    async def test_it_is_allowed_again_after_a_while(
        self, store: SessionStore, algorithm: Algorithm
    ) -> None:
        async def allowed() -> RateLimit:
            return await store.rate_limit("key", 1, 0.2, algorithm=algorithm)

        assert await allowed()
        await eventually(allowed)

    async def test_retry_after_is_long_enough(self, store: SessionStore) -> None:
        async def wait_as_told(algorithm: Algorithm) -> RateLimit:
            assert await store.rate_limit(algorithm, 2, 0.3, algorithm=algorithm, cost=2)
            again = await store.rate_limit(algorithm, 2, 0.3, algorithm=algorithm)
            if not again:  # else the period ended meanwhile
                await asyncio.sleep(again.retry_after + 0.02)
                again = await store.rate_limit(algorithm, 2, 0.3, algorithm=algorithm)
            return again

        answers = await asyncio.gather(*map(wait_as_told, ALGORITHMS))

        assert [each.allowed for each in answers] == [True, True, True]

    @every_algorithm
    async def test_one_may_cost_more(self, store: SessionStore, algorithm: Algorithm) -> None:
        first = await store.rate_limit("key", 10, "1h", algorithm=algorithm, cost=8)
        refused = await store.rate_limit("key", 10, "1h", algorithm=algorithm, cost=3)
        small = await store.rate_limit("key", 10, "1h", algorithm=algorithm, cost=2)

        assert (first.allowed, first.remaining) == (True, 2)
        assert (refused.allowed, refused.remaining) == (False, 2)
        assert (small.allowed, small.remaining) == (True, 0)

    async def test_keys_are_limited_apart(self, store: SessionStore) -> None:
        assert await store.rate_limit("user:ada", 1, "1h")
        assert await store.rate_limit("user:bob", 1, "1h")
        assert not await store.rate_limit("user:ada", 1, "1h")

    async def test_it_tells_the_limit_and_when_all_is_free_again(self, store: SessionStore) -> None:
        for algorithm in ALGORITHMS:
            first = await store.rate_limit("key", 2, 100, algorithm=algorithm)
            second = await store.rate_limit("key", 2, 100, algorithm=algorithm)
            refused = await store.rate_limit("key", 2, 100, algorithm=algorithm)

            assert (first.limit, refused.limit) == (2, 2)
            assert 40 < first.reset_after <= 100.5
            assert 90 < second.reset_after <= 100.5
            assert "Retry-After" not in second.headers()
            assert int(refused.headers()["Retry-After"]) >= refused.retry_after > 0

    async def test_a_bucket_holds_its_burst(self, store: SessionStore) -> None:
        answers = [await store.rate_limit("b", 100, "1h", algorithm="bucket", burst=2) for _ in range(3)]

        assert [each.allowed for each in answers] == [True, True, False]
        assert 35 <= answers[-1].retry_after <= 36

    @every_algorithm
    async def test_a_limit_can_be_forgotten(self, store: SessionStore, algorithm: Algorithm) -> None:
        assert await store.rate_limit("key", 1, "1h", algorithm=algorithm)
        assert not await store.rate_limit("key", 1, "1h", algorithm=algorithm)

        await store.reset_rate_limit("key")
        await store.reset_rate_limit("nothing there")

        assert await store.rate_limit("key", 1, "1h", algorithm=algorithm)

    async def test_a_function_runs_as_often_as_allowed(self, store: SessionStore) -> None:
        calls: list[str] = []

        @store.rate_limited(2, "1h", key=lambda user: f"user:{user}")
        async def tool(user: str) -> str:
            calls.append(user)
            return user

        assert [await tool("ada"), await tool("ada"), await tool("bob")] == ["ada", "ada", "bob"]
        with pytest.raises(RateLimitedError, match="user:ada") as caught:
            await tool("ada")
        assert 3500 < caught.value.retry_after <= 3600
        assert calls == ["ada", "ada", "bob"]

    async def test_a_function_waits_where_it_may(self, store: SessionStore) -> None:
        @store.rate_limited(1, 0.3, algorithm="sliding", wait=20)
        async def tool() -> float:
            return time.monotonic()

        first, second, third = [await tool() for _ in range(3)]

        # An answer may come late, and then the next one seems to come soon.
        assert min(second - first, third - second) > 0.15

    async def test_impossible_limits_are_refused(self, store: SessionStore) -> None:
        impossible: list[dict[str, Any]] = [
            {"cost": 11},
            {"burst": 5},
            {"algorithm": "bucket", "burst": 5, "cost": 6},
        ]
        for wrong in impossible:
            with pytest.raises(InvalidArgumentError):
                store.rate_limited(10, "1m", **wrong)
        with pytest.raises(InvalidArgumentError):
            await store.rate_limit("key", 10**9, "30d", algorithm="bucket")
        for limit, period, cost in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (1, -1, 1)):
            with pytest.raises(InvalidArgumentError):
                await store.rate_limit("key", limit, period, cost=cost)
        with pytest.raises(InvalidArgumentError):
            await store.rate_limit("key", 1, 1, algorithm="guess")  # type: ignore[arg-type]

    # Sizes

    async def test_the_size_counts_entries_state_and_metadata(self, store: SessionStore) -> None:
        empty = (await store.create("s")).size
        with_metadata = (await store.update("s", metadata={"m": "x" * 100})).size
        with_message = (await say(store, "s", "x" * 1000)).size
        await store.state("s").set("name", "x" * 500)
        with_state = (await store.get("s")).size

        assert empty == 0
        assert 100 < with_metadata < 200
        assert 1000 < with_message - with_metadata < 1100
        assert 500 < with_state - with_message < 600

    async def test_what_is_taken_away_no_longer_counts(self, store: SessionStore) -> None:
        await store.create("s")
        await say(store, "s", "a" * 100, "b" * 100, "c" * 100, "d" * 100)
        await say(store, "s", "e" * 100, log="events")
        await store.state("s").set("one", "x" * 100)
        await store.state("s").set("one", "y" * 10)
        await store.state("s").set("p/1", "x" * 100)
        await store.state("s").set("p/2", "x" * 100)
        await store.update("s", metadata={"m": 1})

        await store.pop("s")
        await store.trim("s", before=2)
        await store.replace("s", [Message.user("short")], from_seq=3)
        await store.redact("s", 2, reason="x")
        await store.clear("s")
        await store.state("s").delete_prefix("p/")
        await store.state("s").delete("one")
        await store.update("s", metadata={})

        assert (await store.get("s")).size == 0

    async def test_a_session_over_its_limit_is_refused(self, open_here: OpenHere) -> None:
        store = await open_here(max_session_size=1000)
        await store.create("s")
        before = await say(store, "s", "x" * 600)

        with pytest.raises(SessionTooLargeError) as refused:
            await say(store, "s", "x" * 600)
        with pytest.raises(SessionTooLargeError):
            await store.state("s").set("name", "x" * 600)
        with pytest.raises(SessionTooLargeError):
            await store.update("s", metadata={"m": "x" * 600})

        assert refused.value.limit == 1000
        assert refused.value.size > 1000
        assert await store.get("s") == before
        await say(store, "s", "short")

    async def test_a_new_session_over_its_limit_is_not_made(self, open_here: OpenHere) -> None:
        store = await open_here(max_session_size=100)

        with pytest.raises(SessionTooLargeError):
            await store.append("s", Message.user("x" * 600), create=True)
        with pytest.raises(SessionTooLargeError):
            await store.create("s", metadata={"m": "x" * 600})

        assert list(await store.list()) == []

    async def test_what_is_taken_away_makes_room_in_the_same_commit(self, open_here: OpenHere) -> None:
        store = await open_here(max_session_size=1000)
        await store.create("s")
        await say(store, "s", "x" * 400, "y" * 400)

        await store.replace("s", [Message.user("z" * 700)])

        assert await texts(store, "s") == ["z" * 700]

    async def test_a_session_that_is_too_large_may_shrink(self, backend: Backend) -> None:
        # As after the limit was lowered.
        await make(backend, "s", b"x" * 100, b"y" * 100, b"z" * 100)

        smaller = (Truncate("messages", 2), *append(b"w" * 50))
        await backend.commit(commit(backend, "s", 1, changes=smaller, max_size=80))
        await backend.commit(commit(backend, "s", 2, state=(StateAdd("n", 1),), max_size=80))
        with pytest.raises(SessionTooLargeError):
            await backend.commit(commit(backend, "s", 3, changes=append(b"v"), max_size=80))

        record = (await backend.read(ReadPlan("s"))).record
        assert record is not None
        assert (record.size, record.version) == (250, 3)

    async def test_other_kinds_have_no_size_limit(self, open_here: OpenHere) -> None:
        store = await open_here(max_session_size=100)
        await store.create("t", kind="thread")

        await store.append("t", Message.user("x" * 1000))

        assert await store.count("t") == 1

    async def test_a_message_over_its_limit_is_refused(self, open_here: OpenHere) -> None:
        store = await open_here(max_message_size=500)
        made: Session = await store.create("s")

        with pytest.raises(SessionTooLargeError):
            await store.append("s", Message.user("fits"), Message.user("x" * 600))

        assert await store.get("s") == made
