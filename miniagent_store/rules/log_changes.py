"""How the changes of logs in a commit are applied."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.backend import (
    Append,
    Clear,
    LogChange,
    LogTail,
    NewEntry,
    Record,
    Redact,
    Rewind,
    StoredEntry,
    Trim,
    Truncate,
)
from miniagent_store.errors import IdempotencyConflictError, InvalidArgumentError, VersionConflictError
from miniagent_store.rules.rows import SessionRows
from miniagent_store.values import MESSAGES


class LogChanges:
    """Applies changes one after the other, and counts what they did.

    Attributes:
        tails: the extent of each log afterwards.
        grown: bytes added less bytes removed.
        lowest_changed: of each log that was changed by other than appending, the lowest such sequence.
        sequences: of the entries appended, in order.
    """

    def __init__(self, rows: SessionRows, record: Record, version: int) -> None:
        self._rows, self._session_id, self._version = rows, record.session_id, version
        self.tails: dict[str, LogTail] = dict(record.logs)
        self.grown: int = 0
        self.lowest_changed: dict[str, int] = {}
        self.sequences: list[int] = []

    def apply_all(self, changes: Iterable[LogChange]) -> None:
        for change in changes:
            match change:
                case Append(log, entries):
                    self._append(log, entries)
                case Truncate(log, upto):
                    self._truncate(log, upto)
                case Trim(log, before):
                    self._trim(log, before)
                case Redact(log, seq, entry_id, payload):
                    self._redact(log, seq, entry_id, payload)
                case Rewind(to):
                    self._rewind(to)
                case Clear():
                    for log in list(self.tails):
                        self._trim(log, self.tails[log].last + 1)

    def _tail(self, log: str) -> LogTail:
        return self.tails.get(log) or LogTail()

    def _append(self, log: str, entries: Iterable[NewEntry]) -> None:
        tail = self._tail(log)
        last, version, add = tail.last, self._version, self._rows.add_entry
        for entry in entries:
            caller_id, payload = entry.caller_id, entry.payload
            if caller_id is not None and (standing := self._standing(log, caller_id, entry.digest)):
                self.sequences.append(standing)
                continue
            last += 1
            add(
                log,
                StoredEntry(
                    last, version, entry.id, entry.time_ms, payload, False, caller_id, entry.digest
                ),
            )
            self.grown += len(payload)
            self.sequences.append(last)
        if last > tail.last:
            self.tails[log] = LogTail(tail.base, last - tail.base)

    def _standing(self, log: str, caller_id: str, digest: bytes | None) -> int:
        """The sequence at which the same entry stands; 0 if there is none."""
        standing = self._rows.caller_id(log, caller_id)
        if standing is None:
            return 0
        seq, stored = standing
        if stored != digest:
            # One that this commit itself has added does not stand once the commit is refused.
            stands = self._rows.entry_version(log, seq) < self._version
            raise IdempotencyConflictError(
                self._session_id,
                entry_id=caller_id,
                log=log,
                seq=seq if stands else None,
                digest=stored if stands else None,
            )
        return seq

    def _remove(self, log: str, low: int, high: int) -> None:
        self.grown -= self._rows.remove_entries(log, low, high)
        self._changed(log, low)

    def _changed(self, log: str, seq: int) -> None:
        self.lowest_changed[log] = min(seq, self.lowest_changed.get(log, seq))

    def _truncate(self, log: str, upto: int) -> None:
        tail = self._tail(log)
        if upto > tail.last:
            raise InvalidArgumentError(
                f"log {log!r} of session {self._session_id!r} ends at {tail.last}; "
                f"it cannot be written from {upto + 1}, which would leave a hole"
            )
        upto = max(upto, tail.base)
        if upto < tail.last:
            self._remove(log, upto + 1, tail.last)
            self.tails[log] = LogTail(tail.base, upto - tail.base)

    def _trim(self, log: str, before: int) -> None:
        tail = self._tail(log)
        high = min(before - 1, tail.last)
        if high > tail.base:
            self._remove(log, tail.base + 1, high)
            self.tails[log] = LogTail(high, tail.last - high)

    def _redact(self, log: str, seq: int, entry_id: bytes, payload: bytes) -> None:
        tail = self._tail(log)
        if not tail.base < seq <= tail.last:
            raise InvalidArgumentError(
                f"there is no entry {seq} in log {log!r} of session {self._session_id!r} "
                f"(it holds {tail.base + 1} to {tail.last})"
            )
        if self._rows.entries(log, seq, seq)[0].id != entry_id:
            raise VersionConflictError(
                self._session_id, expected=f"entry {seq} of log {log!r} to be what it was", actual="another"
            )
        self.grown += len(payload) - self._rows.redact_entry(log, seq, payload)
        self._changed(log, seq)

    def _rewind(self, to: int) -> None:
        tail = self._tail(MESSAGES)
        if to != 0 and not tail.base < to <= tail.last:
            raise InvalidArgumentError(
                f"there is no message {to} in session {self._session_id!r} to go back to "
                f"(it holds {tail.base + 1} to {tail.last}; 0 is before the first)"
            )
        version = self._rows.entry_version(MESSAGES, to) if to else 0
        for log in list(self.tails):
            upto = to if log == MESSAGES else self._rows.last_seq_at(log, version)
            self._truncate(log, upto)
