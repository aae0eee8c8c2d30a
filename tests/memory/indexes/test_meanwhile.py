"""One index answers while another is filled, and when it cannot be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from miniagent_store.errors import CapacityError
from miniagent_store.indexing.exact import ExactIndex
from miniagent_store.store.memory.meanwhile import Meanwhile
from miniagent_store.vector_index import IndexedVector, IndexQuery

from .reference import expected, one, place, same, vector


class Thorough(ExactIndex):
    """Takes each page when it is told to, or never."""

    def __init__(self) -> None:
        super().__init__(place())
        self.may_go_on = asyncio.Event()
        self.is_full = False

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        await self.may_go_on.wait()
        if self.is_full:
            raise CapacityError("the server is out of memory")
        await super().apply(added, removed, upto, anew=anew)


class Both:
    """What stands between, and all that it was told."""

    def __init__(self, least: int = 0) -> None:
        self.thorough = Thorough()
        self.tasks: list[asyncio.Task[None]] = []
        self.memories: dict[str, IndexedVector] = {}
        self.index = Meanwhile(
            self.thorough, lambda: ExactIndex(place()), least=least, later=self._later, scope="ada"
        )

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def fill(self, count: int) -> None:
        """As who finds nothing applied, in two pages."""
        assert await self.index.applied() is None
        all_of_it = [one(f"m{at}", at) for at in range(count)]
        await self.index.apply(all_of_it[: count // 2], (), None, anew=True)
        await self.index.apply(all_of_it[count // 2 :], (), "x:1")
        self.memories = {each.id: each for each in all_of_it}

    async def change(self, number: int) -> None:
        added, removed = [one(f"m{number}", 1000 + number)], [f"m{number + 1}"]
        await self.index.apply(added, removed, f"x:{number}")
        self.memories |= {each.id: each for each in added}
        self.memories.pop(removed[0], None)

    async def check(self) -> None:
        query = IndexQuery(vector(7), 20)
        assert same(await self.index.search(query), expected(self.memories, query))

    @property
    def asks_the_thorough(self) -> bool:
        return self.index._asked is self.thorough


async def test_what_changes_meanwhile_is_in_both() -> None:
    both = Both()
    await both.fill(50)
    for number in range(2, 20, 3):
        await both.change(number)
        await both.check()
    assert await both.index.applied() == "x:17"
    assert not both.asks_the_thorough

    both.thorough.may_go_on.set()
    await asyncio.gather(*both.tasks)
    assert await both.index.applied() == "x:17"
    assert both.asks_the_thorough
    await both.check()
    await both.change(30)
    await both.check()
    assert len(both.tasks) == 1


async def test_what_is_filled_anew_meanwhile_is_not_mixed_up() -> None:
    both = Both()
    await both.fill(50)
    # The one that answers is evicted, and filled anew with others.
    assert isinstance(both.index._quick, ExactIndex)
    both.index._quick.evict()
    assert await both.index.applied() is None
    await both.index.apply([one("other", 1)], (), "x:9", anew=True)
    both.memories = {"other": one("other", 1)}
    both.thorough.may_go_on.set()
    await asyncio.gather(*both.tasks)
    await both.check()
    assert await both.thorough.applied() is None
    both.index._not_before = 0.0
    assert await both.index.applied() == "x:9"
    await asyncio.gather(*both.tasks)
    assert await both.index.applied() == "x:9"
    assert both.asks_the_thorough
    await both.check()


async def test_one_that_cannot_be_filled_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    both = Both()
    both.thorough.is_full = True
    both.thorough.may_go_on.set()
    with caplog.at_level(logging.WARNING):
        await both.fill(50)
        await asyncio.gather(*both.tasks)
    assert "cannot be filled, and is done without: the server is out of memory" in caplog.text
    await both.change(2)
    assert await both.index.applied() == "x:2"
    await both.check()
    assert len(both.tasks) == 1
    # After a while it is tried again.
    both.thorough.is_full = False
    both.index._not_before = 0.0
    await both.index.applied()
    await asyncio.gather(*both.tasks)
    assert await both.index.applied() == "x:2"
    assert both.asks_the_thorough
    await both.check()


async def test_a_small_scope_is_not_worth_it() -> None:
    both = Both(least=40)
    await both.fill(30)
    assert not both.tasks
    await both.index.apply([one(f"n{at}", at) for at in range(20)], (), "x:2")
    both.memories |= {f"n{at}": one(f"n{at}", at) for at in range(20)}
    both.thorough.may_go_on.set()
    await asyncio.gather(*both.tasks)
    assert await both.index.applied() == "x:2"
    assert both.asks_the_thorough
    await both.check()
