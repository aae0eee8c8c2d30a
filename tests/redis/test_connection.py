"""One connection is shared by all, and what a failure means is known exactly."""

from __future__ import annotations

import asyncio
import time

import pytest

from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server
from tests.redis.conftest import Connect, NewServer, target_of


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_thousand_commands_at_once_are_answered_in_order(
    server: Server, connect: Connect, protocol: int
) -> None:
    connection = await connect(server, protocol=protocol)

    echoes = await asyncio.gather(*(connection.execute("ECHO", str(n)) for n in range(1000)))

    assert echoes == [str(n).encode() for n in range(1000)]


async def test_cancelling_half_leaves_the_other_half_right(server: Server, connect: Connect) -> None:
    connection = await connect(server)
    tasks = [asyncio.create_task(connection.execute("ECHO", str(n))) for n in range(1000)]
    await asyncio.sleep(0)

    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert answers[1::2] == [str(n).encode() for n in range(1, 1000, 2)]
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert await connection.execute("ECHO", "next") == b"next"


async def test_a_piece_is_written_back_to_back(server: Server, connect: Connect) -> None:
    connection = await connect(server)
    noise = [asyncio.create_task(connection.execute("ECHO", "noise")) for _ in range(50)]
    await asyncio.sleep(0)

    first, second = connection.send(pack("MULTI"), pack("EXEC"))

    assert [await first, await second] == [b"OK", []]
    assert await asyncio.gather(*noise) == [b"noise"] * 50


async def test_an_error_reply_is_that_commands_own(server: Server, connect: Connect) -> None:
    connection = await connect(server)

    answers = await asyncio.gather(
        connection.execute("ECHO", "a"),
        connection.execute("NOSUCH"),
        connection.execute("ECHO", "b"),
        return_exceptions=True,
    )

    assert answers[::2] == [b"a", b"b"]
    assert isinstance(answers[1], ReplyError)
    assert answers[1].word == "ERR"


async def test_what_was_written_is_in_doubt_and_what_was_not_is_certain(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server()
    connection = await connect(server, timeout=60)
    server.pause()
    written = connection.send(pack("SET", "a", 1))
    await asyncio.sleep(0.05)
    # More than the sockets take: what is behind it stays queued.
    flood = [connection.send(pack("SET", "big", b"x" * 4_000_000))[0] for _ in range(5)]
    await asyncio.sleep(0.2)
    queued = connection.send(pack("SET", "b", 2))

    server.kill()

    with pytest.raises(SentUnknown):
        await written[0]
    with pytest.raises(NotSent):
        await queued[0]
    await asyncio.gather(*flood, return_exceptions=True)
    with pytest.raises(NotSent):
        connection.send(pack("PING"))


async def test_a_command_without_an_answer_is_given_up_in_time_and_the_next_is_not(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server()
    connection = await connect(server, timeout=0.4)
    server.pause()

    started = time.monotonic()
    with pytest.raises(SentUnknown, match="no reply"):
        await connection.execute("ECHO", "late")
    assert 0.3 < time.monotonic() - started < 5
    assert connection.is_stalled
    server.resume()

    # The late reply is dropped, and does not answer the next command.
    assert await connection.execute("ECHO", "next") == b"next"
    assert not connection.is_stalled


async def test_pushes_take_no_ones_place(server: Server) -> None:
    heard = asyncio.Event()
    async with Connection(
        **target_of(server), protocol=3, on_push=lambda push: heard.set() if push[0] == b"message" else None
    ) as connection:
        connection.send_unanswered(pack("SUBSCRIBE", "news"))
        assert await connection.execute("ECHO", "a") == b"a"
        server.command("PUBLISH", "news", "x")
        async with asyncio.timeout(10):
            await heard.wait()
        assert await connection.execute("ECHO", "b") == b"b"


async def test_garbled_bytes_end_the_connection(server: Server, connect: Connect) -> None:
    assert server.port is not None
    with Proxy("127.0.0.1", server.port) as proxy:
        connection = await connect(proxy)
        proxy.inject(Action.GARBLE)

        with pytest.raises(SentUnknown):
            await connection.execute("ECHO", "a")
        async with asyncio.timeout(10):
            while connection.is_open:
                await asyncio.sleep(0.01)


async def test_closing_fails_what_waits_and_leaves_no_task(new_server: NewServer) -> None:
    server = new_server()
    before = asyncio.all_tasks()
    connection = Connection(**target_of(server))
    await connection.connect()
    server.pause()
    waiting = connection.send(pack("PING"))

    await connection.close()
    await connection.close()

    with pytest.raises(SentUnknown):
        await waiting[0]
    assert asyncio.all_tasks() == before
    server.resume()
