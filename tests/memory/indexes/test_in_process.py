"""Indexes in the process: what they find, while changes come, and how much memory they take."""

from __future__ import annotations

import asyncio
import gc
import time
from functools import partial
from typing import Any

import numpy
import pytest

from miniagent_store.indexing.exact import ExactIndex
from miniagent_store.indexing.room import Room
from miniagent_store.indexing.rows import NEVER
from miniagent_store.vector_index import IndexedVector, IndexGone, IndexQuery, VectorIndex

from .reference import DIMENSIONS, expected, one, place, same, vector

Make = Any


def near(place: Any) -> VectorIndex:
    pytest.importorskip("usearch")
    from miniagent_store.indexing.near import NearIndex

    return NearIndex(place)


@pytest.fixture(params=["exact", "exact:int8", "usearch"])
def make(request: pytest.FixtureRequest) -> Make:
    return {"exact": ExactIndex, "exact:int8": partial(ExactIndex, precision="int8"), "usearch": near}[
        request.param
    ]


@pytest.fixture
def own_room(monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(limit=10_000_000)
    monkeypatch.setattr("miniagent_store.indexing.exact.room", room)
    return room


async def test_what_is_near_is_found_through_all_changes(make: Make) -> None:
    index, memories = make(place()), dict[str, IndexedVector]()
    await index.apply((), (), "x:0", anew=True)
    for step in range(60):
        added = [
            one(f"m{(7 * step + at) % 40}", step * 10 + at, {"n": step % 4}, time_ms=step)
            for at in range(step % 5)
        ]
        removed = [f"m{step % 40}"] if step % 3 == 0 else []
        await index.apply(added, removed, f"x:{step}")
        for each in removed:
            memories.pop(each, None)
        memories |= {each.id: each for each in added}
        assert await index.applied() == f"x:{step}"
        for query in (
            IndexQuery(vector(step), 5),
            IndexQuery(vector(step), 3, {"n": {"$gte": 2}}),
            IndexQuery(vector(step), 50, {"n": {"$in": [1, 3]}}, after_ms=10, before_ms=50),
        ):
            found, wanted = await index.search(query), expected(memories, query)
            if index.capabilities.exact:
                assert same(found, wanted)
            else:
                # Candidates: all that is wanted is among them.
                assert {each for each, _ in wanted} <= {each for each, _ in found}


async def test_equals_are_in_the_order_of_their_ids() -> None:
    index = ExactIndex(place())
    await index.apply([one(f"m{at:03}", 1) for at in range(500)], (), "x:1", anew=True)
    found = await index.search(IndexQuery(vector(1), 7))
    assert [each for each, _ in found] == [f"m{at:03}" for at in range(7)]
    assert len({score for _, score in found}) == 1


async def test_what_has_expired_is_not_found(make: Make) -> None:
    index = make(place())
    await index.apply(
        [one("a", 1, expires_ms=100), one("b", 1, expires_ms=NEVER - 1)], (), "x:1", anew=True
    )
    assert {each for each, _ in await index.search(IndexQuery(vector(1), 5, now_ms=99))} == {"a", "b"}
    assert {each for each, _ in await index.search(IndexQuery(vector(1), 5, now_ms=100))} == {"b"}


async def test_nothing_is_found_before_all_has_come(make: Make) -> None:
    index = make(place())
    with pytest.raises(IndexGone):
        await index.search(IndexQuery(vector(1), 5))
    with pytest.raises(IndexGone):
        await index.apply([one("a", 1)], (), "x:1")
    await index.apply([one("a", 1)], (), None, anew=True)
    assert await index.applied() is None
    with pytest.raises(IndexGone):
        await index.search(IndexQuery(vector(1), 5))
    await index.apply([one("b", 2)], (), "x:1")
    assert len(await index.search(IndexQuery(vector(1), 5))) == 2


async def test_a_vector_of_another_size_is_refused_and_nothing_of_it_stays(make: Make) -> None:
    index = make(place())
    await index.apply([one("a", 1)], (), "x:1", anew=True)
    with pytest.raises(ValueError, match="dimensions"):
        await index.apply([one("b", 2), IndexedVector("c", b"1234", {}, 1)], ["a"], "x:2")
    assert [each for each, _ in await index.search(IndexQuery(vector(1), 5))] == ["a"]


async def test_a_search_finds_all_of_a_moment_while_changes_come(make: Make) -> None:
    """Each change replaces all memories: a search must not find some of one and some of the next."""
    index, size = make(place(dimensions=DIMENSIONS)), 200

    def everything(step: int) -> list[IndexedVector]:
        return [one(f"m{at}", at + 1000 * step, {"step": step}) for at in range(size)]

    await index.apply(everything(0), (), "x:0", anew=True)
    is_done = asyncio.Event()

    async def change() -> None:
        for step in range(1, 7):
            await index.apply(everything(step), (), f"x:{step}")
        is_done.set()

    async def ask() -> int:
        asked = 0
        while not is_done.is_set():
            found = await index.search(IndexQuery(vector(asked), size))
            assert len(found) == len({each for each, _ in found}) == size
            asked += 1
            await asyncio.sleep(0)
        return asked

    _, *asked = await asyncio.gather(change(), *(ask() for _ in range(3)))
    assert all(asked)


async def test_the_dead_are_cleared_away() -> None:
    index = ExactIndex(place())
    await index.apply([one(f"m{at}", at) for at in range(100)], (), "x:0", anew=True)
    for step in range(100):
        await index.apply([one(f"m{at}", at + step, {"step": step}) for at in range(100)], (), f"x:{step}")
    assert index._held is not None
    assert len(index._held.rows) < 5_000
    query = IndexQuery(vector(1), 100, {"step": {"$eq": 99}})
    assert same(
        await index.search(query),
        expected({f"m{at}": one(f"m{at}", at + 99, {"step": 99}) for at in range(100)}, query),
    )


async def test_indexes_share_a_room(own_room: Room) -> None:
    several = [ExactIndex(place()) for _ in range(4)]
    own_room.limit = 250 * 500
    for number, index in enumerate(several):
        await index.apply([one(f"m{at}", at) for at in range(100)], (), f"x:{number}", anew=True)
        await several[0].search(IndexQuery(vector(1), 1))
    # The one that is asked all the time stays; those that were asked longest ago are gone.
    assert [await each.applied() is not None for each in several] == [True, False, False, True]
    assert own_room.bytes <= own_room.limit
    with pytest.raises(IndexGone):
        await several[1].search(IndexQuery(vector(1), 1))

    await several[1].apply([one(f"m{at}", at) for at in range(400)], (), "x:9", anew=True)
    assert [await each.applied() is not None for each in several] == [False, True, False, False]
    await several[1].drop()
    assert own_room.bytes == 0


async def test_an_index_that_nobody_has_takes_no_room(own_room: Room) -> None:
    index = ExactIndex(place())
    await index.apply([one("a", 1)], (), "x:1", anew=True)
    assert own_room.bytes > 0
    del index
    gc.collect()
    assert own_room.bytes == 0


async def test_nobody_waits_while_many_come() -> None:
    """Neither while an index is filled nor while it is asked does the loop stand still."""
    size, dimensions = 20_000, 384
    random = numpy.random.default_rng(1)
    vectors = random.normal(size=(size, dimensions)).astype("<f4")
    index, longest, is_done = ExactIndex(place(dimensions=dimensions)), [0.0], asyncio.Event()
    all_of_it = [IndexedVector(f"m{at}", vectors[at].tobytes(), {"n": at}, 1) for at in range(size)]

    async def look() -> None:
        while not is_done.is_set():
            started = time.thread_time()
            await asyncio.sleep(0)
            # Of this thread's own time: the machine may be busy with others.
            longest.append(time.thread_time() - started)

    watch = asyncio.create_task(look())
    for start in range(0, size, 500):
        upto = "x:1" if start + 500 >= size else None
        await index.apply(all_of_it[start : start + 500], (), upto, anew=start == 0)
    for at in range(10):
        await index.search(IndexQuery(vectors[at].tobytes(), 10, {"n": {"$lt": 15_000}}))
    is_done.set()
    await watch
    assert sorted(longest)[-3] < 0.005


@pytest.mark.parametrize("precision", ["float32", "int8"])
async def test_candidates_of_int8_hold_what_is_nearest(precision: Any) -> None:
    size, dimensions, k = 5_000, 128, 10
    random = numpy.random.default_rng(2)
    centres = random.normal(size=(50, dimensions))
    vectors = centres[random.integers(50, size=size)] + 0.5 * random.normal(size=(size, dimensions))
    vectors = (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")
    index = ExactIndex(place(dimensions=dimensions), precision)
    await index.apply(
        [IndexedVector(f"m{at}", vectors[at].tobytes(), {}, 1) for at in range(size)], (), "x:1", anew=True
    )
    hits = 0
    for at in range(30):
        found = await index.search(IndexQuery(vectors[at].tobytes(), k))
        truth = numpy.argsort(-(vectors @ vectors[at]), kind="stable")[:k]
        hits += len({f"m{each}" for each in truth} & {each for each, _ in found})
    assert hits >= 0.99 * 30 * k
