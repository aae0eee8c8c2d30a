"""Many instances ask for one missing value: it is computed once, and once more if its computer dies."""

from __future__ import annotations

import asyncio
import time
import uuid
from asyncio.subprocess import Process
from contextlib import AsyncExitStack

import pytest

from miniagent_store import open_store
from tests.coordination.processes import line_of, running, tell

# Processes and stores of each.
FEW, MANY = (2, 5), (8, 13)
LEASE = 1.0
# What a busy machine may add.
SLACK = 3.0


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
async def test_many_instances_compute_once(shared_url: str, count: int) -> None:
    namespace, calls = uuid.uuid4().hex, 0
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(shared_url, namespace=namespace))
            for _ in range(count)
        ]

        async def compute() -> str:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.2)
            return "answer"

        functions = [each.cache.cached(key="answer")(compute) for each in stores]
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(function() for function in functions))

        assert answers == ["answer"] * count
        assert calls == 1
        assert sum(each.cache.hits for each in stores) == 0, "it was not there when they asked"
        assert sum(each.cache.misses for each in stores) == count


@pytest.mark.parametrize("size", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
async def test_when_the_computer_is_killed_one_other_computes(
    shared_url: str, size: tuple[int, int]
) -> None:
    processes, stores = size
    namespace = uuid.uuid4().hex
    async with AsyncExitStack() as stack:

        async def start(stores: int, seconds: float) -> Process:
            process = await stack.enter_async_context(
                running("computer", shared_url, namespace, stores, seconds, LEASE)
            )
            assert await line_of(process) == "ready"
            return process

        victim = await start(1, 3600)
        others = await asyncio.gather(*(start(stores, 0.2) for _ in range(processes)))
        await tell(victim)
        assert await line_of(victim) == "computing"
        for other in others:
            await tell(other)
        # It lives, so its lock is renewed: however long it takes, nobody computes beside it.
        with pytest.raises(TimeoutError):
            await line_of(others[0], timeout=LEASE * 1.5)

        victim.kill()
        killed_at = time.monotonic()
        lines = await asyncio.gather(*(_lines_of(other, stores) for other in others))

        assert time.monotonic() - killed_at < LEASE + SLACK
        told = [line for each in lines for line in each]
        assert told.count("computing") == 1
        answers = [line for line in told if line.startswith("got")]
        assert len(answers) == processes * stores
        assert len(set(answers)) == 1


async def _lines_of(process: Process, answers: int) -> list[str]:
    """All that it says, until it has had its answers."""
    lines: list[str] = []
    while sum(line.startswith("got") for line in lines) < answers:
        lines.append(await line_of(process))
        assert lines[-1], "it ended too early"
    return lines
