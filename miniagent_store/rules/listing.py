"""Listings and statistics over records that are all at hand."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from miniagent_store.backend import BackendStats, ListQuery, ListResult, Record
from miniagent_store.rules.rows import is_expired


def list_page(records: Iterable[Record], query: ListQuery, now_ms: int) -> ListResult:
    """One page of a listing; see `Backend.list`. `records` come in any order, expired ones too."""
    wanted = (record for record in records if _matches(record, query, now_ms))
    pick = heapq.nsmallest if query.ascending else heapq.nlargest
    found = pick(query.limit + 1, wanted, key=_place)
    page = tuple(found[: query.limit])
    return ListResult(page, _place(page[-1]) if len(found) > query.limit else None)


def count_matching(records: Iterable[Record], query: ListQuery, now_ms: int) -> int:
    """How many a listing would show; see `Backend.count`."""
    every = replace(query, cursor=None)
    return sum(_matches(record, every, now_ms) for record in records)


def count_records(records: Iterable[Record], now_ms: int) -> BackendStats:
    """What is held; see `Backend.stats`. Expired records do not count."""
    live = [record for record in records if not is_expired(record.expires_ms, now_ms)]
    talks = [record for record in live if record.kind == "session"]
    return BackendStats(
        sessions=dict(Counter(record.kind for record in live)),
        messages=sum(record.message_count for record in live),
        size=sum(record.size for record in live),
        users=len({record.user_id for record in talks if record.user_id is not None}),
        agents=dict(Counter(record.agent for record in talks if record.agent is not None)),
    )


def _place(record: Record) -> tuple[int, str]:
    return record.last_activity_ms, record.session_id


def _matches(record: Record, query: ListQuery, now_ms: int) -> bool:
    if is_expired(record.expires_ms, now_ms) or record.kind != query.kind:
        return False
    if query.user_id is not None and record.user_id != query.user_id:
        return False
    if query.agent is not None and record.agent != query.agent:
        return False
    if query.cursor is not None:
        here = _place(record)
        if not (here > query.cursor if query.ascending else here < query.cursor):
            return False
    return set(query.tags) <= set(record.tags)
