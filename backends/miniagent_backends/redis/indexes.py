"""Listings: sorted sets of session ids by last activity, advisory, repaired on read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from miniagent_backends.redis.keys import BUCKETS, Keys, bucket_of
from miniagent_backends.redis.refusals import understanding
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import pairs_of, record_of
from miniagent_backends.redis.wire.connection import Arg
from miniagent_store.backend import ListQuery, ListResult, Record
from miniagent_store.errors import SessionDamagedError
from miniagent_store.rules import is_expired

Place = tuple[int, str]
CHUNK = 64


def index_keys(keys: Keys, record: Record) -> list[str]:
    """The indexes that a session stands in."""
    names = [f"index:{{{bucket_of(record.session_id)}}}"]
    if record.user_id is not None:
        names.append(f"user:{record.user_id}")
    if record.agent is not None:
        names.append(f"agent:{record.agent}")
    names += [f"tag:{tag}" for tag in record.tags]
    return [keys.index(record.kind, name) for name in names]


@dataclass(slots=True)
class _Source:
    """One sorted set that is walked."""

    key: str
    found: list[Place]
    is_at_end: bool = False


async def list_sessions(executor: Executor, keys: Keys, query: ListQuery) -> ListResult:
    """See `Backend.list`."""
    if query.tags:
        names = [f"tag:{query.tags[0]}"]
    elif query.user_id is not None:
        names = [f"user:{query.user_id}"]
    elif query.agent is not None:
        names = [f"agent:{query.agent}"]
    else:
        names = [f"index:{{{bucket}}}" for bucket in range(BUCKETS)]
    index = [keys.index(query.kind, name) for name in names]
    found: list[tuple[Place, Record]] = []
    damaged: list[Place] = []
    cursor = query.cursor
    while len(found) <= query.limit:
        most = query.limit + 1 - len(found)
        places, cursor, at_end = await _walk(executor, index, query.ascending, cursor, max(most, CHUNK))
        found += await _look(executor, keys, query, places, damaged)
        if at_end:
            break
    page = found[: query.limit]
    more = len(found) > query.limit
    end = page[-1][0] if more else None
    # What was looked at beyond the page comes again.
    skipped = [place[1] for place in damaged if end is None or not _is_beyond(place, end, query.ascending)]
    return ListResult(tuple(record for _, record in page), end, tuple(skipped))


async def _walk(
    executor: Executor, index: list[str], ascending: bool, cursor: Place | None, most: int
) -> tuple[list[tuple[str, Place]], Place | None, bool]:
    """The next members of all sets in order; where they end, and whether that is the end.

    Args:
        executor, index, ascending, cursor: of the walk.
        most: no more than so many.
    """
    command, edge = ("ZRANGEBYSCORE", "+inf") if ascending else ("ZREVRANGEBYSCORE", "-inf")
    start: Arg = ("-inf" if ascending else "+inf") if cursor is None else cursor[0]
    # Members of the cursor's own score come again, and are passed over.
    sources: list[_Source] = []
    offset = 0
    while True:
        replies = await executor.run(
            *((command, key, start, edge, "WITHSCORES", "LIMIT", offset, CHUNK) for key in index)
        )
        sources = []
        for key, reply in zip(index, replies, strict=True):
            places = _places(reply)
            beyond = [place for place in places if cursor is None or _is_beyond(place, cursor, ascending)]
            sources.append(_Source(key, beyond, len(places) < CHUNK))
        if all(source.found or source.is_at_end for source in sources):
            break
        offset += CHUNK
    if offset:
        # A whole chunk of one score was passed over in some set: walk them one by one, slowly and surely.
        sources = [
            await _walk_past(executor, key, command, start, edge, cursor, ascending) for key in index
        ]
    # Beyond the last member of a set that has more, others of it may come first.
    ends = [source.found[-1] for source in sources if not source.is_at_end]
    limit = (min(ends) if ascending else max(ends)) if ends else None
    merged = sorted(
        ((place, source.key) for source in sources for place in source.found), reverse=not ascending
    )
    if limit is not None:
        merged = [pair for pair in merged if pair[0] == limit or not _is_beyond(pair[0], limit, ascending)]
    more = limit is not None or len(merged) > most
    merged = merged[:most]
    last = merged[-1][0] if merged else cursor
    return [(key, place) for place, key in merged], last, not more


async def _walk_past(
    executor: Executor, key: str, command: str, start: Arg, edge: str, cursor: Place | None, ascending: bool
) -> _Source:
    offset = 0
    while True:
        reply = await executor.execute(command, key, start, edge, "WITHSCORES", "LIMIT", offset, CHUNK)
        places = _places(reply)
        beyond = [place for place in places if cursor is None or _is_beyond(place, cursor, ascending)]
        if beyond or len(places) < CHUNK:
            return _Source(key, beyond, len(places) < CHUNK)
        offset += CHUNK


def _places(reply: list[Any]) -> list[Place]:
    return [(score, member.decode()) for member, score in pairs_of(reply)]


def _is_beyond(place: Place, cursor: Place, ascending: bool) -> bool:
    return place > cursor if ascending else place < cursor


async def _look(
    executor: Executor,
    keys: Keys,
    query: ListQuery,
    places: list[tuple[str, Place]],
    damaged: list[Place],
) -> list[tuple[Place, Record]]:
    """The records that stand there and are wanted; what is stale is forgotten.

    Raises:
        SessionDamagedError: one cannot be understood; with `ListQuery.skip_damaged` its place is added to
            `damaged` instead.
    """
    if not places:
        return []
    now = executor.now_ms()
    rows = await executor.run(
        *(("HMGET", keys.record(session_id), "t", "m", "x", "f") for _, (_, session_id) in places)
    )
    found, stale, behind = [], [], []
    for (key, place), (token, packed, expires, fence) in zip(places, rows, strict=True):
        record = None
        if token and packed is not None:
            try:
                with understanding(place[1], "the record"):
                    record = record_of(place[1], token, packed, expires, int(fence or 0))
            except SessionDamagedError:
                if not query.skip_damaged:
                    raise
                damaged.append(place)
                continue
        if record is None or is_expired(record.expires_ms, now):
            # Its own bucket keeps what has expired, for the sweep that tells of it.
            if not key.endswith("}"):
                stale.append((key, place))
        elif key not in index_keys(keys, record):
            stale.append((key, place))
        elif _is_wanted(record, query):
            found.append((place, record))
            if place[0] != record.last_activity_ms:
                # Whoever was to write the score has not, or was overtaken by an older one.
                behind.append(("ZADD", key, "XX", record.last_activity_ms, place[1]))
    if behind:
        executor.notify(*behind)
    for key, (score, session_id) in stale:
        await executor.script("forget", [key], session_id, score)
    return found


def _is_wanted(record: Record, query: ListQuery) -> bool:
    return (
        record.kind == query.kind
        and query.user_id in (None, record.user_id)
        and query.agent in (None, record.agent)
        and set(query.tags) <= set(record.tags)
    )
