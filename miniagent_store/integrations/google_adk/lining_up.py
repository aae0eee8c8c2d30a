"""One at a time, first come first served, whichever event loop or thread it comes from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Hashable
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Line:
    """A lock a key that no event loop owns: each who comes waits for the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[Hashable, Future[None]] = {}

    @asynccontextmanager
    async def place(self, key: Hashable) -> AsyncGenerator[None, None]:
        """Wait for those who came before with this key."""
        mine: Future[None] = Future()
        # So that nobody who waits for it, and is cancelled, cancels it for the others.
        mine.set_running_or_notify_cancel()
        with self._lock:
            before = self._last.get(key)
            self._last[key] = mine
        try:
            if before is not None:
                await asyncio.wrap_future(before)
            yield
        finally:
            if before is None or before.done():
                self._leave(key, mine)
            else:
                before.add_done_callback(lambda _: self._leave(key, mine))

    def _leave(self, key: Hashable, mine: Future[None]) -> None:
        with self._lock:
            if self._last.get(key) is mine:
                del self._last[key]
        mine.set_result(None)
