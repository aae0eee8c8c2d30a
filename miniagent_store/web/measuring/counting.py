"""A count of all sessions, slowly, so that it harms nobody; and what was used a day."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta

from miniagent_store.measuring.census import DAYS, Census
from miniagent_store.measuring.walking import every_session
from miniagent_store.store.protocol import SessionStore
from miniagent_store.usage_report import Usage

# So many sessions at a time, which keep others of this process waiting for some ms, and seconds between; so
# many in all.
PAGE, PAUSE = 250, 0.5
MOST = 100_000
# Counted again after ten times as long as it took, but after so many seconds at least and at most.
SOON, LATE = 60.0, 600.0


class Counting:
    """Looks at the record of each session, those active last first.

    Attributes:
        census: what was found; the last one that is complete, once there is one. None before the first
            page.
        complete: whether it is of all sessions, or of `MOST`.
        usage: by day, where it is counted.
    """

    census: Census | None
    complete: bool
    usage: dict[date, Usage]

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self.census, self.complete, self.usage = None, False, {}
        self.began: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """Count again and again.

        Raises:
            StoreError: the store is away.
        """
        while True:
            began = time.monotonic()
            await self._count()
            await asyncio.sleep(min(max(10 * (time.monotonic() - began), SOON), LATE))

    async def _count(self) -> None:
        now = datetime.now(UTC)
        self.usage = (await self._store.usage(since=now.date() - timedelta(days=DAYS - 1))).by_day
        census = Census(now)
        async for session in every_session(self._store, page_size=PAGE):
            census.add(session)
            if census.sessions % PAGE == 0:
                self._show(census)
                if census.sessions >= MOST:
                    break
                await asyncio.sleep(PAUSE)
        self.complete = False
        self._show(census)
        self.complete = True

    def _show(self, census: Census) -> None:
        if not self.complete:
            self.census = census
        self.began.set()
