"""Processes change one scope at once, and some are killed: each memory is whole and found, or not there."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from miniagent_store import open_store
from miniagent_store.testing.servers import Server
from tests.memory.plain_reference import Letters, ids_of
from tests.memory.test_changing import names_in

STEPS = 40


async def run_processes(url: str, count: int, kills: int) -> None:
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.memory.changing", url, str(seed), str(STEPS),
            stderr=asyncio.subprocess.PIPE,
        )
        for seed in range(count)
    ]  # fmt: skip
    dice = random.Random(count)

    async def end(number: int) -> None:
        process = running[number]
        if number < kills:
            try:
                # Somewhere on its way, which takes a second or more.
                async with asyncio.timeout(0.6 + dice.random()):
                    await process.wait()
            except TimeoutError:
                process.kill()
        _, told = await process.communicate()
        assert number < kills or process.returncode == 0, told.decode()

    await asyncio.gather(*map(end, range(count)))


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("sqlite", 3),
        *(pytest.param(each, 12, marks=pytest.mark.slow) for each in ("sqlite", "redis", "vectors")),
    ],
)
async def test_processes_leave_nothing_half(
    place: str, count: int, tmp_path: Path, redis_server: Server, vectors_server: Server
) -> None:
    server = redis_server if place == "redis" else vectors_server
    url = f"sqlite:///{tmp_path}/sessions.db?deadline=60s"
    if place != "sqlite":
        url = f"{server.url}/0?deadline=60s&namespace={tmp_path.name[:40]}"
    await run_processes(url, count, kills=count // 3)

    async with open_store(url) as store:
        for index in ("auto", "exact"):
            memory = store.memory("ada", embedder=Letters(), index=index)
            there = ids_of(await memory.list(limit=1000))
            for mode in ("vector", "words"):
                assert sorted(ids_of(await memory.search("abc", k=1000, mode=mode))) == sorted(there)
        names = await names_in(store, "ada")
        for prefix in ("m/", "v/"):
            assert sorted(each[2:] for each in names if each.startswith(prefix)) == sorted(there)
