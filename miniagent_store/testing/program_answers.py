"""Answers of stores as a random program compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from miniagent_store.errors import StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.program_calls import Call
from miniagent_store.values import BatchResult, Entry, RateLimit, Session, Snapshot, StateItem


async def answer_of(call: Call, store: SessionStore) -> Any:
    """What a store answers, or its error."""
    try:
        return await call(store)
    except StoreError as error:
        return error


def comparable(told: Any) -> Any:
    """What was told without what differs by nature: sizes, minted ids, times."""
    match told:
        case StoreError():
            return f"error {type(told).__name__}"
        case Session():
            sequences = dict(told.position.sequences)
            kept = (told.id, told.kind, told.user_id, told.agent, told.ttl, told.version, told.epoch)
            return (
                *kept,
                told.message_count,
                comparable(told.metadata),
                told.tags,
                sequences,
                told.expires_at is None,
            )
        case BatchResult():
            return (comparable(told.session), told.sequences, told.kept_out, told.counters, told.replayed)
        case Entry():
            return (told.seq, told.version, told.log, told.redacted, comparable(told.value))
        case Snapshot():
            return (comparable(told.session), comparable(told.logs), comparable(told.state), told.resets)
        case RateLimit():
            return (told.allowed, told.remaining)
        case StateItem():
            return (told.name, comparable(told.value), told.version)
        case Mapping():
            return {key: comparable(value) for key, value in told.items() if key != "redacted_at"}
        case [*_]:
            return [comparable(each) for each in told]
        case _ if is_dataclass(told) and not isinstance(told, type):
            return asdict(told)
    # 1 and True, or 1 and 1.0, are equal and not the same.
    return (type(told).__name__, told)
