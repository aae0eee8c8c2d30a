"""The seed's sessions: a dict under an id, kept in a session's metadata."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from miniagent_store.errors import VersionConflictError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session

# Where the data of `create_session` lies in a session's metadata.
DATA = "redis_client.data"


async def create(
    store: SessionStore, session_id: str, data: Mapping[str, Any], kept: Any, ttl: float | None
) -> None:
    """Make a session of `data`, which is stored as `kept`."""
    await store.create(
        session_id,
        user_id=_text(data.get("user_id")),
        agent=_text(data.get("agent_name")),
        metadata={DATA: kept},
        ttl=ttl,
    )


async def replace_data(store: SessionStore, session_id: str, kept: Any) -> None:
    """Replace a session's data, and leave alone what else stands in its metadata, such as an agent's."""
    while True:
        session = await store.get(session_id)
        others = {name: each for name, each in session.metadata.items() if name != DATA}
        if not others:
            await store.update(session_id, metadata={DATA: kept})
            return
        try:
            await store.update(session_id, metadata={**others, DATA: kept}, expected_version=session)
        except VersionConflictError:
            continue  # what else stands there may have changed: look again
        return


def described(session: Session) -> dict[str, Any]:
    """The data of a session that was made by an agent, in the seed's words."""
    return {
        "session_id": session.id,
        "user_id": session.user_id or "anonymous",
        "agent_name": session.agent,
        "created_at": session.created_at.isoformat(),
        "last_activity": session.last_activity.isoformat(),
        "message_count": session.message_count,
        "metadata": dict(session.metadata),
    }


async def matching(store: SessionStore, pattern: str) -> list[Session]:
    """All sessions whose ids match a pattern as SCAN takes them, newest activity first."""
    shell_pattern = pattern.replace("[^", "[!")
    found: list[Session] = []
    cursor = None
    while True:
        page = await store.list(cursor=cursor, limit=500)
        found += [each for each in page.items if fnmatch.fnmatchcase(each.id, shell_pattern)]
        cursor = page.next_cursor
        if cursor is None:
            return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
