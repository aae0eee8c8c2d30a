"""One session in Python objects, and the primitives of the rules over it, with undo.

What the memory backend keeps as it is, and what `DocumentBackend` writes as one document.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from miniagent_store.backend import LogTail, Record, StageWrite, StateScan, StoredEntry, StoredValue
from miniagent_store.rules.rows import LeaseRow, WriterWindow, is_expired

T = TypeVar("T")


@dataclass(slots=True)
class LogDocument:
    """Entries whose sequences follow each other.

    Attributes:
        caller_ids: sequence and digest of each entry that was given an id.
    """

    entries: list[StoredEntry] = field(default_factory=list)
    caller_ids: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)

    def slice(self, low: int, high: int) -> slice:
        first = self.entries[0].seq if self.entries else 1
        return slice(max(low - first, 0), max(high - first + 1, 0))


@dataclass(slots=True)
class SessionDocument:
    """All parts of one session but its turn.

    Attributes:
        names: of the values, sorted.
        claimed_ms: until when a sweep has claimed it.
    """

    record: Record | None = None
    logs: dict[str, LogDocument] = field(default_factory=dict)
    values: dict[str, StoredValue] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    writers: dict[str, WriterWindow] = field(default_factory=dict)
    claimed_ms: int = 0

    def log(self, name: str) -> LogDocument:
        return self.logs.setdefault(name, LogDocument())

    def add_staged(self, write: StageWrite) -> None:
        """Add a part of a session that is being put together."""
        rows = DocumentRows({"": self}, {}, "")
        for log, entries in write.entries:
            for entry in entries:
                rows.add_entry(log, entry)
        for value in write.values:
            rows.put_value(value)

    def tails(self, bases: Mapping[str, int]) -> dict[str, LogTail]:
        """The extent of each log, with `bases` for those that are empty."""
        tails = {log: LogTail(base, 0) for log, base in bases.items()}
        for log, stored in self.logs.items():
            if stored.entries:
                tails[log] = LogTail(stored.entries[0].seq - 1, len(stored.entries))
        return tails

    @property
    def size(self) -> int:
        """Bytes of entries and values."""
        values = sum(len(value.payload or b"") for value in self.values.values())
        return values + sum(len(each.payload) for log in self.logs.values() for each in log.entries)

    def take_parts(self, staged: SessionDocument) -> None:
        """Take over logs and values of what was staged."""
        self.logs, self.values, self.names = staged.logs, staged.values, staged.names

    def drop_expired_values(self, now_ms: int) -> bool:
        """Forget values that have expired, and their size; whether there were any."""
        gone = [value for value in self.values.values() if is_expired(value.expires_ms, now_ms)]
        if not gone or self.record is None:
            return False
        for value in gone:
            del self.values[value.name]
        self.names = sorted(self.values)
        size = self.record.size - sum(len(value.payload or b"") for value in gone)
        self.record = replace(self.record, size=size)
        return True


class DocumentRows:
    """`SessionRows` over dictionaries; `undo` takes back all that was written."""

    def __init__(
        self, sessions: dict[str, SessionDocument], turns: dict[str, LeaseRow], session_id: str
    ) -> None:
        self._sessions, self._turns, self._id = sessions, turns, session_id
        self._session = sessions.get(session_id) or SessionDocument()
        self._undo: list[Callable[[], object]] = []

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()

    def record(self) -> Record | None:
        return self._session.record

    def save_record(self, record: Record) -> None:
        before = self._session.record
        self._undo.append(lambda: setattr(self._session, "record", before))
        self._session.record = record
        if self._id not in self._sessions:
            self._undo.append(lambda: self._sessions.pop(self._id))
            self._sessions[self._id] = self._session

    def drop(self) -> None:
        before = self._session
        if self._sessions.pop(self._id, None) is not None:
            self._undo.append(lambda: self._sessions.__setitem__(self._id, before))
        self._undo.append(lambda: setattr(self, "_session", before))
        self._session = SessionDocument()

    def claimed_ms(self) -> int:
        return self._session.claimed_ms

    def writer(self, writer: str) -> WriterWindow | None:
        return self._session.writers.get(writer)

    def save_writer(self, writer: str, window: WriterWindow) -> None:
        _put(self._session.writers, writer, window, self._undo)

    def forget_writers(self, before_ms: int) -> None:
        session, before = self._session, self._session.writers
        self._undo.append(lambda: setattr(session, "writers", before))
        session.writers = {name: each for name, each in before.items() if each.stamp_ms >= before_ms}

    def entries(self, log: str, low: int, high: int) -> list[StoredEntry]:
        stored = self._session.logs.get(log)
        return stored.entries[stored.slice(low, high)] if stored else []

    def add_entry(self, log: str, entry: StoredEntry) -> None:
        stored = self._session.log(log)
        stored.entries.append(entry)
        self._undo.append(stored.entries.pop)
        if entry.caller_id is not None:
            caller_id = entry.caller_id
            stored.caller_ids[caller_id] = (entry.seq, entry.digest)
            self._undo.append(lambda: stored.caller_ids.pop(caller_id))

    def remove_entries(self, log: str, low: int, high: int) -> int:
        stored = self._session.log(log)
        where = stored.slice(low, high)
        removed = stored.entries[where]
        before, ids_before = stored.entries, stored.caller_ids

        def undo() -> None:
            stored.entries, stored.caller_ids = before, ids_before

        self._undo.append(undo)
        stored.entries = [*before[: where.start], *before[where.stop :]]
        gone = {entry.caller_id for entry in removed}
        stored.caller_ids = {key: value for key, value in ids_before.items() if key not in gone}
        return sum(len(entry.payload) for entry in removed)

    def redact_entry(self, log: str, seq: int, payload: bytes) -> int:
        before = self.entries(log, seq, seq)[0]
        self._put_entry(log, before._replace(payload=payload, redacted=True))
        return len(before.payload)

    def replace_payload(self, log: str, seq: int, payload: bytes) -> None:
        self._put_entry(log, self.entries(log, seq, seq)[0]._replace(payload=payload))

    def _put_entry(self, log: str, entry: StoredEntry) -> None:
        stored = self._session.log(log)
        entries, index = stored.entries, stored.slice(entry.seq, entry.seq).start
        before = entries[index]
        self._undo.append(lambda: entries.__setitem__(index, before))
        entries[index] = entry

    def entry_version(self, log: str, seq: int) -> int:
        return self.entries(log, seq, seq)[0].version

    def last_seq_at(self, log: str, version: int) -> int:
        entries = self._session.log(log).entries
        index = bisect_right(entries, version, key=lambda entry: entry.version)
        return entries[index - 1].seq if index else 0

    def caller_id(self, log: str, caller_id: str) -> tuple[int, bytes | None] | None:
        stored = self._session.logs.get(log)
        return stored.caller_ids.get(caller_id) if stored else None

    def value(self, name: str) -> StoredValue | None:
        return self._session.values.get(name)

    def put_value(self, value: StoredValue) -> None:
        session = self._session
        if value.name not in session.values:
            insort(session.names, value.name)
            self._undo.append(lambda: session.names.remove(value.name))
        _put(session.values, value.name, value, self._undo)

    def remove_value(self, name: str) -> None:
        session, before = self._session, self._session.values.pop(name)
        del session.names[bisect_left(session.names, name)]

        def undo() -> None:
            session.values[name] = before
            insort(session.names, name)

        self._undo.append(undo)

    def remove_values(self, prefix: str) -> int:
        size = 0
        for name in self._names(prefix):
            size += len(self._session.values[name].payload or b"")
            self.remove_value(name)
        return size

    def _names(self, prefix: str) -> list[str]:
        names = self._session.names
        low = bisect_left(names, prefix)
        high = low
        while high < len(names) and names[high].startswith(prefix):
            high += 1
        return names[low:high]

    def scan_values(self, scan: StateScan, now_ms: int) -> list[StoredValue]:
        names = self._names(scan.prefix)
        if scan.start is not None:
            if scan.reverse:
                names = names[: bisect_right(names, scan.start)]
            else:
                names = names[bisect_left(names, scan.start) :]
        if scan.reverse:
            names.reverse()
        values = (self._session.values[name] for name in names)
        live = [value for value in values if not is_expired(value.expires_ms, now_ms)]
        return live if scan.limit is None else live[: scan.limit]

    def turn(self) -> LeaseRow | None:
        return self._turns.get(self._id)

    def save_turn(self, row: LeaseRow) -> None:
        _put(self._turns, self._id, row, self._undo)


def _put(values: dict[str, T], name: str, value: T, undo: list[Callable[[], object]]) -> None:
    if name in values:
        before = values[name]
        undo.append(lambda: values.__setitem__(name, before))
    else:
        undo.append(lambda: values.pop(name))
    values[name] = value
