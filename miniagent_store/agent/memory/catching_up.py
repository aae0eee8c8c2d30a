"""Sessions in which something was said that nobody has remembered."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from datetime import UTC, datetime

from miniagent_store.agent.memory.agent_memory import AgentMemory
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.store.memory.anchoring import ANCHOR
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session

PAGE = 50
AT_ONCE = 16


async def left_behind(
    store: SessionStore, memory: AgentMemory, *, most: int, since: float
) -> list[tuple[str, str]]:
    """Ids and scopes of such sessions.

    Of the sessions of a page one read of each scope tells which were followed to their end; only the others
    are asked whether they name it. One that does not was never in the hands of an agent that remembers.

    Args:
        store: where they are.
        memory: what is remembered.
        most: so many sessions are looked at, those last active first.
        since: seconds since 1970; those that were active before are left out.
    """
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    oldest = datetime.min.replace(tzinfo=UTC) if math.isinf(since) else datetime.fromtimestamp(since, UTC)
    while most > 0:
        page = await store.list(limit=min(PAGE, most), cursor=cursor)
        most -= len(page)
        active = [each for each in page if each.last_activity >= oldest]
        found += await _of_page(store, memory, active)
        cursor = page.next_cursor
        if cursor is None or len(active) < len(page):
            break
    return found


async def _of_page(
    store: SessionStore, memory: AgentMemory, sessions: list[Session]
) -> list[tuple[str, str]]:
    by_scope: dict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        if (scope := memory.scope_of(session)) is not None:
            by_scope[scope].append(session)
    behind: list[tuple[str, str]] = []
    for scope, of_it in by_scope.items():
        behind += [(each, scope) for each in await memory.open(store, scope).behind(of_it)]
    found: list[tuple[str, str]] = []
    for start in range(0, len(behind), AT_ONCE):
        some = behind[start : start + AT_ONCE]
        named = await asyncio.gather(*(_names(store, *each) for each in some))
        found += [each for each, is_named in zip(some, named, strict=True) if is_named]
    return found


async def _names(store: SessionStore, session_id: str, scope: str) -> bool:
    try:
        snapshot = await store.snapshot(session_id, last=0, state=(ANCHOR,))
    except SessionNotFoundError:
        return False
    return scope in snapshot.state.get(ANCHOR, {"scopes": ()})["scopes"]
