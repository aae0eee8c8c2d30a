"""Pages of sessions by last activity."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from miniagent_store.backend import ListQuery
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import check_id
from miniagent_store.store.core import StoreCore
from miniagent_store.store.draft import clean_tags
from miniagent_store.store.reading import check_count
from miniagent_store.values import Page

MAX_PAGE = 1000
# What the longest id makes, and some more; a cursor may have been made by anybody.
MAX_CURSOR = 4096
ORDERS = ("-last_activity", "last_activity")


async def list_sessions(
    core: StoreCore,
    *,
    user_id: str | None,
    agent: str | None,
    kind: str,
    tags: Iterable[str] | Mapping[str, str] | None,
    order: str,
    cursor: str | None,
    limit: int,
    metadata: bool,
    skip_damaged: bool,
) -> Page:
    """One page; see `SessionStore.list`."""
    if order not in ORDERS:
        raise InvalidArgumentError(f"order is one of {', '.join(map(repr, ORDERS))}, not {order!r}")
    check_count(limit, "limit", least=1)
    query = ListQuery(
        kind=check_id(kind, what="kind"),
        user_id=None if user_id is None else check_id(user_id, what="user id"),
        agent=None if agent is None else check_id(agent, what="agent"),
        tags=clean_tags(tags or ()),
        ascending=order == "last_activity",
        cursor=None if cursor is None else _parse_cursor(cursor, order),
        limit=min(limit, MAX_PAGE),
        skip_damaged=skip_damaged,
    )
    await core.ready()
    result = await core.retrying.attempt("list", "", lambda _: core.backend.list(query))
    records = result.records
    if metadata:
        await core.keys.learn(*records)
    else:
        records = tuple(replace(record, metadata=b"") if record.metadata else record for record in records)
    items = [core.coding.session(record) for record in records]
    cursor_behind = None if result.next_cursor is None else _cursor(result.next_cursor, order)
    return Page(items, cursor_behind, result.damaged)


async def count_sessions(
    core: StoreCore,
    *,
    user_id: str | None,
    agent: str | None,
    kind: str,
    tags: Iterable[str] | Mapping[str, str] | None,
) -> int:
    """How many there are; see `SessionStore.count_sessions`."""
    query = ListQuery(
        kind=check_id(kind, what="kind"),
        user_id=None if user_id is None else check_id(user_id, what="user id"),
        agent=None if agent is None else check_id(agent, what="agent"),
        tags=clean_tags(tags or ()),
    )
    await core.ready()
    return await core.retrying.attempt("count", "", lambda _: core.backend.count(query))


def _cursor(place: tuple[int, str], order: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([order, *place]).encode()).decode()


def _parse_cursor(text: str, order: str) -> tuple[int, str]:
    try:
        if len(text) <= MAX_CURSOR:
            given_order, last_activity_ms, session_id = json.loads(base64.urlsafe_b64decode(text))
            if given_order == order and type(last_activity_ms) is int and abs(last_activity_ms) < 2**63:
                return last_activity_ms, check_id(session_id)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgumentError("not a cursor of this listing: pass Page.next_cursor, with the same order")
