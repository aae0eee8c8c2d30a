"""A history with a message that was changed, moved or cut off is an error that names the message."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.asyncio

from miniagent_store import Message, SerializationError, SessionDamagedError, SessionStore, open_store
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.testing.servers import Server

KEYS = Keyring([Key(bytes(range(32)))])
HEAD = 23
COUNT = 600


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def flipped(element: bytes, draw: random.Random) -> bytes:
    bit = draw.randrange(HEAD * 8, len(element) * 8)
    changed = bytearray(element)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def cut_off(element: bytes, draw: random.Random) -> bytes:
    return element[: draw.randrange(HEAD, len(element))]


def grown(element: bytes, draw: random.Random) -> bytes:
    return element + draw.randbytes(draw.randrange(1, 9))


@pytest.mark.parametrize(
    "chain", ["msgpack", "orjson", "msgpack+zstd", "msgpack+hmac", "msgpack+zstd+aesgcm"]
)
@pytest.mark.parametrize("change", [flipped, cut_off, grown])
async def test_a_changed_message_is_named(
    server: Server, chain: str, change: Callable[[bytes, random.Random], bytes]
) -> None:
    draw = random.Random(chain + change.__name__)
    async with filled(server, chain, f"{chain}/{change.__name__}") as (store, client, key):
        for seq in (1, COUNT, *draw.sample(range(2, COUNT), 6)):
            element = await client.lindex(key, seq - 1)
            await client.lset(key, seq - 1, change(element, draw))

            await refuse_all(store, seq)
            await client.lset(key, seq - 1, element)
        assert len(await store.history("s")) == COUNT


@pytest.mark.parametrize("chain", ["msgpack+hmac", "msgpack+zstd+aesgcm"])
async def test_a_moved_message_is_named(server: Server, chain: str) -> None:
    async with filled(server, chain, f"{chain}/moved") as (store, client, key):
        one, other = await client.lindex(key, 99), await client.lindex(key, 499)
        await client.lset(key, 99, one[:HEAD] + other[HEAD:])

        await refuse_all(store, 100)


async def test_a_message_that_stands_twice_is_noticed(server: Server) -> None:
    async with filled(server, "msgpack", "twice") as (store, client, key):
        await client.lset(key, 99, await client.lindex(key, 499))

        with pytest.raises(SessionDamagedError, match="twice"):
            await store.history("s")


async def refuse_all(store: SessionStore, seq: int) -> None:
    """All that reads the message names it."""
    for read in (
        store.history("s"),
        store.entries("s"),
        store.snapshot("s"),
        store.history("s", after=seq - 1, limit=1),
        replayed(store),
    ):
        with pytest.raises(SerializationError, match=rf"entry {seq}\b"):
            await read


async def replayed(store: SessionStore) -> list[Message]:
    return [message async for message in store.replay("s")]


class filled:
    """A store with a session of many messages, a client of its server, and the key of its messages."""

    def __init__(self, server: Server, chain: str, name: str) -> None:
        namespace = name.replace("/", "-").replace("+", "-")
        self.store = open_store(
            f"{server.url}?serializer={chain.replace('+', '%2B')}", keyring=KEYS, namespace=namespace
        )
        self.client = redis.asyncio.Redis.from_url(server.url)
        self.key = f"{namespace}/thread:{{session:s}}"

    async def __aenter__(self) -> tuple[SessionStore, Any, str]:
        await self.store.create("s")
        messages = [Message.user(f"message {number} " * (number % 40)) for number in range(COUNT)]
        await self.store.append("s", *messages)
        (self.key,) = [
            key.decode() async for key in self.client.scan_iter(f"{self.key.partition('{')[0]}*")
        ]
        return self.store, self.client, self.key

    async def __aexit__(self, *failure: object) -> None:
        await self.store.close()
        await self.client.aclose()
