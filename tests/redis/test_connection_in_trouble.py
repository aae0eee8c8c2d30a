"""The connection under load and in trouble: no neighbour is touched, and each outcome is known exactly."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server
from tests.redis.conftest import Connect, NewServer, target_of

# Two hundred of these are more than the buffers of any socket hold.
LARGE = b"x" * 256 * 1024
MANY_LARGE = 200


async def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Wait for it, and let the loop run."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


def outcome_of(future: asyncio.Future[Any]) -> Any:
    """The kind of what came of it."""
    if future.cancelled():
        return asyncio.CancelledError
    error = future.exception()
    return future.result() if error is None else type(error)


async def test_tasks_that_come_and_go_each_get_their_own_reply(
    each_server: Server, connect: Connect
) -> None:
    connection = await connect(each_server)

    async def echo(name: int) -> None:
        for turn in range(50):
            text = f"{name} {turn}"
            assert await connection.execute("ECHO", text) == text.encode()

    await asyncio.gather(*(echo(name) for name in range(40)))


async def test_a_lone_caller_does_not_wait_for_the_next_turn_of_the_loop(
    server: Server, connect: Connect
) -> None:
    connection = await connect(server)
    await connection.execute("SET", "lone", 0)

    future = connection.send(pack("INCR", "lone"))[0]
    # The loop has not run since.
    deadline = time.monotonic() + 10
    while server.command("GET", "lone") != b"1":
        assert time.monotonic() < deadline

    assert await future == 1


async def test_asking_and_its_command_reach_a_slot_that_moves(
    new_server: NewServer, connect: Connect
) -> None:
    old, new = (new_server(config={"cluster-enabled": "yes", "cluster-node-timeout": 1000}) for _ in "ab")
    slot = old.command("CLUSTER", "KEYSLOT", "{s}")
    old.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    old.command("CLUSTER", "MEET", "127.0.0.1", new.port or 0)
    new_id, old_id = new.command("CLUSTER", "MYID"), old.command("CLUSTER", "MYID")
    states = (b"cluster_state:ok", b"cluster_known_nodes:2")
    await until(
        lambda: all(state in node.command("CLUSTER", "INFO") for node in (old, new) for state in states)
    )
    new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
    old.command("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
    to_old, to_new = await connect(old), await connect(new)

    async def write(n: int) -> None:
        with pytest.raises(ReplyError) as caught:
            await to_old.execute("RPUSH", f"{{s}}{n}", n)
        assert caught.value.text == f"ASK {slot} 127.0.0.1:{new.port}"
        piece = to_new.send(pack("ASKING"), pack("RPUSH", f"{{s}}{n}", n))
        assert await asyncio.gather(*piece) == [b"OK", 1]

    async def write_without_asking(n: int) -> None:
        with pytest.raises(ReplyError, match="MOVED"):
            await to_new.execute("RPUSH", f"{{s}}{n}", n)

    await asyncio.gather(*(work(n) for n in range(400) for work in (write, write_without_asking)))

    assert await to_new.execute("CLUSTER", "COUNTKEYSINSLOT", slot) == 400


async def test_cancelling_what_is_written_leaves_its_place(new_server: NewServer, connect: Connect) -> None:
    server = new_server()
    connection = await connect(server, timeout=30)
    server.pause()
    first, *piece, last = (
        connection.send(pack("ECHO", "first"))
        + connection.send(pack("ECHO", "a"), pack("ECHO", "b"))
        + connection.send(pack("ECHO", "last"))
    )
    await asyncio.sleep(0)

    for future in (first, *piece):
        future.cancel()
    server.resume()

    assert await last == b"last"


async def test_who_came_later_times_out_later(new_server: NewServer, connect: Connect) -> None:
    server = new_server()
    connection = await connect(server, timeout=1.0)
    server.pause()
    early = connection.send(pack("PING"))[0]
    await asyncio.sleep(0.7)  # makes the difference in age, no luck in it
    late = connection.send(pack("PING"))[0]

    with pytest.raises(SentUnknown):
        await early

    assert not late.done()
    server.resume()
    assert await late == b"PONG"


async def test_what_is_given_up_under_back_pressure_never_leaves(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server()
    connection = await connect(server, timeout=60)
    server.pause()
    futures = [connection.send(pack("RPUSH", "log", n, LARGE))[0] for n in range(MANY_LARGE)]
    await asyncio.sleep(0)

    given_up = range(MANY_LARGE // 2, MANY_LARGE, 2)
    for n in given_up:
        futures[n].cancel()
    server.resume()
    await asyncio.wait(futures)

    stored = [int(n) for n in (await connection.execute("LRANGE", "log", 0, -1))[::2]]
    assert stored == [n for n in range(MANY_LARGE) if n not in given_up]


async def test_what_was_not_taken_in_time_is_not_sent(new_server: NewServer, connect: Connect) -> None:
    server = new_server()
    connection = await connect(server, timeout=0.5)
    server.pause()
    futures = [connection.send(pack("RPUSH", "log", n, LARGE))[0] for n in range(MANY_LARGE)]

    await asyncio.wait(futures)

    outcomes = [outcome_of(future) for future in futures]
    sent = outcomes.count(SentUnknown)
    assert 0 < sent < MANY_LARGE
    assert outcomes == [SentUnknown] * sent + [NotSent] * (MANY_LARGE - sent)
    server.resume()
    await until(lambda: not connection.is_waiting)
    stored = [int(n) for n in (await connection.execute("LRANGE", "log", 0, -1))[::2]]
    assert stored == list(range(sent))


async def test_a_killed_server_leaves_no_doubt_about_what_was_not_sent(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server(config={"appendonly": "yes", "appendfsync": "always"})
    connection = await connect(server, timeout=60)
    answered = [connection.send(pack("RPUSH", "log", n, "x"))[0] for n in range(100)]
    await asyncio.gather(*answered)
    server.pause()
    futures = [connection.send(pack("RPUSH", "log", 100 + n, LARGE))[0] for n in range(MANY_LARGE)]
    await asyncio.sleep(0)

    server.kill()
    await asyncio.wait(futures)

    outcomes = [outcome_of(future) for future in futures]
    sent = outcomes.count(SentUnknown)
    assert 0 < sent < MANY_LARGE
    assert outcomes == [SentUnknown] * sent + [NotSent] * (MANY_LARGE - sent)
    with pytest.raises(NotSent):
        connection.send(pack("PING"))
    assert not connection.is_open

    server.start()
    again = await connect(server, timeout=60)
    stored = [int(n) for n in (await again.execute("LRANGE", "log", 0, -1))[::2]]
    assert stored[:100] == list(range(100))
    assert set(stored) <= set(range(100 + sent))


async def test_a_server_killed_under_load_loses_nothing_that_it_answered(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server(config={"appendonly": "yes", "appendfsync": "always"})
    connection = await connect(server, timeout=60)
    outcomes: dict[int, Any] = {}

    async def write(first: int) -> None:
        for n in range(first, 1_000_000, 64):
            try:
                outcomes[n] = await connection.execute("RPUSH", "log", n)
            except (NotSent, SentUnknown) as error:
                outcomes[n] = type(error)
                return

    writers = [asyncio.create_task(write(first)) for first in range(64)]
    await until(lambda: len(outcomes) > 2000)
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*writers)

    server.start()
    stored = [int(n) for n in server.command("LRANGE", "log", 0, -1)]
    assert len(stored) == len(set(stored))
    assert {n for n, outcome in outcomes.items() if isinstance(outcome, int)} <= set(stored)
    assert not {n for n, outcome in outcomes.items() if outcome is NotSent} & set(stored)


async def test_a_reply_that_is_lost_is_in_doubt(server: Server, connect: Connect) -> None:
    assert server.port is not None
    server.command("DEL", "once")
    with Proxy("127.0.0.1", server.port) as proxy:
        connection = await connect(proxy)
        proxy.inject(Action.DROP, after=b"RPUSH")

        with pytest.raises(SentUnknown):
            await connection.execute("RPUSH", "once", 1)

    assert server.command("LLEN", "once") == 1
    with pytest.raises(NotSent):
        await connection.execute("RPUSH", "once", 2)


async def test_a_reply_that_no_one_waits_for_ends_the_connection(server: Server, connect: Connect) -> None:
    connection = await connect(server)

    assert await connection.send(pack("PING") + pack("PING"))[0] == b"PONG"

    await until(lambda: not connection.is_open)
    with pytest.raises(NotSent):
        await connection.execute("PING")


async def test_a_push_handler_that_raises_does_not_end_the_connection(
    server: Server, connect: Connect
) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def raise_always(push: Any) -> None:
        raise ValueError(push)

    connection = await connect(server, on_push=raise_always)
    connection.send_unanswered(pack("SUBSCRIBE", "news"))

    assert await connection.execute("ECHO", "on") == b"on"
    assert isinstance(reported[0]["exception"], ValueError)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("transport", ["server", "unix_server", "tls_server"])
async def test_closing_leaves_no_task_timer_or_socket(
    transport: str, protocol: int, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(transport)
    gc.collect()
    files, tasks = len(os.listdir("/dev/fd")), asyncio.all_tasks()
    connection = Connection(protocol=protocol, **target_of(server))
    await connection.connect()
    futures = [connection.send(pack("BLPOP", "never", 0))[0] for _ in range(3)]

    await connection.close()
    await connection.close()

    assert [outcome_of(future) for future in futures] == [SentUnknown, NotSent, NotSent]
    with pytest.raises(NotSent):
        connection.send(pack("PING"))
    del connection
    # A warning of what was forgotten would be an error here.
    gc.collect()
    assert len(os.listdir("/dev/fd")) == files
    assert asyncio.all_tasks() == tasks


async def test_closing_does_not_wait_for_a_server_that_has_stopped(new_server: NewServer) -> None:
    server = new_server()
    connection = Connection(**target_of(server))
    await connection.connect()
    server.pause()
    futures = [connection.send(pack("SET", n, LARGE))[0] for n in range(MANY_LARGE)]

    async with asyncio.timeout(10):
        await connection.close()

    assert {outcome_of(future) for future in futures} == {SentUnknown, NotSent}


async def test_a_retired_connection_ends_with_its_last_reply(
    new_server: NewServer, connect: Connect
) -> None:
    server = new_server()
    connection, idle = await connect(server, timeout=30), await connect(server)
    server.pause()
    futures = [connection.send(pack("ECHO", n))[0] for n in range(10)]
    await asyncio.sleep(0)

    connection.retire()
    idle.retire()
    assert connection.is_open
    assert not idle.is_open
    server.resume()

    assert await asyncio.gather(*futures) == [str(n).encode() for n in range(10)]
    await until(lambda: not connection.is_open)


async def test_who_was_queued_late_has_its_full_time(new_server: NewServer, connect: Connect) -> None:
    server = new_server()
    connection = await connect(server, timeout=1.0)
    server.pause()
    flood = [connection.send(pack("SET", n, LARGE))[0] for n in range(MANY_LARGE)]
    await asyncio.sleep(0.7)  # makes the difference in age, no luck in it
    queued_at = time.monotonic()

    with pytest.raises(NotSent):
        await connection.send(pack("PING"))[0]

    assert time.monotonic() - queued_at >= 1.0
    await asyncio.wait(flood)


async def test_what_is_queued_when_the_transport_ends_is_not_sent(server: Server, connect: Connect) -> None:
    connection = await connect(server)
    first, *others = [connection.send(pack("ECHO", n))[0] for n in range(5)]

    assert connection._transport is not None
    connection._transport.abort()  # before the turn of the loop in which the others would be written
    await asyncio.wait([first, *others])

    assert outcome_of(first) is SentUnknown
    assert [outcome_of(other) for other in others] == [NotSent] * 4
