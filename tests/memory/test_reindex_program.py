"""Whatever happens in whatever order while new vectors are made: in the end each text has its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from miniagent_store import ConfigurationError, SessionStore, open_store
from miniagent_store.embedder import Embedder
from miniagent_store.embedding.hashing import HashEmbedder
from miniagent_store.store.memory.scope import MemoryScope
from tests.memory.reindexing import PLACES, Short, check_vectors

pytestmark = PLACES
MODELS = ("hash:512", "short", "other")


class _Agent:
    """Adds, replaces, deletes and searches with whichever model is in use."""

    def __init__(self, stores: Sequence[SessionStore], seed: int) -> None:
        self._chance, self._seed = random.Random(seed), seed
        self._scopes = {
            name: self._chance.choice(stores).memory("ada", embedder=_embedder(name)) for name in MODELS
        }
        self._in_use = MODELS[0]
        self.texts: dict[str, str] = {}

    async def talk(self, turns: int) -> None:
        for turn in range(turns):
            for _ in range(20):
                try:
                    await self._turn(self._scopes[self._in_use], turn)
                    break
                except ConfigurationError:
                    self._in_use = self._chance.choice(MODELS)
            await asyncio.sleep(0)

    async def _turn(self, memory: MemoryScope, turn: int) -> None:
        chance = self._chance
        id = f"{self._seed}-{chance.randrange(30)}"
        if chance.random() < 0.25:
            await memory.delete(id)
            self.texts.pop(id, None)
            return
        # Where it comes again after a change of models, the text is another.
        said = f"Said by {self._seed} {turn} {'abcdefghij'[turn % 10] * 5} {chance.randrange(10**9)}"
        await memory.add(said, id=id, ttl=chance.choice([None, "1h"]))
        self.texts[id] = said
        found = await memory.search(said, k=1, mode="vector")
        assert [(each.id, each.text) for each in found] == [(id, said)]


def _embedder(name: str, chance: random.Random | None = None) -> Embedder:
    async def before(texts: Sequence[str]) -> None:
        if chance is not None:
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)

    if name == MODELS[0]:
        return HashEmbedder()
    return Short(name, before, 96 if name == "short" else 64)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(each, marks=pytest.mark.slow) for each in range(2, 15))]
)
async def test_whatever_the_order(store: SessionStore, store_url: str, seed: int) -> None:
    chance = random.Random(seed)
    async with open_store(store_url) as other, open_store(store_url) as third:
        stores = (store, other, third)
        facts = {f"f{each}": f"Fact {each}" for each in range(130)}
        await store.memory("ada").add_many({"said": said, "id": id} for id, said in facts.items())
        agents = [_Agent(stores, each) for each in range(seed * 10, seed * 10 + 3)]
        talks = asyncio.gather(*(each.talk(60) for each in agents))
        switches = 0
        while not talks.done():
            # Sometimes two at once, of the same model or of two.
            wanted = [chance.choice(MODELS) for _ in range(chance.choice([1, 1, 2]))]
            work = [
                asyncio.ensure_future(chance.choice(stores).memory("ada").reindex(_embedder(each, chance)))
                for each in wanted
            ]
            if chance.random() < 0.3:
                # As if it were killed.
                await asyncio.sleep(chance.random() / 20)
                work[0].cancel()
            for each in await asyncio.gather(*work, return_exceptions=True):
                assert not isinstance(each, Exception) or isinstance(each, ConfigurationError), each
            switches += 1
        await talks
        await third.memory("ada").reindex(Short())
        new = store.memory("ada", embedder=Short())
        await new.search("anything", mode="vector")
        texts = await check_vectors(new, Short())
        for agent in agents:
            facts |= agent.texts
        assert texts == facts
        assert switches
