"""What the tests of reindexing share: another model, what must stand in a record, who is killed."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection

import pytest

from miniagent_store import open_store
from miniagent_store.backend import ReadPlan, StateScan
from miniagent_store.embedder import Embedder
from miniagent_store.embedding.hashing import HashEmbedder, hashed
from miniagent_store.store.memory.generations import STAMP_BYTES
from miniagent_store.store.memory.layout import packed
from miniagent_store.store.memory.scope import MemoryScope

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.memory.reindexing"])

# Two kinds of stores by default, all of them where there is time.
PLACES = pytest.mark.parametrize(
    "store_url",
    ["sqlite", "redis", *(pytest.param(each, marks=pytest.mark.slow) for each in ("memory", "cluster"))],
    indirect=True,
)
Before = Callable[[Sequence[str]], Awaitable[None]]


class Short:
    """A model with fewer dimensions.

    Args:
        name: of the model.
        before: done before each call.
        dimensions: of its vectors.
    """

    def __init__(self, name: str = "short", before: Before | None = None, dimensions: int = 96) -> None:
        self.name, self._before, self._size = name, before, dimensions
        self.dimensions: int | None = dimensions

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        """A vector for each text."""
        if self._before is not None and not query:
            await self._before(texts)
        return [_folded(text, self._size) for text in texts]


def _folded(text: str, dimensions: int) -> list[float]:
    numbers = [0.0] * dimensions
    for at, number in enumerate(hashed(text)):
        numbers[at % dimensions] += number
    return numbers


async def check_vectors(memory: MemoryScope, embedder: Embedder | None = None) -> dict[str, str]:
    """That each memory has the vector of its text, and that there are no others; the texts by id."""
    core, record_id = memory._core, memory._record_id
    read = await core.read(ReadPlan(record_id, scans=(StateScan(),)))
    values = {each.name: core.coding.decode_value(record_id, each) for scan in read.scans for each in scan}
    texts = {name[2:]: value["text"] for name, value in values.items() if name.startswith("m/")}
    vectors = {name: value for name, value in values.items() if name.startswith(("v/", "w/"))}
    prefix = "vw"[values["model"]["generation"] % 2]
    assert sorted(vectors) == sorted(f"{prefix}/{each}" for each in texts)
    embedder = embedder or HashEmbedder()
    assert values["model"]["name"] == embedder.name
    made = await embedder.embed(list(texts.values()))
    for each, vector in zip(texts, made, strict=True):
        assert vectors[f"{prefix}/{each}"][STAMP_BYTES:] == packed(vector), texts[each]
    assert "reindex" not in values
    return texts


def reindex(url: str, told: Connection) -> None:
    """Reindex slowly; each call of the model is told."""
    asyncio.run(_reindex(url, told))


async def _reindex(url: str, told: Connection) -> None:
    async def before(texts: Sequence[str]) -> None:
        told.send(len(texts))
        await asyncio.sleep(0.02)

    async with open_store(url) as store:
        done = await store.memory("ada").reindex(
            Short(before=before), progress=lambda so_far: told.send(so_far.step)
        )
        told.send(done.to_dict())
