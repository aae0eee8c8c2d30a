"""Sessions whose memories go with them: noted apart, as what has expired cannot be read everywhere."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from miniagent_store.backend import Create, ListQuery, ReadPlan, ReadResult
from miniagent_store.errors import VersionConflictError
from miniagent_store.ids import join_id
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.pausing import ATTEMPTS, pause

KIND = "memory.expiring"


async def note(core: StoreCore, session_id: str, scope: str) -> None:
    """Have whoever sweeps a session look into a scope."""
    record_id, name = _place(session_id)
    for attempt in range(ATTEMPTS):
        read = await core.read(ReadPlan(record_id, names=(name,)))
        scopes = _scopes(core, record_id, read).get(name, [])
        if scope in scopes:
            return
        batch = Batch(core, record_id, create=Create(kind=KIND, keep_existing=True))
        batch.state.set(name, [*scopes, scope], if_version=_version(read))
        try:
            await batch.commit("memory.anchor")
        except VersionConflictError:
            await pause(attempt)
        else:
            return
    raise VersionConflictError(record_id, expected="as it was read", actual="others change it")


async def forget_note(core: StoreCore, session_id: str) -> None:
    """Nobody need look for memories of a session any more."""
    record_id, name = _place(session_id)
    batch = Batch(core, record_id, create=Create(kind=KIND, keep_existing=True))
    batch.state.delete(name)
    await batch.commit("memory.forget")


async def are_there_notes(core: StoreCore) -> bool:
    """Whether any session of this store was noted ever."""
    query = ListQuery(kind=KIND, limit=1)
    page = await core.retrying.attempt("sweep", "", lambda _: core.backend.list(query))
    return bool(page.records)


async def noted(core: StoreCore, session_ids: Iterable[str]) -> dict[str, list[str]]:
    """The scopes into which to look, by session, of those that were noted."""
    by_record: dict[str, dict[str, str]] = defaultdict(dict)
    for session_id in session_ids:
        record_id, name = _place(session_id)
        by_record[record_id][name] = session_id

    async def of(record_id: str, sessions: dict[str, str]) -> dict[str, list[str]]:
        read = await core.read(ReadPlan(record_id, names=tuple(sessions)))
        found = _scopes(core, record_id, read)
        return {sessions[name]: scopes for name, scopes in found.items()}

    found: dict[str, list[str]] = {}
    for some in await asyncio.gather(*(of(*each) for each in by_record.items())):
        found.update(some)
    return found


def _place(session_id: str) -> tuple[str, str]:
    """One of 16 records, so that there is none that all wait for, and the state value in it."""
    hashed = layout.hashed(session_id)
    return join_id(KIND, hashed[0]), hashed


def _scopes(core: StoreCore, record_id: str, read: ReadResult) -> dict[str, list[str]]:
    return {each.name: list(core.coding.decode_value(record_id, each)) for each in read.values}


def _version(read: ReadResult) -> int:
    return next((each.version for each in read.values), 0)
