"""Writers while something is done to the servers, and what they were left with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Self, TypeVar

from miniagent_store.testing.oracle import Report
from miniagent_store.testing.workload import Workload
from tests.faults.deployments import Deployment

T = TypeVar("T")


async def disturb(
    deployment: Deployment, what: Callable[[], Awaitable[object]], *, expiry: bool = True, **options: Any
) -> Report:
    """Let writers work before, during and after something; what is lost is not judged yet.

    Args:
        deployment: where they write.
        what: is done while they do.
        expiry: whether the expiry of the keys is looked at.
        options: of the workload and its stores.
    """
    async with Workload(deployment.url, **options) as work:
        work.start()
        await work.acknowledge(2)
        work.mark()
        await what()
        await work.acknowledge(3)
        await work.stop()
        return await work.report(servers=deployment.masters() if expiry else ())


async def tell_all(deployment: Deployment, *command: str | int, timeout: float = 10.0) -> list[Any]:
    """A command to each master, all at the same time; their replies."""
    return await asyncio.gather(
        *(asyncio.to_thread(master.command, *command, timeout=timeout) for master in deployment.masters())
    )


class Stall:
    """Within it: for how long at the most the machine has not let this process go on."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - began - 0.01)


@asynccontextmanager
async def in_thread(context: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context that takes its time, while writers go on."""
    entered = await asyncio.to_thread(context.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
