"""Sessions that are put together out of sight and shown at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from miniagent_store.backend.commits import CommitIdentity, Create
from miniagent_store.backend.records import StoredEntry, StoredValue


@dataclass(frozen=True, slots=True)
class StageWrite:
    """A part of a session that is being put together out of sight (a fork, an import).

    Attributes:
        stage: random token of the staging.
        entries: to add to logs, with sequence, version and time as they are to stand; in order, no holes.
        values: state values to set as they are.
        ttl_ms: the stage is dropped so long after its last write.
    """

    session_id: str
    stage: str
    entries: tuple[tuple[str, tuple[StoredEntry, ...]], ...] = ()
    values: tuple[StoredValue, ...] = ()
    ttl_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What a session that comes from elsewhere keeps, instead of beginning anew.

    Attributes:
        created_ms, last_activity_ms: as they were.
        expires_ms: when it expires, whatever its TTL says; None for never.
        epoch: as it was; positions from before do not hold, since the incarnation is a new one.
    """

    created_ms: int
    last_activity_ms: int
    expires_ms: int | None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class StagePublish:
    """Make what was staged a session, in one step, if its id is free.

    Attributes:
        create: the record's fields (`keep_existing` is not looked at).
        version: the session's version to start with; entries and values of it are not above it.
        bases: base of each log, for logs whose first entries are gone, and for empty ones.
        kept: of a session that is moved here; None for one that begins now.
    """

    session_id: str
    stage: str
    identity: CommitIdentity
    time_ms: int
    create: Create
    version: int
    bases: Mapping[str, int] = field(default_factory=dict)
    max_size: int | None = None
    retry: bool = False
    kept: Kept | None = None
