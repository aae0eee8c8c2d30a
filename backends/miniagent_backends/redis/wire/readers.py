"""A few connections for large reads, given out in the order in which they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Readers:
    """Names of the connections for large reads of one node; who comes first is served first.

    Args:
        most: how many there are.
    """

    def __init__(self, most: int) -> None:
        # First in, first out (https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore).
        self._free = asyncio.Semaphore(most)
        self._names = [f"reads-{number}" for number in reversed(range(most))]

    @asynccontextmanager
    async def one(self) -> AsyncIterator[str]:
        """The name of a connection that nobody else reads over."""
        async with self._free:
            name = self._names.pop()
            try:
                yield name
            finally:
                self._names.append(name)
