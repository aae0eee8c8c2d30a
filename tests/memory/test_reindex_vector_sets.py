"""A vector set on the server is that of the model in use, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from redis.asyncio import Redis

from miniagent_store import ConfigurationError, SessionStore, open_store
from miniagent_store.testing.servers import Server, find_servers
from tests.memory.reindexing import Short, check_vectors


@pytest.fixture(scope="module")
def vector_server() -> Iterator[Server]:
    with Server(find_servers()["falkordb"]) as server:
        yield server


async def _filled(server: Server, store: SessionStore, dimensions: int) -> None:
    """Until the set is whole, and asked."""
    embedder = "hash" if dimensions == 512 else Short()
    memory = store.memory("ada", embedder=embedder, index="vector-set")
    async with asyncio.timeout(20):
        while True:
            assert len(await memory.search("tea", k=5, mode="vector")) == 5
            if await _dimensions(server) == [dimensions] and memory._indexed._index._quick is None:  # type: ignore[union-attr]
                return
            await asyncio.sleep(0.02)


async def _dimensions(server: Server) -> list[int]:
    """Of each vector set on the server."""
    async with Redis.from_url(f"{server.url}/0") as client:
        keys = [each async for each in client.scan_iter(_type="vectorset")]
        return [int(await client.execute_command("VDIM", each)) for each in keys]


@pytest.mark.parametrize("index", ["auto", "exact"])
async def test_the_set_of_the_old_model_goes(vector_server: Server, index: str) -> None:
    url = f"{vector_server.url}/0?namespace=sets-{index}&deadline=20s"
    async with open_store(url) as store, open_store(url) as other:
        await store.memory("ada").add_many(f"Fact {each} is tea" for each in range(300))
        await _filled(vector_server, store, 512)
        assert (await other.memory("ada").stats()).index == "vector-set"

        async def before(texts: Sequence[str]) -> None:
            assert len(await store.memory("ada", index="vector-set").search("tea", mode="vector")) == 10

        await other.memory("ada", index=index).reindex(Short(before=before))
        assert await _dimensions(vector_server) == []
        with pytest.raises(ConfigurationError, match="reindex"):
            await store.memory("ada", index="vector-set").search("tea")

        await _filled(vector_server, store, 96)
        await check_vectors(store.memory("ada"), Short())
        # What is left of it is removed by the next; the set of the model in use stays.
        await store.memory("ada").forget()
