"""Every promise of an index of vectors, as a test that any index can be pointed at."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from array import array
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio

from miniagent_store.backend import ReadPlan
from miniagent_store.factory import open_store
from miniagent_store.store.memory.filters import checked, holds
from miniagent_store.store.memory.layout import KIND, packed, record_of
from miniagent_store.testing.conformance.base import backend_of
from miniagent_store.vector_index import (
    IndexedVector,
    IndexFactory,
    IndexGone,
    IndexPlace,
    IndexQuery,
    VectorIndex,
)

DIMENSIONS = 16
HOUR_MS = 3_600_000
# Of cosines that were summed in another order, or of what an index has rounded.
EPSILON = 1e-6
HOSTILE = ["", "*", "'; DROP TABLE x; --", '" or "" == "', "$where", "a\0b", "{}", "ü" * 300, "x" * 4000]


class Scope:
    """An index, and what it should hold.

    Attributes:
        index: the one under test.
        known: by id.
        now_ms: for queries.
    """

    def __init__(self, factory: IndexFactory, place: IndexPlace, incarnation: str) -> None:
        self._factory, self._place, self._incarnation = factory, place, incarnation
        self.index: VectorIndex = factory.make(place)
        self.known: dict[str, IndexedVector] = {}
        self.now_ms: int = int(time.time() * 1000)
        self.number: int = 0

    def another(self) -> VectorIndex:
        """The index as another process has it."""
        return self._factory.make(self._place)

    def upto(self) -> str:
        """Where the record is after one more change."""
        self.number += 1
        return f"{self._incarnation}:{self.number}"

    async def put(self, *added: IndexedVector, removed: Sequence[str] = (), anew: bool = False) -> None:
        """One change, to the index and to what it should hold."""
        await self.index.applied()
        await self.index.apply(added, removed, self.upto(), anew=anew)
        if anew:
            self.known.clear()
        for each in removed:
            self.known.pop(each, None)
        self.known.update({each.id: each for each in added})

    def nearest(self, query: IndexQuery) -> list[tuple[str, float]]:
        """Ids and cosines, the nearest first, equals by id."""
        found = [
            (each.id, cosine(each.vector, query.vector))
            for each in self.known.values()
            if (each.expires_ms is None or each.expires_ms > query.now_ms)
            and (query.after_ms is None or each.time_ms > query.after_ms)
            and (query.before_ms is None or each.time_ms < query.before_ms)
            and holds(query.filter, each.metadata)
        ]
        found.sort(key=lambda each: (-each[1], each[0]))
        return found[: query.k]

    async def check(self, seed: int = 0, k: int = 10, **more: Any) -> list[str]:
        """Search, and compare; the ids that were found."""
        more["filter"] = checked(more.get("filter"))
        query = IndexQuery(vector(seed), k, **{"now_ms": self.now_ms, **more})
        await self.index.applied()
        found = await self.index.search(query)
        wanted = self.nearest(query)
        ids = [id for id, _ in found]
        assert len(set(ids)) == len(ids), "an id was found twice"
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        if not self.index.capabilities.exact:
            # Candidates: more than these may come, and whoever asked looks at them.
            assert {id for id, _ in wanted} <= set(ids), "of the nearest some are no candidates"
            return [id for id, _ in wanted]
        assert len(found) == len(wanted)
        for (id, score), (other, nearness) in zip(found, wanted, strict=True):
            assert abs(score - nearness) < EPSILON
            assert id == other or abs(cosine(self.known[id].vector, query.vector) - nearness) < EPSILON
        return ids


def vector(seed: int) -> bytes:
    """The same for the same seed."""
    dice = random.Random(seed)
    return packed([dice.gauss(0, 1) for _ in range(DIMENSIONS)])


def cosine(one: bytes, other: bytes) -> float:
    return math.fsum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


def one(id: str, seed: int, metadata: Mapping[str, Any] | None = None, **more: Any) -> IndexedVector:
    return IndexedVector(id, vector(seed), metadata or {}, **{"time_ms": 1000, **more})


# The loop's scope is fixed: a store belongs to one loop, and the author's settings may say another.
@pytest.mark.asyncio(loop_scope="function")
class VectorIndexConformance:
    """All promises. Subclass it as ``Test…`` and give a fixture `factory`, an `IndexFactory`.

    An index that stands on a server needs a fixture `store_url` too. One that is not exact may give more
    candidates than were asked for; the nearest have to be among them, in a scope as small as here.

    Example:
        >>> class TestMyIndex(VectorIndexConformance):
        ...     @pytest.fixture
        ...     def factory(self):
        ...         return IndexFactory(MyIndex, IndexCapabilities(exact=True))
    """

    @pytest.fixture
    def factory(self) -> IndexFactory:
        """The factory under test; the author's to give."""
        raise NotImplementedError("give your test class a fixture factory that returns an IndexFactory")

    @pytest.fixture
    def store_url(self) -> str:
        """Of the store on which the index stands."""
        return "memory://"

    @pytest_asyncio.fixture(loop_scope="function")
    async def scope(self, factory: IndexFactory, store_url: str) -> AsyncGenerator[Scope, None]:
        """An index that was never filled, of a scope of its own."""
        async with open_store(store_url, namespace=f"test-{os.urandom(6).hex()}") as store:
            record_id = record_of("conformance")
            await store.create(record_id, kind=KIND)
            backend = backend_of(store)
            record = (await backend.read(ReadPlan(record_id))).record
            assert record is not None
            place = IndexPlace(backend, record_id, "conformance", DIMENSIONS)
            await factory.check(place)
            yield Scope(factory, place, record.incarnation)

    async def test_it_is_what_its_factory_says(self, factory: IndexFactory, scope: Scope) -> None:
        assert scope.index.capabilities == factory.capabilities
        assert isinstance(await factory.suits(scope._place), bool)

    async def test_one_that_was_never_filled_has_to_be(self, scope: Scope) -> None:
        assert await scope.index.applied() is None
        with pytest.raises(IndexGone):
            await scope.index.apply([one("a", 1)], (), scope.upto())
        assert await scope.index.applied() is None

    async def test_what_is_nearest_is_found(self, scope: Scope) -> None:
        await scope.put(*(one(f"m{number:02}", number) for number in range(60)), anew=True)
        for seed in (0, 7, 1000):
            for k in (1, 3, 10, 59, 60, 1000):
                await scope.check(seed, k)
        assert await scope.check(7, 1) == ["m07"]

    async def test_it_tells_how_far_it_is(self, scope: Scope) -> None:
        await scope.put(one("a", 1), anew=True)
        first = await scope.index.applied()
        assert first is not None
        assert first.endswith(":1")
        await scope.put(one("b", 2))
        assert await scope.index.applied() == first[:-1] + "2"
        await scope.put()
        assert await scope.index.applied() == first[:-1] + "3"
        assert sorted(await scope.check()) == ["a", "b"]

    async def test_an_empty_one_is_filled_too(self, scope: Scope) -> None:
        await scope.put(anew=True)
        assert await scope.index.applied() is not None
        assert await scope.check() == []
        await scope.put(one("a", 1))
        assert await scope.check() == ["a"]

    async def test_what_is_put_again_is_replaced(self, scope: Scope) -> None:
        await scope.put(one("a", 1, {"n": 1}), one("b", 2), anew=True)
        await scope.put(one("a", 3, {"n": 2}, time_ms=5000))
        assert await scope.check(3, 1) == ["a"]
        assert await scope.check(filter={"n": 2}) == ["a"]
        assert await scope.check(filter={"n": 1}) == []
        assert await scope.check(after_ms=4000) == ["a"]

    async def test_what_is_removed_is_not_found(self, scope: Scope) -> None:
        await scope.put(*(one(f"m{number}", number) for number in range(9)), anew=True)
        await scope.put(one("new", 20), removed=["m3", "m4", "never there"])
        assert len(await scope.check()) == 8
        await scope.put(removed=["m3", *scope.known])
        assert await scope.check() == []
        await scope.put(one("m3", 3))
        assert await scope.check() == ["m3"]

    async def test_the_same_changes_may_come_again(self, scope: Scope) -> None:
        await scope.put(one("a", 1), one("b", 2), anew=True)
        for _ in range(2):
            await scope.put(one("a", 1), one("c", 3), removed=["b"])
        assert sorted(await scope.check()) == ["a", "c"]

    async def test_until_the_last_page_nothing_was_applied(self, scope: Scope) -> None:
        index = scope.index
        await index.applied()
        await index.apply([one("a", 1)], (), None, anew=True)
        assert await index.applied() is None
        await index.apply([one("b", 2)], (), None)
        assert await index.applied() is None
        await index.apply([one("c", 3)], (), scope.upto())
        assert await index.applied() is not None
        scope.known = {each.id: each for each in (one("a", 1), one("b", 2), one("c", 3))}
        assert sorted(await scope.check()) == ["a", "b", "c"]

    async def test_anew_is_with_nothing_that_was_before(self, scope: Scope) -> None:
        await scope.put(one("a", 1), one("b", 2), anew=True)
        await scope.put(one("b", 4), one("c", 3), anew=True)
        assert sorted(await scope.check()) == ["b", "c"]
        await scope.put(anew=True)
        assert await scope.check() == []

    async def test_after_it_is_dropped_it_has_to_be_filled(self, scope: Scope) -> None:
        await scope.put(one("a", 1), anew=True)
        await scope.index.drop()
        assert await scope.index.applied() is None
        await scope.put(one("b", 2), anew=True)
        assert await scope.check() == ["b"]
        await scope.index.drop()
        await scope.index.drop()

    async def test_what_has_expired_is_not_found(self, scope: Scope) -> None:
        later = scope.now_ms + HOUR_MS
        await scope.put(one("a", 1, expires_ms=later), one("b", 2), anew=True)
        assert sorted(await scope.check(now_ms=later - 1)) == ["a", "b"]
        assert await scope.check(now_ms=later) == ["b"]
        await scope.put(one("a", 1))
        assert sorted(await scope.check(now_ms=later)) == ["a", "b"]

    async def test_times_are_exclusive(self, scope: Scope) -> None:
        await scope.put(*(one(str(ms), ms, time_ms=ms) for ms in (-5, 0, 1, 2, 3)), anew=True)
        assert sorted(await scope.check(after_ms=0)) == ["1", "2", "3"]
        assert sorted(await scope.check(before_ms=0)) == ["-5"]
        assert sorted(await scope.check(after_ms=0, before_ms=3)) == ["1", "2"]
        assert await scope.check(after_ms=1, before_ms=1) == []

    @pytest.mark.parametrize(
        "filter",
        [
            {"n": 1},
            {"n": 1.0},
            {"n": True},
            {"n": None},
            {"n": "1"},
            {"n": {"$ne": 1}},
            {"n": {"$gt": 1}},
            {"n": {"$gte": 1, "$lt": 2**53}},
            {"n": {"$lte": "b"}},
            {"n": {"$in": [1, "b", None]}},
            {"n": {"$in": []}},
            {"n": 2**53 + 1},
            {"n": {"$gt": 2**53}},
            {"n": {"$ne": 2**53}},
            {"n": {"$lte": 2**53}},
            {"n": {"$lt": -1e-9}},
            {"n": {"$gt": 0, "$ne": 5e-324}, "t": "x"},
            {"n": 10**400},
            {"n": {"$lt": 10**400}},
            {"n": math.nan},
            {"missing": None},
            {"missing": {"$ne": None}},
        ],
    )
    async def test_filters_let_pass_what_they_say(self, scope: Scope, filter: dict[str, Any]) -> None:
        values = [1, 1.5, True, False, None, "1", "b", 0, -1, 2**53, 2**53 + 1, -1e-9, 5e-324, 1e300, [1]]
        new = [one(f"v{at}", at, {"n": value, "t": "x"}) for at, value in enumerate(values)]
        await scope.put(*new, one("without", 50), one("other", 51, {"t": "y"}), anew=True)
        await scope.check(k=50, filter=filter)
        await scope.check(k=2, filter=filter)

    async def test_what_callers_wrote_is_never_part_of_a_query(self, scope: Scope) -> None:
        new = [one(f"{at}{text[:100]}", at, {text or "x": text}) for at, text in enumerate(HOSTILE)]
        await scope.put(*new, anew=True)
        for at, text in enumerate(HOSTILE):
            name = text or "x"
            if name.isprintable() and len(name.encode()) <= 1000 and not name.startswith("$"):
                assert await scope.check(filter={name: text}) == [new[at].id]
            await scope.check(filter={"x": text})
        await scope.put(removed=[each.id for each in new])
        assert await scope.check() == []

    async def test_a_vector_without_a_direction_is_taken(self, scope: Scope) -> None:
        nothing = packed([0.0] * DIMENSIONS)
        await scope.put(IndexedVector("zero", nothing, {}, 1000), one("a", 1), anew=True)
        assert set(await scope.check(1, 1)) == {"a"}
        found = await scope.index.search(IndexQuery(nothing, 5, now_ms=scope.now_ms))
        assert {id for id, _ in found} <= {"zero", "a"}

    async def test_equals_are_all_found(self, scope: Scope) -> None:
        await scope.put(*(one(f"m{number}", number % 2) for number in range(8)), anew=True)
        found = await scope.check(1, 4)
        assert sorted(found) == ["m1", "m3", "m5", "m7"]
        if scope.index.capabilities.exact:
            assert found == sorted(found), "equals are in the order of their ids"

    async def test_searches_beside_changes_find_one_or_the_other(self, scope: Scope) -> None:
        await scope.put(one("a", 1), one("b", 2), anew=True)

        async def search() -> None:
            for _ in range(10):
                try:
                    found = await scope.index.search(IndexQuery(vector(1), 2, now_ms=scope.now_ms))
                except IndexGone:
                    await asyncio.sleep(0)
                else:
                    ids = [id for id, _ in found]
                    assert len(set(ids)) == len(ids)

        async def change() -> None:
            for number in range(10):
                await scope.put(one("a", number), removed=["b"] if number % 2 else ())

        await asyncio.gather(search(), change(), search())
        await scope.check()

    async def test_whether_others_see_it_is_as_declared(self, scope: Scope) -> None:
        await scope.put(one("a", 1), anew=True)
        other = scope.another()
        if not scope.index.capabilities.shared:
            assert await other.applied() is None
            return
        assert await other.applied() == await scope.index.applied()
        await other.apply([one("b", 2)], (), scope.upto())
        scope.known["b"] = one("b", 2)
        assert sorted(await scope.check()) == ["a", "b"]

    async def test_through_all_changes_it_is_what_it_should_be(self, scope: Scope) -> None:
        dice = random.Random(21)
        await scope.put(anew=True)
        for _ in range(40):
            new = {
                f"m{dice.randrange(30)}": {"n": dice.choice([None, 1, 2, 3.5, "x", True])}
                for _ in range(dice.randrange(5))
            }
            gone = {f"m{dice.randrange(30)}" for _ in range(dice.randrange(3))} - set(new)
            added = [
                one(id, dice.randrange(50), each, time_ms=dice.randrange(9)) for id, each in new.items()
            ]
            await scope.put(*added, removed=sorted(gone), anew=dice.random() < 0.05)
            k, limit = dice.choice([1, 5, 30]), dice.choice([None, 3, 6])
            await scope.check(dice.randrange(50), k)
            await scope.check(dice.randrange(50), k, filter={"n": {"$gte": 2}}, after_ms=limit)
            await scope.check(dice.randrange(50), k, filter={"n": {"$ne": 1}}, before_ms=limit)
