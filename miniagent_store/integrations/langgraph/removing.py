"""Removing checkpoints: only those that nothing that stays is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.delta import ancestors, stands
from miniagent_store.integrations.langgraph.reading import Reader, parts_of
from miniagent_store.integrations.langgraph.rows import Row
from miniagent_store.values import Session

ATTEMPTS = 20
GROUP = 100
Choice = Callable[[Reader, Sequence[Row]], Awaitable[Iterable[Row]]]


async def remove(reader: Reader, choose: Choice) -> int:
    """Remove checkpoints of a thread with their writes, and the values that no other one has; how many.

    Oldest first, at most `GROUP` in a commit: whatever is left of the thread is whole at any time.

    Args:
        reader: of the thread.
        choose: given all its checkpoints, says which go.

    Raises:
        VersionConflictError: the thread was written to all the time.
    """
    removed = 0
    for attempt in range(ATTEMPTS):
        try:
            session = await reader.store.get(reader.session_id)
            rows = await reader.rows(None)
            doomed = sorted(await choose(reader, rows), key=lambda row: row.checkpoint_id)
            if not doomed:
                return removed
            for group, blobs in await _groups(reader, rows, doomed):
                session = await _commit(reader, session, group, blobs)
                removed += len(group)
            return removed
        except SessionNotFoundError:
            return removed
        except VersionConflictError:
            # Someone wrote meanwhile, and may need what was to go.
            if attempt == ATTEMPTS - 1:
                raise
        finally:
            reader.memory.forget(reader.session_id)
    return removed


async def all_but_latest(reader: Reader, rows: Sequence[Row]) -> list[Row]:
    """What `prune` removes: all but the newest of each namespace, and what that is made of."""
    kept: set[tuple[str, str]] = set()
    newest: dict[str, Row] = {}
    for row in rows:
        if row.namespace not in newest or row.checkpoint_id > newest[row.namespace].checkpoint_id:
            newest[row.namespace] = row
    for namespace, row in newest.items():
        kept.add((namespace, row.checkpoint_id))
        metadata: Mapping[str, Any] = reader.serde.loads_typed(row.metadata)
        versions = reader.loaded(row)["channel_versions"]
        deltas = {
            channel: versions[channel]
            for channel in metadata.get("counters_since_delta_snapshot") or {}
            if channel in versions
        }
        blobs = await reader.blobs(names.blob(namespace, c, v) for c, v in deltas.items())
        without = frozenset(c for c, v in deltas.items() if not stands(blobs, namespace, c, v))
        if without and row.parent_id:
            async for page in ancestors(reader, namespace, row.parent_id, without):
                kept |= {(namespace, each.row.checkpoint_id) for each in page}
    return [row for row in rows if (row.namespace, row.checkpoint_id) not in kept]


def made_by(run_ids: Iterable[str]) -> Choice:
    """What `delete_for_runs` removes."""
    wanted = {str(run_id) for run_id in run_ids}

    async def choose(reader: Reader, rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if _run_of(reader, row) in wanted]

    return choose


def _run_of(reader: Reader, row: Row) -> str | None:
    run_id = reader.serde.loads_typed(row.metadata).get("run_id")
    return None if run_id is None else str(run_id)


async def _groups(
    reader: Reader, rows: Sequence[Row], doomed: Sequence[Row]
) -> list[tuple[Sequence[Row], set[str]]]:
    """Checkpoints that go together, each with the values that nothing after it needs."""
    gone = {(row.namespace, row.checkpoint_id) for row in doomed}
    needed: set[str] = set()
    for row in rows:
        if (row.namespace, row.checkpoint_id) not in gone:
            needed |= _values_of(reader, row)
            if not row.complete:
                needed |= await _unnamed_parts(reader, row)
    groups: list[tuple[Sequence[Row], set[str]]] = []
    for start in reversed(range(0, len(doomed), GROUP)):
        group = doomed[start : start + GROUP]
        values = {name for row in group for name in _values_of(reader, row)}
        groups.append((group, values - needed))
        needed |= values
    return groups[::-1]


async def _unnamed_parts(reader: Reader, row: Row) -> set[str]:
    versions = reader.loaded(row)["channel_versions"]
    blobs = await reader.blobs(names.blob(row.namespace, c, v) for c, v in versions.items())
    parts = parts_of(blobs, row.namespace, versions)
    return {names.blob(row.namespace, channel, each) for channel, all in parts.items() for each in all}


def _values_of(reader: Reader, row: Row) -> set[str]:
    versions = reader.loaded(row)["channel_versions"]
    whole = {names.blob(row.namespace, channel, version) for channel, version in versions.items()}
    parts = (names.blob(row.namespace, channel, each) for channel, all in row.parts.items() for each in all)
    return whole.union(parts)


async def _commit(reader: Reader, session: Session, group: Sequence[Row], blobs: set[str]) -> Session:
    async with reader.store.batch(reader.session_id, expected_version=session) as batch:
        batch.append({"checkpoints": len(group)}, log=names.REMOVALS)
        for row in group:
            batch.state.delete(names.checkpoint(row.namespace, row.checkpoint_id))
            batch.state.delete_prefix(names.writes(row.namespace, row.checkpoint_id))
            if run_id := _run_of(reader, row):
                batch.state.delete(names.made_by(run_id, row.namespace, row.checkpoint_id))
        for name in blobs:
            batch.state.delete(name)
    assert batch.result is not None
    return batch.result.session
