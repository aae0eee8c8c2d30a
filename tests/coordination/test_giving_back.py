"""What is given back though nobody answers, and what is taken too late."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator

import pytest

from miniagent_store import (
    BackendUnavailableError,
    LockTimeoutError,
    Message,
    OutcomeUnknownError,
    SessionStore,
    hookimpl,
    open_store,
    open_store_sync,
)
from miniagent_store.testing.conformance import backend_of, eventually
from miniagent_store.testing.conformance.locks import stands_in_line
from miniagent_store.testing.proxy import Action, Proxy
from miniagent_store.testing.servers import Server


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.port or 0) as proxy:
        yield proxy


async def taken_within(store: SessionStore, name: str, seconds: float) -> None:
    """Take a lock, which must not take longer."""
    started = time.monotonic()
    async with store.lock(name, wait=30):
        assert time.monotonic() - started < seconds


async def test_a_release_that_is_lost_is_tried_again(server: Server, proxy: Proxy, namespace: str) -> None:
    async with (
        open_store(f"redis://127.0.0.1:{proxy.port}", namespace=namespace) as store,
        open_store(server.url, namespace=namespace) as other,
    ):
        async with store.lock("job", ttl=60):
            waiting = asyncio.create_task(taken_within(other, "job", 10))
            await eventually(lambda: stands_in_line(other, "job", 1))
            lost = proxy.inject(Action.DROP, on="request", after=b"release")
        assert lost.happened
        await asyncio.wait_for(waiting, 20)


async def test_a_release_of_a_server_that_is_away_does_not_hang(
    server: Server, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(server.url, namespace=namespace, deadline=3) as store:
        async with store.lock("job", ttl=60):
            server.kill()
            started = time.monotonic()
        assert time.monotonic() - started < 3
        # It ends with the store, and is told.
        with caplog.at_level(logging.WARNING, "miniagent_store"):
            await store.close()
    assert time.monotonic() - started < 6
    assert "lock 'job' could not be released and will expire" in caplog.text


async def test_who_comes_back_to_a_server_has_given_back_its_turn(server: Server, namespace: str) -> None:
    async with open_store(server.url, namespace=namespace, deadline=1, socket_timeout=1) as store:
        await store.create("s")
        with pytest.raises(OutcomeUnknownError):
            async with store.turn("s") as turn:
                turn.append(Message.user("lost"))
                server.pause()
        server.resume()

        started = time.monotonic()
        async with store.turn("s", wait=30) as turn:
            turn.append(Message.user("next"))

        assert time.monotonic() - started < 5


async def test_a_request_that_was_given_up_takes_nothing_later(server: Server, namespace: str) -> None:
    async with (
        open_store(server.url, namespace=namespace) as other,
        open_store(server.url, namespace=namespace, deadline=1, socket_timeout=1) as store,
    ):
        await store.health()
        await other.health()
        server.pause()
        with pytest.raises(BackendUnavailableError):
            async with store.lock("job", ttl=60):
                pass
        await store.close()
        # What waits in the server's sockets is done now, later than the store was ready to wait.
        server.resume()

        await taken_within(other, "job", 5)


async def test_tasks_may_share_a_lock(namespace: str) -> None:
    async with open_store(f"memory://{namespace}") as store:
        lock, inside, most = store.lock("job"), 0, 0

        async def work() -> None:
            nonlocal inside, most
            async with lock:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(10)))

        assert most == 1


async def test_waits_are_told_to_who_asks(namespace: str) -> None:
    class Waits:
        def __init__(self) -> None:
            self.told: list[tuple[str, float]] = []

        @hookimpl
        def lock_acquired(self, name: str, waited: float) -> None:
            self.told.append((name, waited))

    waits = Waits()
    async with open_store(f"memory://{namespace}", plugins=[waits]) as store:
        async with store.turn("s", create=True) as turn:
            turn.append(Message.user("a"))
        async with store.lock("job"):
            waiting = asyncio.create_task(taken_within(store, "job", 10))
            await eventually(lambda: stands_in_line(store, "job", 1))
            await asyncio.sleep(0.02)
        await waiting

    assert [name for name, _ in waits.told] == ["s", "job", "job"]
    assert waits.told[2][1] >= 0.02 > waits.told[1][1]


async def test_closing_a_store_ends_who_waits(server: Server, namespace: str) -> None:
    async with open_store(server.url, namespace=namespace) as other, other.lock("job", ttl=60):
        store = open_store(server.url, namespace=namespace)
        await store.open()
        waiting = asyncio.create_task(taken_within(store, "job", 60))
        await eventually(lambda: stands_in_line(other, "job", 1))
        backend = backend_of(store)
        await store.close()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert backend is backend_of(store)


def test_the_blocking_face_takes_locks_and_turns(namespace: str) -> None:
    with open_store_sync(f"memory://{namespace}") as store:
        with store.lock("job") as lease:
            assert lease.fence > 0
            with pytest.raises(LockTimeoutError), store.lock("job", wait=0):
                pass
        with store.turn("s", create=True) as turn:
            turn.append(Message.user("a"))
            with pytest.raises(LockTimeoutError), store.turn("s", wait=0, create=True):
                pass
        assert [message.content for message in store.history("s")] == ["a"]
