"""Fault 21: a holder stands still past its lease, wakes, and commits: it is refused."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable

import pytest

from miniagent_store import FencedError, LockLostError, Message, open_store
from miniagent_store.testing.oracle import Report
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment

# Seconds of a lease, and of the standing still.
LEASE, STILL = 1.0, 1.6


def stand_still(meanwhile: Callable[[], object]) -> None:
    """As a process that is stopped: this loop does nothing, and others go on in a thread of their own."""
    until = time.monotonic() + STILL
    thread = threading.Thread(target=meanwhile)
    thread.start()
    thread.join()
    time.sleep(max(until - time.monotonic(), 0))


async def test_who_wakes_late_commits_nothing(deployment: Deployment, record: Record) -> None:
    namespace = uuid.uuid4().hex

    async def take_over() -> None:
        async with (
            open_store(deployment.url, namespace=namespace) as other,
            other.lock("job", ttl=LEASE, wait=10) as lease,
        ):
            await other.append("s", Message.user("the next holder's"), fence=lease)

    async with open_store(deployment.url, namespace=namespace) as store:
        await store.create("s")
        with pytest.raises((LockLostError, FencedError)):
            async with store.lock("job", ttl=LEASE) as lease:
                await store.append("s", Message.user("in time"), fence=lease)
                stand_still(lambda: asyncio.run(take_over()))
                await store.append("s", Message.user("too late"), fence=lease)
        contents = [message.content for message in await store.history("s")]
        assert contents == ["in time", "the next holder's"]
        # Its number alone does not help either.
        with pytest.raises(FencedError):
            await store.append("s", Message.user("too late"), fence=lease.fence)

    note = "what came late was refused"
    record("21 holder paused past its lease", deployment.topology, Report(acknowledged=2), note=note)


async def test_a_turn_that_was_taken_over_commits_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    monkeypatch.setattr("miniagent_store.store.turn.TURN_TTL", LEASE)
    namespace = uuid.uuid4().hex

    async def take_over() -> None:
        async with (
            open_store(deployment.url, namespace=namespace) as other,
            other.turn("s", wait=10) as turn,
        ):
            turn.append(Message.user("the next one's"))

    async with open_store(deployment.url, namespace=namespace) as store:
        await store.create("s")
        with pytest.raises((LockLostError, FencedError)):
            async with store.turn("s") as turn:
                turn.append(Message.user("too late"))
                stand_still(lambda: asyncio.run(take_over()))
        assert [message.content for message in await store.history("s")] == ["the next one's"]
        async with store.turn("s") as turn:
            turn.append(Message.user("anew"))
        assert [message.content for message in await store.history("s")] == ["the next one's", "anew"]
    note = "what came late was refused"
    record("21 turn taken over while paused", deployment.topology, Report(acknowledged=2), note=note)
