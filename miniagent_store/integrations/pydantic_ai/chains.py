"""Entries as they stand in logs, and the chain of them that ends at a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from miniagent_store import SessionStore
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.families import Spot
from miniagent_store.integrations.pydantic_ai.message_json import dump_message, load_messages
from miniagent_store.values import Entry

with requires("pydantic-ai-slim>=2.66", extra="pydantic-ai"):
    from pydantic_ai.conversation_store import ConversationEntry


def dump_entry(entry: ConversationEntry) -> dict[str, Any]:
    """An entry as it is appended to a log; `link` adds where its parent stands."""
    value = {"id": entry.id, "parent": entry.parent_id, "message": dump_message(entry.message)}
    return value if entry.kind == "message" else {**value, "kind": entry.kind}


def link(value: dict[str, Any], spot: Spot, parent: Spot | None) -> dict[str, Any]:
    """The entry that stands at `spot`, told where its parent stands unless that is right before it."""
    if parent is None or (parent.log, parent.seq) == (spot.log, spot.seq - 1):
        return value
    return {**value, "at": [parent.log, parent.seq]}


def load_entries(values: Sequence[Mapping[str, Any]]) -> list[ConversationEntry]:
    """The entries of several values."""
    messages = load_messages(value["message"] for value in values)
    return [
        ConversationEntry(
            id=value["id"], parent_id=value["parent"], message=message, kind=value.get("kind", "message")
        )
        for value, message in zip(values, messages, strict=True)
    ]


async def read_value(store: SessionStore, spot: Spot, entry_id: str) -> Mapping[str, Any] | None:
    """The entry at a spot; None if it is not there, or another is."""
    try:
        found = await store.entries(spot.session_id, log=spot.log, after=spot.seq - 1, limit=1)
    except SessionNotFoundError:
        return None
    return found[0].value if found and _is(found[0], spot.seq, entry_id) else None


async def read_chain(
    store: SessionStore, head: Spot, head_id: str, limit: int | None
) -> list[Mapping[str, Any]]:
    """The entries from the first to the one at `head`, or the last `limit` of them.

    One read for each log that the chain runs through, where it does not leave out what stands between.

    Raises:
        KeyError: an entry is not there, or no longer.
    """
    chain: list[Mapping[str, Any]] = []
    wanted: str | None = head_id
    log, seq = head.log, head.seq
    while wanted is not None and (limit is None or len(chain) < limit):
        last = None if limit is None else limit - len(chain)
        window = await _window(store, head.session_id, log, seq, last)
        by_seq = {entry.seq: entry for entry in window}
        if seq not in by_seq:
            raise KeyError(wanted)
        read = log
        while (
            wanted is not None and log == read and seq in by_seq and (limit is None or len(chain) < limit)
        ):
            entry = by_seq[seq]
            if not _is(entry, seq, wanted):
                raise KeyError(wanted)
            chain.append(entry.value)
            wanted = entry.value["parent"]
            log, seq = entry.value.get("at", (log, seq - 1))
    chain.reverse()
    return chain


async def _window(
    store: SessionStore, session_id: str, log: str, seq: int, last: int | None
) -> Sequence[Entry]:
    try:
        return await store.entries(session_id, log=log, before=seq + 1, last=last)
    except SessionNotFoundError:
        return ()


def _is(entry: Entry, seq: int, entry_id: str) -> bool:
    return entry.seq == seq and not entry.redacted and entry.value.get("id") == entry_id
