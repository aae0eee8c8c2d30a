"""Counts and statistics from what is kept beside the sessions, without looking at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from miniagent_backends.redis.indexes import list_sessions
from miniagent_backends.redis.keys import BUCKETS, Keys
from miniagent_backends.redis.places import Facts, facts_of, index_of, split_member
from miniagent_backends.redis.routing.executor import Executor
from miniagent_store.backend import BackendStats, ListQuery
from miniagent_store.errors import AccessDeniedError

PAGE = 1_000


async def count(executor: Executor, keys: Keys, query: ListQuery) -> int:
    """See `Backend.count`."""
    filters = [f"tag:{tag}" for tag in query.tags]
    if query.user_id is not None:
        filters.append(f"user:{query.user_id}")
    if query.agent is not None:
        filters.append(f"agent:{query.agent}")
    if len(filters) > 1:
        return await _count_each(executor, keys, query)
    if not filters:
        indexes = [index_of(keys, query.kind, bucket) for bucket in range(BUCKETS)]
    else:
        indexes = [keys.index(query.kind, filters[0])]
    dead = [
        session_id
        for session_id, facts in await _unswept(executor, keys, query.kind)
        if not filters or filters[0] in facts.filters()
    ]
    held: int = sum(await executor.run(*(("ZCARD", index) for index in indexes)))
    if not filters:
        return max(held - len(dead), 0)
    # A listing may have taken some out already.
    standing = await executor.run(*(("ZSCORE", indexes[0], session_id) for session_id in dead))
    return max(held - sum(score is not None for score in standing), 0)


async def _count_each(executor: Executor, keys: Keys, query: ListQuery) -> int:
    found, page = 0, replace(query, ascending=True, cursor=None, limit=PAGE)
    while True:
        result = await list_sessions(executor, keys, page)
        found += len(result.records)
        if result.next_cursor is None:
            return found
        page = replace(page, cursor=result.next_cursor)


async def stats(executor: Executor, keys: Keys, kinds: Sequence[str]) -> BackendStats:
    """See `Backend.stats`."""
    sessions: dict[str, int] = {}
    messages = size = 0
    for kind in kinds:
        dead = await _unswept(executor, keys, kind)
        replies = await executor.run(
            *(("ZCARD", index_of(keys, kind, bucket)) for bucket in range(BUCKETS)),
            *(
                ("HMGET", keys.bucket(kind, bucket)["totals"], "messages", "bytes")
                for bucket in range(BUCKETS)
            ),
        )
        held = sum(replies[:BUCKETS]) - len(dead)
        if held > 0:
            sessions[kind] = held
        messages += sum(int(row[0] or 0) for row in replies[BUCKETS:]) - sum(f.messages for _, f in dead)
        size += sum(int(row[1] or 0) for row in replies[BUCKETS:]) - sum(f.size for _, f in dead)
    dead = await _unswept(executor, keys, "session")
    users, agents = await _owners(executor, keys, dead)
    return BackendStats(sessions, max(messages, 0), max(size, 0), users, agents)


async def count_expiring(executor: Executor, keys: Keys, until_ms: int) -> int | None:
    """See `Backend.count_expiring`."""
    now = executor.now_ms()
    places = [keys.bucket("session", bucket)["expiry"] for bucket in range(BUCKETS)]
    try:
        found: int = sum(await executor.run(*(("ZCOUNT", each, f"({now}", until_ms) for each in places)))
    except AccessDeniedError:
        # A user whose rights were given by an older release; no application needs it.
        return None
    return found


async def _owners(
    executor: Executor, keys: Keys, dead: Sequence[tuple[str, Facts]]
) -> tuple[int, dict[str, int]]:
    """How many users have live sessions, and how many sessions each agent has."""
    *cards, names = await executor.run(
        *(("SCARD", keys.users_bucket("session", bucket)) for bucket in range(BUCKETS)),
        ("SMEMBERS", keys.agents("session")),
    )
    agents = sorted(name.decode() for name in names)
    users = sorted({facts.user_id for _, facts in dead if facts.user_id is not None})
    agent_index = {name: keys.index("session", f"agent:{name}") for name in agents}
    user_index = {name: keys.index("session", f"user:{name}") for name in users}
    of_user = [(each.user_id, session_id) for session_id, each in dead if each.user_id is not None]
    of_agent = [
        (each.agent, session_id) for session_id, each in dead if each.agent and each.agent in agent_index
    ]
    replies = await executor.run(
        *(("ZCARD", index) for index in (*agent_index.values(), *user_index.values())),
        *(("ZSCORE", user_index[name], session_id) for name, session_id in of_user),
        *(("ZSCORE", agent_index[name], session_id) for name, session_id in of_agent),
    )
    held = dict(zip((*agent_index.values(), *user_index.values()), replies, strict=False))
    scores = replies[len(held) :]
    gone: Counter[str] = Counter()
    asked = [*(user_index[name] for name, _ in of_user), *(agent_index[name] for name, _ in of_agent)]
    for index, score in zip(asked, scores, strict=True):
        gone[index] += score is not None
    none_left = sum(1 for index in user_index.values() if held[index] <= gone[index])
    left = {name: held[index] - gone[index] for name, index in agent_index.items()}
    return max(sum(cards) - none_left, 0), {name: number for name, number in left.items() if number > 0}


async def _unswept(executor: Executor, keys: Keys, kind: str) -> list[tuple[str, Facts]]:
    """What has expired and still stands in the indexes; few, where someone sweeps."""
    now = executor.now_ms()
    buckets = [keys.bucket(kind, bucket) for bucket in range(BUCKETS)]
    found = await executor.run(*(("ZRANGEBYSCORE", each["expiry"], "-inf", now) for each in buckets))
    asked = [(each["places"], members) for each, members in zip(buckets, found, strict=True) if members]
    places = await executor.run(*(("HMGET", key, *members) for key, members in asked))
    return [
        (session_id, facts)
        for (_, members), rows in zip(asked, places, strict=True)
        for member, row in zip(members, rows, strict=True)
        for session_id, incarnation in [split_member(member.decode())]
        if incarnation is None and (facts := facts_of(row)) is not None
    ]
