"""Fault 5: of two replicas the one that lags is promoted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server, ServerError
from miniagent_store.testing.waiting import wait_until
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.disturbing import in_thread


@pytest.mark.parametrize("replicas", ["all", pytest.param(1, marks=pytest.mark.slow)])
async def test_the_replica_that_lags_is_promoted(binary: Path, replicas: str | int, record: Record) -> None:
    with SentinelGroup(binary) as group:
        lagging, other = group.replicas()
        # The sentinels never promote one of priority 0.
        other.command("CONFIG", "SET", "replica-priority", 0)
        await asyncio.to_thread(wait_until, lambda: lacks_priority(group, other), 30.0)
        async with (
            Workload(group.url, writers=8, replicas=replicas) as work,
            in_thread(group.stallable_replication([lagging])) as stall,
        ):
            master = group.master()
            work.start()
            await work.acknowledge(10)
            stall()
            await asyncio.sleep(0.5)  # the one replica hears of what is written for so long
            work.mark()
            master.kill()
            await asyncio.to_thread(wait_until, lambda: lacks_promotion(group, lagging), 60.0)
            await work.acknowledge(10)
            await work.stop()
            report = await work.report(servers=[lagging])
        covered = replicas == "all"
        note = "" if covered else "one acknowledgement does not cover this"
        record(
            "5 lagging replica promoted",
            f"Sentinel, replicas={replicas} of 2",
            report,
            binary=binary,
            note=note,
        )

        if covered:
            report.check()
            assert not report.errors
        else:
            assert report.lost > 0
        assert report.doubled == 0


def lacks_priority(group: SentinelGroup, replica: Server) -> str | None:
    """Whether a sentinel has not heard yet that a replica is not to be promoted."""
    for sentinel in group.sentinels:
        for row in sentinel.command("SENTINEL", "REPLICAS", group.name):
            fields = dict(zip(row[::2], row[1::2], strict=True))
            if int(fields[b"port"]) == replica.port and fields[b"slave-priority"] != b"0":
                return f"{sentinel} takes it for one that may be promoted"
    return None


def lacks_promotion(group: SentinelGroup, replica: Server) -> str | None:
    """Whether a replica is not the master yet."""
    try:
        return None if group.master() is replica else "another one is the master"
    except ServerError as error:
        return str(error)
