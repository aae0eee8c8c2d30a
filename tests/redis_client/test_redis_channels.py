"""What is published is heard as it was said, and a cut is never silent."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from miniagent_store import (
    AccessDeniedError,
    BackendUnavailableError,
    InvalidArgumentError,
    StoreClosedError,
)
from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server, free_port


@pytest.mark.parametrize("message", [{"n": 1}, "123", 123, "text", [1, None], {"ä": "ü"}])
async def test_a_message_comes_back_as_it_went_in(manager: RedisSessionManager, message: Any) -> None:
    await manager.subscribe(["news"])

    assert await manager.publish("news", message) == 1

    assert await manager.get_message(timeout=10) == message
    assert await manager.get_message(timeout=0) is None


async def test_what_others_publish_is_heard_too(manager: RedisSessionManager) -> None:
    await manager.subscribe("news")

    for data in [b"plain text", b"\xff\x00", b'{"json": true}']:
        await manager._client.publish("news", data)

    heard = [await manager.get_message(timeout=10) for _ in range(3)]
    assert heard == ["plain text", b"\xff\x00", {"json": True}]


async def test_what_json_cannot_say_is_refused(manager: RedisSessionManager) -> None:
    with pytest.raises(InvalidArgumentError, match="JSON"):
        await manager.publish("news", b"bytes")


async def test_once_subscribed_nothing_is_missed(manager: RedisSessionManager, config: RedisConfig) -> None:
    other = RedisSessionManager(config)

    for n in range(20):
        await manager.subscribe([f"channel-{n}"])
        assert await other.publish(f"channel-{n}", n) == 1

    assert [await manager.get_message(timeout=10) for _ in range(20)] == [*range(20)]
    await other.disconnect()


async def test_many_subscribe_at_once(manager: RedisSessionManager) -> None:
    await asyncio.gather(*(manager.subscribe([f"c{n}", "shared"]) for n in range(20)))

    assert [await manager.publish(f"c{n}", n) for n in range(20)] == [1] * 20
    assert await manager.publish("shared", "x") == 1


async def test_messages_are_iterated(manager: RedisSessionManager) -> None:
    await manager.subscribe(["news", "more"])
    await manager.publish("news", 1)
    await manager.publish("more", 2)

    heard = []
    async for message in manager.get_messages():
        heard.append(message)
        if len(heard) == 2:
            break

    assert heard == [1, 2]


async def test_nothing_is_heard_where_nothing_is_subscribed(manager: RedisSessionManager) -> None:
    assert await manager.get_message(timeout=0.01) is None
    with pytest.raises(InvalidArgumentError, match="subscribe"):
        await anext(manager.get_messages())


async def test_a_cancelled_read_loses_nothing(manager: RedisSessionManager) -> None:
    await manager.subscribe("news")
    heard = []

    for n in range(50):
        reading = asyncio.create_task(manager.get_message(timeout=10))
        await asyncio.sleep(0)
        await manager.publish("news", n)
        # The message may be anywhere on its way when the reader is cancelled.
        reading.cancel()
        heard += await asyncio.gather(reading, return_exceptions=True)

    heard = [each for each in heard if not isinstance(each, asyncio.CancelledError)]
    while len(heard) < 50:
        heard.append(await manager.get_message(timeout=1))
    assert heard == [*range(50)]


async def test_two_readers_share_what_comes(manager: RedisSessionManager) -> None:
    await manager.subscribe("news")
    reading = [asyncio.create_task(manager.get_message(timeout=10)) for _ in range(2)]

    await manager.publish("news", 1)
    await manager.publish("news", 2)

    assert sorted(await asyncio.gather(*reading)) == [1, 2]


# Cuts


async def test_after_a_cut_all_channels_are_heard_again_and_it_is_told(
    manager: RedisSessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    again = asyncio.Event()
    await manager.subscribe(["a"], on_reconnect=again.set)
    await manager.subscribe(["b"])
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def listen() -> None:
        async for message in manager.get_messages():
            heard.put_nowait(message)

    listening = asyncio.create_task(listen())
    await manager._client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    async with asyncio.timeout(20):
        await again.wait()
        for channel in ("a", "b"):
            while not await manager.publish(channel, channel):
                await asyncio.sleep(0.01)
        assert {await heard.get(), await heard.get()} == {"a", "b"}

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("cut off" in text for text in told)
    assert any("heard again" in text for text in told)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_server_that_fell_silent_is_noticed(server: Server) -> None:
    with Proxy("127.0.0.1", server.port or 0) as proxy:
        manager = RedisSessionManager(
            RedisConfig(
                host=proxy.host,
                port=proxy.port,
                password="s3cret",
                health_check_interval=0.2,
                socket_timeout=0.3,
            )
        )
        again = asyncio.Event()
        await manager.subscribe("news", on_reconnect=again.set)

        fault = proxy.inject(Action.BLACK_HOLE, on="request")

        async with asyncio.timeout(20):
            await again.wait()
        assert fault.happened
        assert await manager.publish("news", 1) == 1
        await manager.disconnect()


@pytest.mark.parametrize("settings", [{"health_check_interval": 0.05}, {"socket_timeout": 0.1}])
async def test_a_quiet_channel_is_not_cut(
    config: RedisConfig, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    manager = RedisSessionManager(replace(config, **settings))
    await manager.subscribe("news")

    await asyncio.sleep(0.5)

    await manager.publish("news", "here")
    assert await manager.get_message(timeout=10) == "here"
    assert not caplog.records
    await manager.disconnect()


async def test_what_cannot_be_subscribed_is_told(server: Server) -> None:
    nobody = RedisSessionManager(RedisConfig(host="127.0.0.1", port=free_port()))
    with pytest.raises(BackendUnavailableError, match="running"):
        await nobody.subscribe("news")
    await nobody.disconnect()

    server.command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "resetchannels")
    deaf = RedisSessionManager(
        RedisConfig(host="127.0.0.1", port=server.port or 0, username="deaf", password="pw")
    )
    with pytest.raises(AccessDeniedError, match="rights"):
        await deaf.subscribe("news")
    await deaf.disconnect()


async def test_a_channel_that_is_refused_leaves_the_others(server: Server) -> None:
    server.command("ACL", "SETUSER", "half", "on", ">pw", "~*", "+@all", "resetchannels", "&open")
    half = RedisSessionManager(
        RedisConfig(host="127.0.0.1", port=server.port or 0, username="half", password="pw")
    )
    again = asyncio.Event()
    await half.subscribe("open", on_reconnect=again.set)

    with pytest.raises(AccessDeniedError):
        await half.subscribe("secret")

    async with asyncio.timeout(10):
        await again.wait()
    assert await half.publish("open", 1) == 1
    assert await half.get_message(timeout=10) == 1
    await half.disconnect()


async def test_a_right_that_was_lost_is_told_to_who_listens(server: Server) -> None:
    server.command("ACL", "SETUSER", "late", "on", ">pw", "~*", "+@all", "allchannels")
    late = RedisSessionManager(
        RedisConfig(host="127.0.0.1", port=server.port or 0, username="late", password="pw")
    )
    await late.subscribe("news")

    server.command("ACL", "SETUSER", "late", "resetchannels")  # which cuts its connections too

    for _ in range(2):
        with pytest.raises(AccessDeniedError):
            await late.get_message(timeout=10)
    server.command("ACL", "SETUSER", "late", "allchannels")
    await late.subscribe("news")
    await late.publish("news", 1)
    assert await late.get_message(timeout=10) == 1
    await late.disconnect()


async def test_who_listens_first_hears_what_is_subscribed_later(manager: RedisSessionManager) -> None:
    reading = asyncio.create_task(manager.get_message(timeout=10))
    await asyncio.sleep(0)

    await manager.subscribe("news")
    await manager.publish("news", 1)

    assert await reading == 1


async def test_who_listens_hears_of_the_end(manager: RedisSessionManager) -> None:
    await manager.subscribe("news")
    reading = [asyncio.create_task(manager.get_message(timeout=30)) for _ in range(2)]
    await asyncio.sleep(0.01)

    await manager.disconnect()

    for each in await asyncio.gather(*reading, return_exceptions=True):
        assert isinstance(each, StoreClosedError)
