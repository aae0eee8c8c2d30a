"""The replies to commands that only read come together, and what becomes of one reader harms no other."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_backends.redis.wire.connection import pack
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server
from tests.redis.conftest import Connect


def echoes(*texts: str) -> tuple[bytes, int]:
    return b"".join(pack("ECHO", text) for text in texts), len(texts)


async def test_replies_come_together_and_in_order_beside_commands(server: Server, connect: Connect) -> None:
    connection = await connect(server)

    looks = [connection.look(*echoes(f"{n}a", f"{n}b", f"{n}c")) for n in range(500)]
    others = asyncio.gather(*(connection.execute("ECHO", str(n)) for n in range(500)))

    assert await asyncio.gather(*looks) == [[f"{n}{x}".encode() for x in "abc"] for n in range(500)]
    assert await others == [str(n).encode() for n in range(500)]


async def test_an_error_reply_stands_in_its_place(server: Server, connect: Connect) -> None:
    connection = await connect(server)
    await connection.execute("SET", "text", "x")
    packed = pack("GET", "text") + pack("LLEN", "text") + pack("GET", "text")

    first, error, last = await connection.look(packed, 3)

    assert (first, last) == (b"x", b"x")
    assert isinstance(error, ReplyError)
    assert error.word == "WRONGTYPE"


async def test_readers_that_are_cancelled_leave_the_others_right(server: Server, connect: Connect) -> None:
    connection = await connect(server)
    looks = [connection.look(*echoes(f"{n}a", f"{n}b")) for n in range(500)]
    await asyncio.sleep(0)
    more = [connection.look(*echoes(f"{n}a", f"{n}b")) for n in range(500, 1000)]

    for future in [*looks, *more][::2]:
        future.cancel()
    got = await asyncio.gather(*looks, *more, return_exceptions=True)

    assert got[1::2] == [[f"{n}a".encode(), f"{n}b".encode()] for n in range(1, 1000, 2)]
    assert all(isinstance(each, asyncio.CancelledError) for each in got[::2])
    assert await connection.look(*echoes("next")) == [b"next"]


async def test_a_reply_that_is_cut_is_told_to_its_reader(server: Server, connect: Connect) -> None:
    assert server.port is not None
    with Proxy("127.0.0.1", server.port) as proxy:
        connection = await connect(proxy)
        assert await connection.look(*echoes("a")) == [b"a"]
        proxy.inject(Action.HALVE)

        with pytest.raises(SentUnknown):
            await asyncio.wait_for(connection.look(*echoes("a" * 1000, "b" * 1000)), 20)
        async with asyncio.timeout(10):
            while connection.is_open:
                await asyncio.sleep(0.01)
        with pytest.raises(NotSent):
            connection.look(*echoes("a"))
