"""Sessions as the seed's listings show them."""

from __future__ import annotations

from typing import Any

from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session

ANONYMOUS = "anonymous"
PAGE = 1000


async def list_all(store: SessionStore, user_id: str | None) -> list[dict[str, Any]]:
    """All sessions, or all of a user, those last active first."""
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    while True:
        page = await store.list(user_id=user_id, cursor=cursor, limit=PAGE)
        # Who is active while we read moves to the head of the list, and may be met twice.
        found.update((session.id, listed(session)) for session in page if session.id not in found)
        cursor = page.next_cursor
        if cursor is None:
            return list(found.values())


def listed(session: Session) -> dict[str, Any]:
    """A session as a dict; whose user is not known is of "anonymous"."""
    return {
        "session_id": session.id,
        "user_id": session.user_id or ANONYMOUS,
        "created_at": session.created_at.isoformat(),
        "last_activity": session.last_activity.isoformat(),
        "message_count": session.message_count,
    }
