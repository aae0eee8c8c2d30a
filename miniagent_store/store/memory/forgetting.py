"""Memories go with what they are of: messages that are taken back, sessions that are deleted or expire.

Whoever takes something back removes its memories before he returns. If he dies on the way, no search shows
them (see `sources`), and whoever follows or changes the session next removes them: he sees that the epoch
up to which the scope is tidy is not the session's.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from miniagent_store.backend import (
    Clear,
    Create,
    ListQuery,
    ListResult,
    ReadPlan,
    ReadResult,
    Record,
    Rewind,
    StateScan,
    StoredValue,
    Trim,
    Truncate,
)
from miniagent_store.errors import KeyProviderError, SerializationError, StoreError, VersionConflictError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.draft import DraftChange, DraftRedaction
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.anchoring import ANCHOR, CONFLICTS, has_notes, scopes_in
from miniagent_store.store.memory.expiring import forget_note
from miniagent_store.store.memory.followed import Followed
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.store.memory.sources import gone_of
from miniagent_store.store.memory.trimming import trim_changes
from miniagent_store.values import MESSAGES, StateItem

logger: logging.Logger = logging.getLogger("miniagent_store")
# Memories that are removed in one commit.
AT_ONCE = 200
# Longer than anybody takes from reading a session to remembering what it said.
GONE_TTL = 3600


def takes_back(changes: Iterable[DraftChange]) -> bool:
    """Whether a commit may take messages away."""
    return any(
        isinstance(each, Clear | Rewind)
        or (isinstance(each, DraftRedaction | Truncate | Trim) and each.log == MESSAGES)
        for each in changes
    )


async def forget_taken_back(core: StoreCore, record: Record) -> None:
    """Remove the memories of messages that a commit on a session has taken away."""
    session_id = record.session_id
    try:
        read = await core.read(ReadPlan(session_id, names=(ANCHOR,)))
        for record_id in await _records_of(core, session_id, read):
            await tidy(core, record_id, session_id)
    except StoreError as error:
        # The commit stands, and to fail now would say that it does not.
        logger.warning(
            "what was taken back in session %r is not shown by any search any more; its memories could not "
            "be removed now, and will be with the next change: %s",
            session_id,
            error,
        )


async def forget_session(core: StoreCore, session_id: str, read: ReadResult) -> None:
    """Remove all memories of a session that is about to be deleted, and have none come after.

    Args:
        core: of the store.
        session_id: the session.
        read: of it, with `ANCHOR`.
    """
    assert read.record is not None
    for record_id in await _records_of(core, session_id, read):
        await forget_in_scope(core, record_id, session_id, read.record.incarnation)
    with contextlib.suppress(SerializationError, KeyProviderError):
        if has_notes(core, session_id, read):
            await forget_note(core, session_id)


async def holding(core: StoreCore, session_id: str) -> list[str]:
    """The records of all scopes that hold anything of a session; each is looked at."""
    found: list[str] = []
    cursor: tuple[int, str] | None = None
    while True:
        query = ListQuery(kind=layout.KIND, cursor=cursor, limit=AT_ONCE)
        page = await core.retrying.attempt("list", "", partial(_list, core, query))
        for record in page.records:
            scan = StateScan(layout.source_name(session_id), limit=1)
            result = await core.read(ReadPlan(record.session_id, scans=(scan,)))
            if any(result.scans):
                found.append(record.session_id)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _list(core: StoreCore, query: ListQuery, retry: bool) -> ListResult:
    return await core.backend.list(query)


async def forget_expired(core: StoreCore, session_id: str, scopes: Iterable[str]) -> None:
    """Remove from the scopes noted for a session which has expired what was to go with it."""
    for record_id in map(layout.record_of, scopes):
        read = await _read(core, record_id, session_id)
        for some in _pages([layout.id_of_source(each.name) for scan in read.scans for each in scan]):
            items = await _memories(core, record_id, session_id, some)
            gone = await gone_of(core, session_id, [layout.memory_of(each) for each in items])
            await _remove(core, record_id, session_id, _those_in(gone, items))
    if (await core.read(ReadPlan(session_id))).record is None:
        await forget_note(core, session_id)


async def tidy(core: StoreCore, record_id: str, session_id: str) -> None:
    """Remove from a scope what does not stand in its session any more.

    Also where nothing is to be removed the scope is told, so that whoever read the session before, and is
    about to remember what he read, reads it again.
    """
    for attempt in range(ATTEMPTS):
        read = await _read(core, record_id, session_id)
        session = (await core.read(ReadPlan(session_id))).record
        if session is None:
            return
        followed, version = _followed(core, record_id, read)
        if followed is not None and (
            (followed.gone and followed.incarnation == session.incarnation)
            or followed.is_of(session.incarnation, session.epoch)
        ):
            return
        first = 1 if followed is None else followed.first_change(session)
        there = [each for scan in read.scans for each in scan]
        ids = [] if first is None else _from(core, record_id, there, first)
        batch = Batch(core, record_id, create=Create(kind=layout.KIND, keep_existing=True))
        after = Followed.of(session) if followed is None else followed.tidied(session)
        batch.state.set(layout.followed_name(session_id), after.to_dict(), if_version=version)
        try:
            for some in _pages(ids):
                items = await _memories(core, record_id, session_id, some)
                memories = [layout.memory_of(each) for each in items]
                gone = await gone_of(core, session_id, memories)
                # Of a whole of which a part was taken back, nobody knows what is in it.
                gone |= {
                    each.id
                    for each in memories
                    if each.source is not None
                    and each.source.seq is None
                    and each.source.incarnation in (None, session.incarnation)
                }
                await _remove(core, record_id, session_id, _those_in(gone, items))
            await batch.commit("memory.forget")
        except CONFLICTS:
            await pause(attempt)
        else:
            return
    raise VersionConflictError(record_id, expected="as it was read", actual="others change it")


async def forget_in_scope(core: StoreCore, record_id: str, session_id: str, incarnation: str) -> None:
    """Remove all that a scope holds of a session, and refuse what comes later from who has read it."""
    is_told = False
    for attempt in range(ATTEMPTS):
        read = await _read(core, record_id, session_id)
        ids = [layout.id_of_source(each.name) for scan in read.scans for each in scan]
        version = next((each.version for each in read.values), 0)
        try:
            if not is_told:
                batch = Batch(core, record_id, create=Create(kind=layout.KIND, keep_existing=True))
                gone = Followed(incarnation, gone=True).to_dict()
                name = layout.followed_name(session_id)
                batch.state.set(name, gone, ttl=GONE_TTL, if_version=version)
                await batch.commit("memory.forget")
                is_told = True
                continue
            for some in _pages(ids):
                items = await _memories(core, record_id, session_id, some, blindly=True)
                await _remove(core, record_id, session_id, items, some)
        except CONFLICTS:
            await pause(attempt)
        else:
            return
    raise VersionConflictError(record_id, expected="as it was read", actual="others change it")


async def _records_of(core: StoreCore, session_id: str, read: ReadResult) -> list[str]:
    """The records of the scopes that a session names."""
    try:
        return list(map(layout.record_of, scopes_in(core, session_id, read)))
    except (SerializationError, KeyProviderError):
        # Its key is no more: what does not say where its memories are is looked for.
        return await holding(core, session_id)


async def _read(core: StoreCore, record_id: str, session_id: str) -> ReadResult:
    """How far a session was followed, and which memories are of it."""
    return await core.read(
        ReadPlan(
            record_id,
            names=(layout.followed_name(session_id),),
            scans=(StateScan(layout.source_name(session_id)),),
        )
    )


def _followed(core: StoreCore, record_id: str, read: ReadResult) -> tuple[Followed | None, int]:
    for value in read.values:
        return Followed.from_dict(core.coding.decode_value(record_id, value)), value.version
    return None, 0


def _from(core: StoreCore, record_id: str, sources: Sequence[StoredValue], first: int) -> list[str]:
    """Ids of memories of messages from a sequence on, and of a session as a whole."""
    return [
        layout.id_of_source(each.name)
        for each in sources
        if (seq := core.coding.decode_value(record_id, each)) is None or seq >= first
    ]


def _pages(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


async def _memories(
    core: StoreCore, record_id: str, session_id: str, ids: Sequence[str], *, blindly: bool = False
) -> list[StateItem]:
    """Those that are of the session still; one that was replaced may be of another.

    Args:
        core: of the store.
        record_id, session_id: of the scope, and the session.
        ids: those that have been of the session.
        blindly: also those that cannot be read.
    """
    names = tuple(map(layout.text_name, ids))
    items = []
    for each in (await core.read(ReadPlan(record_id, names=names))).values:
        value: dict[str, Any] = {"source": {"session_id": session_id}}
        try:
            value = core.coding.decode_value(record_id, each)
        except (SerializationError, KeyProviderError):
            if not blindly:
                raise
        if (value["source"] or {}).get("session_id") == session_id:
            items.append(StateItem(each.name, value, each.version, None))
    return items


def _those_in(gone: set[str], items: Sequence[StateItem]) -> list[StateItem]:
    return [each for each in items if layout.id_of(each.name) in gone]


async def _remove(
    core: StoreCore,
    record_id: str,
    session_id: str,
    items: Sequence[StateItem],
    ids: Sequence[str] = (),
) -> None:
    """Remove memories as they were read, and the notes that these and others are of the session."""
    batch = Batch(core, record_id)
    removed = [layout.id_of(each.name) for each in items]
    for memory_id, item in zip(removed, items, strict=True):
        batch.state.delete(item.name, if_version=item.version)
        for name in layout.vector_names(memory_id):
            batch.state.delete(name)
    for memory_id in dict.fromkeys([*removed, *ids]):
        batch.state.delete(layout.source_name(session_id, memory_id))
    if removed:
        batch.append({"ids": removed}, log=layout.CHANGES, dedupe=False)
    if removed or ids:
        result = await batch.commit("memory.forget")
        if removed:
            await trim_changes(core, record_id, result)
