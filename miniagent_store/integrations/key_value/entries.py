"""An entry of py-key-value as it is stored, and the names of keys and collections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires

with requires("py-key-value-aio", extra="key-value"):
    from key_value.aio._utils.managed_entry import ManagedEntry

# A longer one is hashed, so that what it is a part of is no longer than an id may be.
LONGEST = 200


def name_of(text: str) -> str:
    """The name of a key or a collection: any text, escaped; of a long one, a digest."""
    try:
        name = join_id(text)
    except InvalidArgumentError:
        name = ""
    if name and len(name) <= LONGEST:
        return name
    # "%" and no hexadecimal digit: no escaped text begins so.
    return f"%sha256-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def dumped(key: str, entry: ManagedEntry) -> dict[str, Any]:
    """What is stored of an entry.

    Raises:
        SerializationError: the value holds what JSON cannot.
    """
    kept: dict[str, Any] = {"key": key, "value": entry.value_as_json}
    if entry.created_at is not None:
        kept["created"] = entry.created_at.isoformat()
    if entry.expires_at is not None:
        kept["expires"] = entry.expires_at.isoformat()
    return kept


def loaded(kept: Mapping[str, Any]) -> ManagedEntry:
    """The entry that was stored."""
    return ManagedEntry(
        value=json.loads(kept["value"]),
        created_at=_time(kept.get("created")),
        expires_at=_time(kept.get("expires")),
    )


def seconds_left(entry: ManagedEntry) -> float | None:
    """Until an entry expires; None if it never does."""
    if entry.expires_at is None:
        return None
    return (entry.expires_at - datetime.now(UTC)).total_seconds()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
