"""Fault 21: a holder stands still past its lease, wakes, and commits: it is refused."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable

import pytest

from miniagent_store import FencedError, LockLostError, Message, SessionStore, open_store
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

    def others(name: str) -> None:
        async def take_over() -> None:
            async with (
                open_store(deployment.url, namespace=namespace) as other,
                other.lock(f"lock-{name}", ttl=LEASE, wait=10) as lease,
            ):
                await other.append(name, Message.user("the next holder's"), fence=lease)

        asyncio.run(take_over())

    refused = 0
    async with open_store(deployment.url, namespace=namespace) as store:
        for name in ("a", "b"):
            await store.create(name)
            with pytest.raises((LockLostError, FencedError)):
                async with store.lock(f"lock-{name}", ttl=LEASE) as lease:
                    await store.append(name, Message.user("in time"), fence=lease)
                    stand_still(lambda name=name: others(name))  # type: ignore[misc]
                    await store.append(name, Message.user("too late"), fence=lease)
            refused += 1
            contents = [message.content for message in await store.history(name)]
            assert contents == ["in time", "the next holder's"]
            # Its number alone does not help either.
            with pytest.raises(FencedError):
                await store.append(name, Message.user("too late"), fence=lease.fence)

    report = Report(acknowledged=2 * refused)
    note = "all that came late was refused"
    record("21 holder paused past its lease", deployment.topology, report, note=note)


async def test_a_turn_that_was_taken_over_commits_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    monkeypatch.setattr("miniagent_store.store.turn.TURN_TTL", LEASE)
    namespace = uuid.uuid4().hex
    taken: list[int] = []

    def take_over() -> None:
        async def take_turn(store: SessionStore) -> None:
            async with store.turn("s", wait=10) as turn:
                turn.append(Message.user("the next one's"))
            assert turn.result is not None
            taken.append(turn.result.session.version)

        async def run() -> None:
            async with open_store(deployment.url, namespace=namespace) as other:
                await take_turn(other)

        asyncio.run(run())

    async with open_store(deployment.url, namespace=namespace) as store:
        await store.create("s")
        with pytest.raises((LockLostError, FencedError)):
            async with store.turn("s") as turn:
                turn.append(Message.user("too late"))
                stand_still(take_over)
        assert [message.content for message in await store.history("s")] == ["the next one's"]
        async with store.turn("s") as turn:
            turn.append(Message.user("anew"))
        assert [message.content for message in await store.history("s")] == ["the next one's", "anew"]
    assert taken == [2]
    record(
        "21 turn taken over while paused",
        deployment.topology,
        Report(acknowledged=2),
        note="what came late was refused",
    )
