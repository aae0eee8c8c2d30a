"""Whoever makes new vectors is killed, again and again; the next one goes on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from miniagent_store import ConfigurationError, SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server
from tests.memory.reindexing import Short, check_vectors, context, reindex


@pytest.fixture(
    params=["sqlite", *(pytest.param(each, marks=pytest.mark.slow) for each in ("redis", "cluster"))]
)
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that several processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db?deadline=20s"
    server: Server | ClusterGroup = request.getfixturevalue(
        "redis_server" if request.param == "redis" else "cluster"
    )
    database = "/0" if request.param == "redis" else ""
    return f"{server.url}{database}?deadline=20s&namespace=killed{random.getrandbits(32)}"


class _Others:
    """Use the old model until it is refused, and the new one from then on."""

    def __init__(self, store: SessionStore) -> None:
        self._old, self._new = store.memory("ada"), store.memory("ada", embedder=Short())
        self._memory = self._old
        self.texts: dict[str, str] = {f"f{each}": f"Fact {each} is tea" for each in range(450)}
        self.refused = 0

    async def talk(self, seed: int) -> None:
        """Add, replace, delete and search; what they did is found at once."""
        chance = random.Random(seed)
        number = 0
        while True:
            number += 1
            id = f"f{chance.randrange(450)}" if chance.random() < 0.5 else f"n{seed}-{number}"
            said = f"Oysters {seed} {number} {'abcdefgh'[number % 8] * 4}"
            await self._try(seed, number, id, said, chance)
            await asyncio.sleep(0.005)

    async def _try(self, seed: int, number: int, id: str, said: str, chance: random.Random) -> None:
        # Each has ids of its own, so that it knows what stands.
        id = f"{id}-{seed}" if id.startswith("f") and int(id[1:]) % 2 != seed else id
        memory = self._memory
        try:
            if chance.random() < 0.3:
                await memory.delete(id)
                self.texts.pop(id, None)
                return
            await memory.add(said, id=id)
            self.texts[id] = said
            found = await memory.search(said, k=1, mode="vector")
            assert [each.text for each in found] == [said]
        except ConfigurationError:
            self.refused += 1
            self._memory = self._new


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
async def test_killed_again_and_again(lasting_url: str, kills: int) -> None:
    chance = random.Random(kills)
    async with open_store(lasting_url) as store, open_store(lasting_url) as other:
        memory = store.memory("ada")
        await memory.add_many({"said": f"Fact {each} is tea", "id": f"f{each}"} for each in range(450))
        others = _Others(other)
        talks = [asyncio.create_task(others.talk(seed)) for seed in (0, 1)]
        done, looked = None, []
        while done is None:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=reindex, args=(lasting_url, theirs), daemon=True)
            process.start()
            theirs.close()
            # Killed while it embeds, commits, follows or removes.
            left = chance.randrange(1, 12) if kills > 0 else 1_000_000
            try:
                while left:
                    left -= 1
                    told = await asyncio.to_thread(ours.recv)
                    if isinstance(told, dict):
                        done = told
            except EOFError:
                pass
            kills -= 1
            process.kill()
            await asyncio.to_thread(process.join)
            if done is None:
                looked.append((await memory.stats()).reindexing)
        assert done["step"] == "done"
        async with asyncio.timeout(20):
            while not others.refused:
                await asyncio.sleep(0.01)
        for each in talks:
            assert not each.done() or each.result()
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        new = store.memory("ada", embedder=Short())
        await new.search("what was added at the last moment", mode="vector")
        texts = await check_vectors(new, Short())
        # What was cancelled may have been done or not.
        assert len(set(texts.items()) ^ set(others.texts.items())) <= 4
        assert {each.text.split()[0] for each in await new.search("tea", k=30)} == {"Fact"}
