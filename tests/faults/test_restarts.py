"""Faults 3, 8 and 12: a server is killed and comes back with its data, without it, or loading."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from miniagent_store import (
    BackendUnavailableError,
    Message,
    OutcomeUnknownError,
    SessionNotFoundError,
    open_store,
)
from miniagent_store.testing.servers import CommandError, Server
from miniagent_store.testing.workload import Workload
from tests.faults.conftest import Record
from tests.faults.deployments import deploy
from tests.faults.disturbing import disturb

DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.slow)])
async def test_a_durable_server_is_killed_and_loses_nothing(
    binary: Path, rounds: int, record: Record
) -> None:
    with deploy("standalone", binary, **DURABLE) as deployment:
        (server,) = deployment.servers

        async def kill() -> None:
            for _ in range(rounds):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await asyncio.sleep(0.1)  # some work in between

        report = await disturb(deployment, kill)

    name = f"3 SIGKILL and restart, {rounds} times"
    record(name, "standalone, appendfsync=always", report, binary=binary)
    report.check()
    assert not report.errors
    assert not report.unknown


async def test_a_server_without_persistence_comes_back_empty_and_says_so(
    binary: Path, record: Record
) -> None:
    with deploy("standalone", binary) as deployment:
        (server,) = deployment.servers
        async with Workload(deployment.url, writers=4, sessions=4) as work:
            store = work.stores[0]
            work.start()
            await work.acknowledge(5)
            await work.stop()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

            with pytest.raises(SessionNotFoundError):
                await store.append("s0", Message.user("to no one"))
            with pytest.raises(SessionNotFoundError):
                await store.history("s0")
            report = await work.report(store)

            # The store goes on as it is, with sessions that are new.
            await store.append("s0", Message.user("anew"), create=True)
            assert (await store.get("s0")).version == 1
            assert [message.content for message in await store.history("s0")] == ["anew"]

    note = "without persistence all is lost, as is said; a new session is not mixed up with the old"
    record("8 restarted empty", "standalone, no persistence", report, binary=binary, note=note)
    assert report.lost == report.acknowledged
    assert not report.doubled


async def test_a_server_that_still_loads_is_waited_for(binary: Path, record: Record) -> None:
    with deploy(
        "standalone",
        binary,
        **DURABLE,
        # Makes it load slowly, and answer while it does.
        key_load_delay=2_000,
        loading_process_events_interval_bytes=1024,
        aof_use_rdb_preamble="yes",
    ) as deployment:
        (server,) = deployment.servers
        server.command("DEBUG", "POPULATE", 400, "filler", 2000)
        server.command("BGREWRITEAOF")
        await asyncio.to_thread(wait_for_rewrite, server)
        told: list[str] = []

        async def restart() -> None:
            await asyncio.to_thread(server.kill)
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            while not starting.done():
                with contextlib.suppress(OSError):
                    try:
                        await asyncio.to_thread(server.command, "GET", "x", timeout=1.0)
                    except CommandError as error:
                        told.append(str(error))
                await asyncio.sleep(0.02)
            await starting

        report = await disturb(deployment, restart)

    record("12 LOADING", "standalone, appendfsync=always", report, binary=binary)
    report.check()
    assert any(text.startswith("LOADING") for text in told)
    assert not report.errors
    assert not report.unknown


def wait_for_rewrite(server: Server) -> None:
    """Until the server has written all that it has into one file."""
    deadline = time.monotonic() + 30
    while True:
        told = server.command("INFO", "persistence")
        if b"aof_rewrite_in_progress:0" in told and b"aof_rewrite_scheduled:0" in told:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_server_that_stays_away_is_told_within_the_deadline(binary: Path) -> None:
    with deploy("standalone", binary) as deployment:
        (server,) = deployment.servers
        async with open_store(deployment.url, deadline=1) as store:
            await store.create("s")
            server.kill()
            began = time.monotonic()
            # What was sent before the end of the connection was seen is in doubt; what came later is not.
            with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
                await store.append("s", Message.user("x"))
            assert time.monotonic() - began < 2.5
            with pytest.raises(BackendUnavailableError):
                await store.append("s", Message.user("x"))
            assert time.monotonic() - began < 5
            server.start()
            await store.append("s", Message.user("x"), create=True)
