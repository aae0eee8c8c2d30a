"""What a store still has to do for those who do not wait for it, such as giving back their leases."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

# Seconds that closing a store waits for what is under way.
FAREWELL = 2.0


class Background:
    """Work beside its callers; done before the store closes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside the caller; once the store is closed, begin it and give it up."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._closed:
            asyncio.get_running_loop().call_soon(task.cancel)

    async def close(self) -> None:
        """Wait a little for what is under way, and give up the rest."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
