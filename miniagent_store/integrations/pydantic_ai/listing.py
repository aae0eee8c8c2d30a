"""Records by scope, newest first; families carry their records' scopes as tags."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from miniagent_store import Session, SessionStore
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.families import PREFIX, RECORDS, read_family
from miniagent_store.integrations.pydantic_ai.record_json import load_record

with requires("pydantic-ai-slim>=2.66", extra="pydantic-ai"):
    from pydantic_ai.conversation_store import ConversationRecord

ANY_SCOPE = f"{PREFIX}.conversations"
_MANY_SCOPES = f"{PREFIX}.scopes"
_MOST_TAGS = 60
_LONGEST = 64
_PAGE = 100
_READ_AT_ONCE = 16
# A session's last activity is kept in ms, rounded down, and is never before its records' last save.
_ROUNDED = timedelta(milliseconds=1)


def tags_with(tags: Sequence[str], scope: str | None) -> tuple[str, ...]:
    """The tags of a family that gets a record of this scope; those that it had, and perhaps more."""
    wanted = {*tags, ANY_SCOPE}
    if scope is not None and _MANY_SCOPES not in wanted:
        wanted.add(_scope_tag(scope))
        if len(wanted) > _MOST_TAGS:
            wanted = {ANY_SCOPE, _MANY_SCOPES}
    return tuple(sorted(wanted))


def _scope_tag(scope: str) -> str:
    short = scope if len(scope) <= _LONGEST else f"sha256:{hashlib.sha256(scope.encode()).hexdigest()}"
    return join_id(f"{PREFIX}.scope", short)


async def newest_records(
    store: SessionStore, scope: str | None, limit: int | None
) -> list[ConversationRecord]:
    """The records of a scope, or all, newest first."""
    if limit == 0:
        return []
    found: list[ConversationRecord] = []
    tags = [ANY_SCOPE] if scope is None else [_scope_tag(scope), _MANY_SCOPES]
    for tag in tags:
        some: list[ConversationRecord] = []
        async for sessions in _pages(store, tag, limit):
            if limit is not None and len(some) >= limit:
                oldest = sorted((each.updated_at for each in some), reverse=True)[limit - 1]
                if oldest >= sessions[0].last_activity + _ROUNDED:
                    break
            for begin in range(0, len(sessions), _READ_AT_ONCE):
                reads = (
                    _records(store, each.id, scope) for each in sessions[begin : begin + _READ_AT_ONCE]
                )
                some += [record for records in await asyncio.gather(*reads) for record in records]
        found += some
    found.sort(key=lambda record: record.updated_at, reverse=True)
    return found[:limit]


async def _pages(store: SessionStore, tag: str, limit: int | None) -> AsyncIterator[list[Session]]:
    cursor: str | None = None
    size = _PAGE if limit is None else min(limit, _PAGE)
    while True:
        page = await store.list(tags=[tag], cursor=cursor, limit=size)
        if page.items:
            yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return


async def _records(store: SessionStore, session_id: str, scope: str | None) -> list[ConversationRecord]:
    family = await read_family(store, session_id, all_records=True)
    records = (
        load_record(value).record for name, value in family.state.items() if name.startswith(RECORDS)
    )
    return [record for record in records if scope is None or record.scope == scope]
