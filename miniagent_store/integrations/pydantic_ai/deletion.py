"""Deleting a conversation: its record, and the entries that no other record of its family reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from miniagent_store import SessionStore
from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.pydantic_ai.entry_index import forget_entries
from miniagent_store.integrations.pydantic_ai.families import (
    RECORDS,
    Family,
    close,
    empty,
    find,
    read_family,
    record_name,
)
from miniagent_store.integrations.pydantic_ai.record_json import load_record
from miniagent_store.store.batch import Batch
from miniagent_store.values import Entry

Logs = Mapping[str, list[Entry]]


async def remove_record(
    store: SessionStore, conversation_id: str, expected_revision: str, *, known: str | None
) -> bool:
    """Delete a conversation that is at a revision, in one commit; False if it is not."""
    name = record_name(conversation_id)
    while True:
        at = await find(store, conversation_id, known=known)
        family = await read_family(store, at.session_id, all_records=True)
        stored = family.state.get(name)
        if family.session is None or stored is None or stored["revision"] != expected_revision:
            return False
        try:
            await _remove(store, family, name)
        except (VersionConflictError, SessionNotFoundError):
            continue
        return True


async def _remove(store: SessionStore, family: Family, name: str) -> None:
    session = family.session
    assert session is not None
    logs = {log: await store.entries(family.session_id, log=log) for log, _ in session.position.sequences}
    others = {key: value for key, value in family.state.items() if key.startswith(RECORDS) and key != name}
    batch = store.batch(family.session_id, expected_version=session)
    if others:
        batch.state.delete(name)
        reached = _reached(logs, [end for value in others.values() for end in load_record(value).ends()])
        gone = _drop(batch, logs, reached)
        await batch.commit("pydantic_ai.delete")
    else:
        gone = [entry.value["id"] for entries in logs.values() for entry in entries if not entry.redacted]
        empty(batch)
        # The session of a name that lives elsewhere says where, and stays.
        stays = bool(family.lives())
        if not stays:
            close(batch)
        await batch.commit("pydantic_ai.delete")
        if not stays:
            await store.delete(family.session_id, incarnation=session.incarnation)
    await forget_entries(store, gone)


def _reached(logs: Logs, ends: Iterable[str]) -> set[str]:
    """The ids of the entries that the chains up to these ends hold."""
    parents = {
        entry.value["id"]: entry.value["parent"]
        for entries in logs.values()
        for entry in entries
        if not entry.redacted
    }
    reached: set[str] = set()
    for end in ends:
        wanted: str | None = end
        while wanted is not None and wanted not in reached:
            reached.add(wanted)
            wanted = parents.get(wanted)
    return reached


def _drop(batch: Batch, logs: Logs, reached: set[str]) -> list[str]:
    """Let a commit drop what is not reached; the ids of what it drops."""
    gone: dict[str, list[Entry]] = defaultdict(list)
    for log, entries in logs.items():
        gone[log] = [each for each in entries if not each.redacted and each.value["id"] not in reached]
        kept = max((each.seq for each in entries if each.value.get("id") in reached), default=0)
        # What others still need stands above the rest of it: only its content can go.
        for entry in gone[log]:
            if entry.seq < kept:
                batch.redact(entry.seq, reason="deleted with its conversation", log=log)
        first_gone = min((each.seq for each in entries if each.seq > kept), default=None)
        if first_gone is not None:
            batch.replace([], from_seq=first_gone, log=log)
    return [entry.value["id"] for entries in gone.values() for entry in entries]
