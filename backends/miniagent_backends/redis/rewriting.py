"""Walks over all that is stored, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from miniagent_backends.redis.keys import BUCKETS, Keys
from miniagent_backends.redis.routing.executor import Executor
from miniagent_backends.redis.schema import pairs_of


async def session_ids(
    executor: Executor, keys: Keys, kind: str, cursor: str | None, limit: int
) -> tuple[Sequence[str], str | None]:
    """See `Backend.session_ids`: one bucket of the index after the other.

    ZSCAN promises every member that is there all the time, whatever becomes of its score; each session
    has its place in the index before it is there.
    """
    bucket, _, position = (cursor or "0:0").partition(":")
    index = keys.index(kind, f"index:{{{bucket}}}")
    next_position, found = await executor.execute("ZSCAN", index, position, "COUNT", limit)
    ids = [member.decode() for member, _ in pairs_of(found)]
    if int(next_position):
        return ids, f"{bucket}:{int(next_position)}"
    following = int(bucket) + 1
    return ids, f"{following}:0" if following < BUCKETS else None
