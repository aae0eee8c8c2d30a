"""A few faults on each server that is not tried in full every time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.conftest import OTHERS, Record, version_of
from tests.faults.deployments import deploy
from tests.faults.disturbing import disturb, tell_all


@pytest.mark.parametrize("other", OTHERS, ids=version_of)
async def test_connections_scripts_and_the_process_itself_go(other: Path, record: Record) -> None:
    with deploy("standalone", other, appendonly="yes", appendfsync="always") as deployment:
        (server,) = deployment.servers

        async def be_unkind() -> None:
            for _ in range(10):
                await tell_all(deployment, "CLIENT", "KILL", "TYPE", "normal")
                await tell_all(deployment, "SCRIPT", "FLUSH")
                await asyncio.sleep(0.02)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

        report = await disturb(deployment, be_unkind)
    record("3 9 13 killed, cut and forgotten", "standalone, appendfsync=always", report, binary=other)
    report.check()
    assert not report.errors
    assert not report.unknown
