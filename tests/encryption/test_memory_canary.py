"""Of what is remembered neither the text nor the vector is anywhere in a store that encrypts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from miniagent_store import (
    ConfigurationError,
    Keyring,
    Message,
    SessionStore,
    StoreError,
    open_store,
)
from miniagent_store.embedding.hashing import hashed
from miniagent_store.store.memory.layout import packed
from miniagent_store.testing.servers import Server, find_servers
from miniagent_store.values import MemorySource
from tests.encryption.test_canary import _all_of, _monitored, files_of

CANARY = "canaryword"
TEXTS = [f"{CANARY} {number}" for number in ("one", "two", "three")]
# Of a packed vector so many bytes, at any place, would be no chance: two numbers that are not zero.
PART = 8


@pytest.fixture(params=["sqlite", "redis", "vectors"])
def place(request: pytest.FixtureRequest, tmp_path: object, redis_server: Server) -> Iterator[str]:
    """Where memories are kept; also a server that has vector sets, which must not be used."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db?deadline=20s"
    elif request.param == "redis":
        redis_server.command("FLUSHALL")
        yield f"{redis_server.url}/0?deadline=20s&namespace=memories"
    else:
        with Server(find_servers()["falkordb"]) as server:
            yield f"{server.url}/0?deadline=20s&namespace=memories"


async def remember(store: SessionStore) -> None:
    """Add, replace, delete, reindex, search and forget, with the canary everywhere."""
    memory = store.memory("ada")
    session = await store.append("s", Message.user(TEXTS[0]), create=True)
    source = MemorySource("s", 1, None, session.incarnation)
    await memory.add(TEXTS[0], id="1", metadata={CANARY: CANARY, "year": 1}, source=source)
    await memory.add_many([{"said": text, "id": text[-3:], "ttl": 3600} for text in TEXTS])
    await memory.add(TEXTS[1], id="1", metadata={"note": CANARY})
    await memory.delete("two")
    await memory.follow("s", lambda message: message.content)
    assert (await memory.reindex("hash", again=True)).made >= 3
    for mode in ("vector", "words", "hybrid"):
        assert CANARY in str(await memory.search(CANARY, filter={"note": CANARY}, mode=mode))
    with pytest.raises(StoreError) as caught:
        await memory.add(CANARY, metadata={"bytes": CANARY.encode()})
    assert CANARY not in str(caught.value)
    await store.memory("bob").add(TEXTS[2])
    assert await store.memory("bob").forget()
    assert CANARY not in repr(memory) + repr(store)


def vectors() -> list[bytes]:
    return [packed(hashed(text)) for text in [*TEXTS, CANARY]]


def parts(vector: bytes) -> set[bytes]:
    """Pairs of neighbouring numbers that are both not zero, and long runs of the vector."""
    pairs = {vector[at : at + PART] for at in range(0, len(vector) - PART, 4)}
    return {each for each in pairs if each[:4] != bytes(4) and each[4:] != bytes(4)} | {vector[:512]}


@pytest.mark.parametrize("options", ["serializer=encrypted", "serializer=encrypted&shred=true"])
async def test_neither_text_nor_vector_is_anywhere(
    place: str, options: str, ring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[bytes] = []
    async with open_store(f"{place}&{options}", keyring=ring) as store:
        with _monitored(place, seen):
            await remember(store)
        if place.startswith("sqlite"):
            # With the store open, so that the WAL is there too.
            seen += files_of(place)
        # After it was forgotten and made again it is found again.
        await store.memory("bob").add(TEXTS[2])
        assert CANARY in str(await store.memory("bob").search(CANARY))
    seen += files_of(place) if place.startswith("sqlite") else await asyncio.to_thread(_all_of, place)

    everything = b"".join(seen)
    assert len(everything) > 10_000, "nothing was looked at"
    assert CANARY.encode() not in everything
    for vector in vectors():
        assert not [part for part in parts(vector) if part in everything]
    assert CANARY not in caplog.text


async def test_without_encryption_both_are_found(place: str) -> None:
    """What makes the test above worth something."""
    async with open_store(f"{place}&serializer=msgpack") as store:
        await store.memory("ada", index="exact").add(TEXTS[0])
        await store.memory("ada", index="exact").search(CANARY)
        found = files_of(place) if place.startswith("sqlite") else await asyncio.to_thread(_all_of, place)
    everything = b"".join(found)
    assert CANARY.encode() in everything
    assert all(part in everything for part in parts(vectors()[0]))


async def test_a_vector_set_is_refused_unless_it_is_allowed(place: str, ring: Keyring) -> None:
    async with open_store(f"{place}&serializer=encrypted", keyring=ring) as store:
        with pytest.raises(ConfigurationError, match="plain_vectors"):
            store.memory("ada", index="vector-set")
