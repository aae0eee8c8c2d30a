"""What a look at a session has shown, whether or not it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from miniagent_store.codec.codec import EnvelopeInfo
from miniagent_store.errors import StoreError
from miniagent_store.values import Session


@dataclass(frozen=True, slots=True)
class InspectedEntry:
    """An entry as it is stored.

    Attributes:
        seq, id, time, version, log, redacted: as of `Entry`.
        value: what was appended; None where that cannot be read.
        error: why it cannot be read; None where it can.
        envelope: what the stored bytes say of themselves; None where they say nothing.
        size: of the stored bytes.
    """

    seq: int
    id: str
    time: datetime
    version: int
    log: str
    redacted: bool
    value: Mapping[str, Any] | None
    error: StoreError | None
    envelope: EnvelopeInfo | None
    size: int


@dataclass(frozen=True, slots=True)
class InspectedValue:
    """A value of a session's state as it is stored.

    Attributes:
        name: the value's; "" for the session's metadata.
        value: None where it cannot be read.
        error: why it cannot be read; None where it can.
        version: of the commit that set it.
        expires_at: None if it lives as long as the session.
        envelope: what the stored bytes say of themselves; None for counters, which are plain numbers.
        size: of the stored bytes; 8 for counters.
    """

    name: str
    value: Any
    error: StoreError | None
    version: int
    expires_at: datetime | None
    envelope: EnvelopeInfo | None
    size: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that should stand in a log, and do not.

    Attributes:
        first, last: their sequences.
        error: what the backend says of them.
    """

    first: int
    last: int
    error: StoreError


@dataclass(frozen=True, slots=True)
class Inspection:
    """A session, as much of it as there is.

    Attributes:
        session: the record; its metadata is empty where it cannot be read.
        logs: the first and the last sequence that stand in each log; the last is less where none does.
        entries: of the log that was asked for.
        gaps: what is missing between them.
        values: of the state, in order of their names.
        metadata: how the metadata is stored; None where there is none.
        problems: what is wrong with the session as a whole.
    """

    session: Session
    logs: dict[str, tuple[int, int]]
    entries: tuple[InspectedEntry, ...]
    gaps: tuple[Gap, ...]
    values: tuple[InspectedValue, ...]
    metadata: InspectedValue | None
    problems: tuple[StoreError, ...]
