"""Missing replicas: a fixed number of them stops commits until they are back, `all` goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store import DurabilityError, Message, open_store
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server, ServerError
from miniagent_store.testing.waiting import wait_until
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.disturbing import in_thread


@pytest.fixture(scope="module")
def sentinels(binary: Path) -> Iterator[SentinelGroup]:
    with SentinelGroup(binary) as group:
        yield group


async def test_commits_that_wait_for_a_missing_replica_say_so(sentinels: SentinelGroup) -> None:
    async with open_store(sentinels.url, namespace="fixed", replicas=2, deadline=4) as store:
        await store.create("s")
        missing = sentinels.replicas()[0]
        missing.kill()
        with pytest.raises(DurabilityError) as caught:
            await store.append("s", Message.user("weak"))
        await asyncio.to_thread(missing.start)
        await asyncio.to_thread(sentinels.wait_until_ready)
        await store.append("s", Message.user("strong"))

        assert (caught.value.acknowledged, caught.value.asked) == (1, 2)
        assert [message.content for message in await store.history("s")] == ["weak", "strong"]


async def test_a_turn_that_waits_for_a_missing_replica_does_not_begin(sentinels: SentinelGroup) -> None:
    async with open_store(sentinels.url, namespace="turn", replicas=2, deadline=4) as store:
        await store.create("s")
        missing = sentinels.replicas()[0]
        missing.kill()
        with pytest.raises(DurabilityError, match="nothing of yours is stored") as caught:
            async with store.turn("s") as turn:
                turn.append(Message.user("never said"))
        await asyncio.to_thread(missing.start)
        await asyncio.to_thread(sentinels.wait_until_ready)
        async with store.turn("s", wait=60) as turn:
            turn.append(Message.user("said"))

        assert not caught.value.stored
        assert [message.content for message in await store.history("s")] == ["said"]


async def test_all_are_those_that_can_be_reached_and_at_least_one(sentinels: SentinelGroup) -> None:
    async with open_store(sentinels.url, namespace="all", replicas="all") as store:
        await store.create("s")
        first, second = sentinels.replicas()
        first.kill()
        await store.append("s", Message.user("one is left"))
        second.kill()
        async with open_store(sentinels.url, namespace="all", replicas="all", deadline=4) as other:
            with pytest.raises(DurabilityError) as caught:
                await other.append("s", Message.user("none is left"))
        for server in (first, second):
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(sentinels.wait_until_ready)
        await store.append("s", Message.user("all are back"))

        assert (caught.value.acknowledged, caught.value.asked) == (0, 1)
        told = [message.content for message in await store.history("s")]
        assert told == ["one is left", "none is left", "all are back"]


def lacks_successor(group: SentinelGroup, old: Server) -> str | None:
    """Whether another master has not been promoted yet."""
    try:
        return "the master is the old one" if group.master() is old else None
    except ServerError as error:
        return str(error)


async def test_a_fixed_number_keeps_what_was_acknowledged_when_the_master_dies(
    sentinels: SentinelGroup, binary: Path, record: Record
) -> None:
    async with (
        Workload(sentinels.url, writers=8, replicas=2, deadline=30) as work,
        in_thread(sentinels.stallable_replication()) as stall,
    ):
        master = sentinels.master()
        work.start()
        await work.acknowledge(10)
        stall()
        await asyncio.sleep(0.4)  # the links are up and stalled for so long
        work.mark()
        master.kill()
        await asyncio.to_thread(wait_until, lambda: lacks_successor(sentinels, master), 30.0)
        # Writers wait for the second replica, which the old master will be.
        await asyncio.to_thread(master.start)
        await asyncio.to_thread(sentinels.wait_until_ready)
        await work.acknowledge(10)
        await work.stop()
        report = await work.report(servers=[await asyncio.to_thread(sentinels.master)])
    record("4 replication stalled, then SIGKILL", "Sentinel, replicas=2 of 2", report, binary=binary)

    report.check()
    assert not report.errors
