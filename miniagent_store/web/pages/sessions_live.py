"""What changes while somebody looks at the sessions: the numbers above them, and who became active."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import BackendUnavailableError, StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session, to_ms
from miniagent_store.web.asked import store_of
from miniagent_store.web.counting import Counters, count
from miniagent_store.web.filters import Filters
from miniagent_store.web.finding import WHATEVER
from miniagent_store.web.rendering import number, size
from miniagent_store.web.streaming import Sent, last_id, stream

# Seconds between two looks: at least, however much happens, and at most, since time itself changes numbers.
LEAST, MOST = 1.0, 5.0
# Sessions that are told one by one in one look; of more, only that there are more.
TOLD = 100
# Sessions that are gone, remembered between two looks.
GONE = 1_000


async def page(request: Request) -> Response:
    """Events of the sessions that fit the filters in the address.

    "counters": the numbers. "changed": sessions that were active since ``after=`` (milliseconds), and
    whether there are more than those. "gone": ids of deleted ones. "trouble": why nothing can be told.
    """
    after = last_id(request) or "0"
    since = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
    filters = Filters.of(request.query_params).but(oldest=False)
    return stream(_Looking(store_of(request), filters, since).events())


class _Looking:
    """One visitor's looks at a store.

    Args:
        store: which.
        filters: which sessions are told.
        since: the last activity that the page knows, milliseconds.
    """

    def __init__(self, store: SessionStore, filters: Filters, since: int) -> None:
        self._store, self._filters, self._since = store, filters, since
        self._fitting = filters.at(datetime.now(UTC))
        self._versions: dict[str, int] = {}
        self._counters: Counters | None = None
        self._woken = asyncio.Event()
        self._gone: dict[str, None] = {}

    async def events(self) -> AsyncGenerator[Sent, None]:
        """Until the visitor leaves."""
        async with self._woken_by_changes():
            while True:
                self._woken.clear()
                try:
                    async for sent in self._look():
                        yield sent
                except BackendUnavailableError as error:
                    yield Sent("trouble", {"text": str(error)})
                except StoreError as error:
                    yield Sent("trouble", {"text": str(error)})
                    return
                await asyncio.sleep(LEAST)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), MOST - LEAST)

    @asynccontextmanager
    async def _woken_by_changes(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError, StoreError):
                await watching

    async def _watch(self) -> None:
        while True:
            with suppress(BackendUnavailableError):
                async for event in self._store.watch():
                    if event.type == "deleted" and len(self._gone) < GONE:
                        self._gone[event.session_id] = None
                    self._woken.set()
            await asyncio.sleep(LEAST)

    async def _look(self) -> AsyncIterator[Sent]:
        gone, self._gone = self._gone, {}
        if gone:
            yield Sent("gone", {"ids": [*gone]})
        counters = await count(self._store)
        if counters != self._counters:
            self._counters = counters
            yield Sent("counters", counters.to_dict())
        self._fitting = self._filters.at(datetime.now(UTC))
        page = await self._store.list(**self._filters.listed, limit=TOLD, **WHATEVER)
        active = [each for each in page if to_ms(each.last_activity) >= self._since]
        news = [each for each in active if self._is_news(each)]
        self._versions = {each.id: each.version for each in active}
        if page.items:
            self._since = max(self._since, to_ms(page.items[0].last_activity))
        if news:
            more = len(active) == TOLD and page.next_cursor is not None
            yield Sent(
                "changed", {"sessions": [_row(each) for each in news], "more": more}, str(self._since)
            )

    def _is_news(self, session: Session) -> bool:
        return self._versions.get(session.id) != session.version and self._fitting.fits(session)


def _row(session: Session) -> dict[str, Any]:
    """What a row of the table shows that changes."""
    return {
        "id": session.id,
        "version": session.version,
        "messages": number(session.message_count),
        "size": size(session.size),
        "active": session.last_activity.isoformat(),
        "expires": None if session.expires_at is None else session.expires_at.isoformat(),
    }
