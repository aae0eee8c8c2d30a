"""What can be read in one consistent step, and pages of sessions.

All of these are values that nobody changes. Those that every read makes are not declared frozen, which
makes them three times as slow to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from miniagent_store.backend.records import Record, StoredEntry, StoredValue


@dataclass(slots=True, unsafe_hash=True)
class LogRange:
    """Entries of `log` with after < seq < before; of these the last `last`; of these the first `limit`.

    Attributes:
        not_before_ms: leave out what is older, before `last` and `limit` count.
    """

    log: str
    after: int = 0
    before: int | None = None
    last: int | None = None
    limit: int | None = None
    not_before_ms: int | None = None


@dataclass(slots=True, unsafe_hash=True)
class StateScan:
    """Names that start with `prefix`, in order of their UTF-8 bytes.

    Attributes:
        start: the first name to consider (inclusive); with `reverse`, the highest.
        limit: at most so many; None for all.
        reverse: from the highest name down.
    """

    prefix: str = ""
    start: str | None = None
    limit: int | None = None
    reverse: bool = False


@dataclass(slots=True, unsafe_hash=True)
class ReadPlan:
    """What to read in one consistent step.

    Attributes:
        since: (incarnation, epoch) of the caller's copy. If it no longer holds, each range starts at the
            first changed sequence instead of its `after`, where that is lower.
        expired: read the session only if it has expired and is still kept; for a sweep, which is the last
            to see it.
        damaged: give what is there of a session that lacks a part, instead of refusing it.
    """

    session_id: str
    ranges: tuple[LogRange, ...] = ()
    names: tuple[str, ...] = ()
    scans: tuple[StateScan, ...] = ()
    since: tuple[str, int] | None = None
    expired: bool = False
    damaged: bool = False


@dataclass(slots=True, unsafe_hash=True)
class ReadResult:
    """What a `ReadPlan` asked for; `record` is None, and the rest empty, if there is no session.

    Attributes:
        entries: one sequence a range: a tuple, or `EntryColumns`.
        values: of `names`, those that are there.
        scans: one tuple a scan.
        resets: `Record.changed_since` of the plan's `since`.
    """

    record: Record | None
    entries: tuple[Sequence[StoredEntry], ...] = ()
    values: tuple[StoredValue, ...] = ()
    scans: tuple[tuple[StoredValue, ...], ...] = ()
    resets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Sessions of one kind by last activity.

    Attributes:
        tags: all of them must be on the session.
        ascending: oldest activity first.
        cursor: (last activity, id) of the last record of the page before.
        skip_damaged: name sessions whose record cannot be understood in `ListResult.damaged`, instead of
            raising; a backend whose records stand or fall together may raise all the same.
    """

    kind: str = "session"
    user_id: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    ascending: bool = False
    cursor: tuple[int, str] | None = None
    limit: int = 50
    skip_damaged: bool = False


@dataclass(frozen=True, slots=True)
class ListResult:
    """A page; `next_cursor` is None at the end, `damaged` are ids of sessions that were skipped on it."""

    records: tuple[Record, ...]
    next_cursor: tuple[int, str] | None
    damaged: tuple[str, ...] = ()
