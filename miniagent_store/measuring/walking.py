"""All sessions of a store, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.values import Session

PAGE = 500


async def every_session(
    store: SessionStore, *, page_size: int = PAGE, **filters: Any
) -> AsyncIterator[Session]:
    """All sessions that `SessionStore.list` finds with `filters`, `page_size` at a time."""
    cursor: str | None = None
    # What is active while we turn pages moves to the front: never tell it twice.
    seen: set[str] = set()
    while True:
        page = await store.list(**filters, cursor=cursor, limit=page_size)
        for session in page:
            if session.id not in seen:
                seen.add(session.id)
                yield session
        cursor = page.next_cursor
        if cursor is None:
            return
