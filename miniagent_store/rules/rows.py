"""The primitives that the rules need of a backend: one session's parts, inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from miniagent_store.backend import (
    OUTCOME_WINDOW,
    Outcome,
    Record,
    StateScan,
    StoredEntry,
    StoredValue,
)


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A turn or a lock; it outlives its lease, so that fences never go back.

    Attributes:
        owner: "" when it is free.
        until_ms: when the lease ends unless renewed.
        holder: who it is, for people.
        line: who waits for it, by arrival, and until when.
    """

    owner: str
    fence: int
    until_ms: int
    holder: str = ""
    line: tuple[tuple[str, int], ...] = ()

    def is_held(self, now_ms: int) -> bool:
        """Whether someone has it."""
        return bool(self.owner) and self.until_ms > now_ms


@dataclass(frozen=True, slots=True)
class WriterWindow:
    """The last outcomes of a writer on a session.

    Attributes:
        stamp_ms: the latest not-after among its commits; the writer is forgotten some time after it.
        outcomes: pairs of counter and outcome, by rising counter.
    """

    stamp_ms: int
    outcomes: tuple[tuple[int, Outcome], ...]

    def outcome(self, counter: int) -> Outcome | None:
        """What the commit `counter` answered, if that is remembered."""
        if not self.outcomes or counter > self.outcomes[-1][0]:
            return None
        return next((outcome for number, outcome in self.outcomes if number == counter), None)

    def is_below(self, counter: int) -> bool:
        """Whether `counter` is older than what is remembered, so that nothing can be said of it."""
        return len(self.outcomes) >= OUTCOME_WINDOW and counter < self.outcomes[0][0]

    def with_outcome(self, counter: int, outcome: Outcome, stamp_ms: int) -> WriterWindow:
        """The window with one more outcome, and the oldest dropped."""
        outcomes = (*self.outcomes, (counter, outcome))
        if self.outcomes and counter < self.outcomes[-1][0]:
            outcomes = tuple(sorted(outcomes, key=lambda pair: pair[0]))
        return WriterWindow(max(self.stamp_ms, stamp_ms), outcomes[-OUTCOME_WINDOW:])


class SessionRows(Protocol):
    """One session's parts, read and written inside a transaction.

    If a rule raises, the caller undoes all that was written. Sequences in arguments are inclusive.
    """

    def record(self) -> Record | None:
        """The record, expired or not."""
        ...

    def save_record(self, record: Record) -> None:
        """Write the record; it is the session's first if there was none."""
        ...

    def drop(self) -> None:
        """Remove all parts but the turn."""
        ...

    def claimed_ms(self) -> int:
        """Until when a sweep has claimed the session, which has expired; 0 for none."""
        ...

    def writer(self, writer: str) -> WriterWindow | None: ...

    def save_writer(self, writer: str, window: WriterWindow) -> None: ...

    def forget_writers(self, before_ms: int) -> None:
        """Drop the windows whose stamp is lower."""
        ...

    def entries(self, log: str, low: int, high: int) -> Sequence[StoredEntry]: ...

    def add_entry(self, log: str, entry: StoredEntry) -> None:
        """Write an entry and, if it has one, its caller's id."""
        ...

    def remove_entries(self, log: str, low: int, high: int) -> int:
        """Remove entries with their caller's ids; the bytes of their payloads."""
        ...

    def redact_entry(self, log: str, seq: int, payload: bytes) -> int:
        """Put `payload` in the place of an entry's and mark it redacted; the bytes of the old one."""
        ...

    def replace_payload(self, log: str, seq: int, payload: bytes) -> None:
        """Put `payload` in the place of that of an entry that stands, and change nothing else of it."""
        ...

    def entry_version(self, log: str, seq: int) -> int:
        """The version of the commit that wrote an entry that stands."""
        ...

    def last_seq_at(self, log: str, version: int) -> int:
        """The highest sequence written by a commit of at most `version`; 0 if there is none.

        Versions never fall along a log.
        """
        ...

    def caller_id(self, log: str, caller_id: str) -> tuple[int, bytes | None] | None:
        """Sequence and digest of the entry that stands with this caller's id."""
        ...

    def value(self, name: str) -> StoredValue | None:
        """A state value, expired or not."""
        ...

    def put_value(self, value: StoredValue) -> None: ...

    def remove_value(self, name: str) -> None: ...

    def remove_values(self, prefix: str) -> int:
        """Remove all whose names start with `prefix`; the bytes of their payloads."""
        ...

    def scan_values(self, scan: StateScan, now_ms: int) -> list[StoredValue]:
        """The values that have not expired, in order of the UTF-8 bytes of their names."""
        ...

    def turn(self) -> LeaseRow | None: ...

    def save_turn(self, row: LeaseRow) -> None: ...


def is_expired(expires_ms: int | None, now_ms: int) -> bool:
    """Whether something with this expiry is gone at `now_ms`."""
    return expires_ms is not None and expires_ms <= now_ms


def live_record(rows: SessionRows, now_ms: int) -> Record | None:
    """The record, unless it has expired."""
    record = rows.record()
    return None if record is None or is_expired(record.expires_ms, now_ms) else record


def expired_record(rows: SessionRows, now_ms: int) -> Record | None:
    """The record, if it has expired."""
    record = rows.record()
    return record if record is not None and is_expired(record.expires_ms, now_ms) else None
