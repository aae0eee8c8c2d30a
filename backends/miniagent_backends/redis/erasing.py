"""All keys of a namespace, removed page by page; and which namespaces there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from miniagent_backends.redis.keys import KEY_PREFIXES, Keys, escape_glob
from miniagent_backends.redis.routing.executor import Executor
from miniagent_store.errors import TenantInUseError
from miniagent_store.rules.namespaces import check_erasable, start_of_tenants

# A key that is written, or whose slot moves, while it is looked for may be missed by one walk.
EMPTY_WALKS, MOST_WALKS = 2, 20
_NAMESPACE = re.compile(rb"([A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64})*)/(.*)", re.DOTALL)


async def erase(
    executor: Executor, keys: Keys, cursor: str | None, limit: int
) -> tuple[Counter[str], str | None]:
    """See `Backend.erase`. The cursor says how many walks there were, and the last of them found nothing.

    A session is many keys, and one that is written meanwhile may lose some of them: only when nothing is
    found it is certain that none is left like that.
    """
    check_erasable(keys.namespace)
    walks, empty, found_any, place = _parse(cursor)
    found, next_place = await executor.scan(place, f"{escape_glob(keys.start)}*", limit)
    gone = await executor.run(*(("UNLINK", name) for name in found))
    sorts = (_sort_of(keys, name) for name, count in zip(found, gone, strict=True) if count)
    removed = Counter(sorts)
    found_any = found_any or bool(found)
    if next_place is not None:
        return removed, f"{walks},{empty},{int(found_any)},{next_place}"
    empty = 0 if found_any else empty + 1
    if empty >= EMPTY_WALKS:
        return removed, None
    if walks + 1 >= MOST_WALKS:
        raise TenantInUseError(keys.namespace)
    return removed, f"{walks + 1},{empty},0,"


def _parse(cursor: str | None) -> tuple[int, int, bool, str | None]:
    walks, empty, found_any, place = (cursor or "0,0,0,").split(",", 3)
    return int(walks), int(empty), found_any == "1", place or None


def _sort_of(keys: Keys, name: bytes) -> str:
    """What a key is: "sessions" for records, otherwise what it starts with."""
    rest = name.decode(errors="replace").removeprefix(keys.start)
    if rest.startswith(keys.session):
        return "sessions"
    own = {keys.thread: "thread", keys.cache: "cache", keys.lock: "lock"}
    return next((sort for prefix, sort in own.items() if rest.startswith(prefix)), rest.partition(":")[0])


async def namespaces(
    executor: Executor, keys: Keys, cursor: str | None, limit: int
) -> tuple[Sequence[str], str | None]:
    """See `Backend.namespaces`: a walk over the names of all keys."""
    start = start_of_tenants(keys.namespace)
    found, next_cursor = await executor.scan(cursor, f"{escape_glob(start)}*/*", limit)
    return sorted(_namespaces_of(keys, found)), next_cursor


def _namespaces_of(keys: Keys, names: Iterable[bytes]) -> set[str]:
    """Only of keys that are named as ours are: others may share the database."""
    prefixes = tuple(
        prefix.encode() for prefix in (keys.session, keys.thread, keys.cache, keys.lock, *KEY_PREFIXES)
    )
    matches = (_NAMESPACE.fullmatch(name) for name in names)
    return {match[1].decode() for match in matches if match and match[2].startswith(prefixes)}
