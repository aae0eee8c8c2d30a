"""A session's document as bytes: MessagePack, its record first, so that listings read no more.

Two values follow each other: a head (format, id, when something is due to be swept, record), and the rest
(writers, logs, values, turn, stages).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_store.backend import LogTail, Outcome, Record, StoredEntry, StoredValue
from miniagent_store.errors import SessionDamagedError
from miniagent_store.rules.rows import LeaseRow, WriterWindow
from miniagent_store.rules.session_document import DocumentRows, LogDocument, SessionDocument

FORMAT = 1
# A turn that nobody holds is kept so long, so that its fences are seen to rise.
KEPT_LEASE_MS = 3_600_000


@dataclass(slots=True)
class Stage:
    """A session that is being put together out of sight."""

    session: SessionDocument
    expires_ms: int


@dataclass(slots=True)
class Document:
    """All that is kept under one session id; turn and stages outlive the session.

    Attributes:
        sessions, turns: hold one item under `session_id`, or none.
    """

    session_id: str
    sessions: dict[str, SessionDocument] = field(default_factory=dict)
    turns: dict[str, LeaseRow] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    def rows(self) -> DocumentRows:
        """What the rules work on."""
        return DocumentRows(self.sessions, self.turns, self.session_id)

    @property
    def record(self) -> Record | None:
        session = self.sessions.get(self.session_id)
        return session.record if session else None

    def encode(self) -> bytes | None:
        """The document's bytes; None if nothing is left to keep."""
        session = self.sessions.get(self.session_id)
        turn = self.turns.get(self.session_id)
        if session is None and turn is None and not self.stages:
            return None
        record = session.record if session else None
        head = (FORMAT, self.session_id, self._due_ms(), _plain_record(record) if record else None)
        rest = (
            _plain_parts(session) if session else None,
            plain_lease(turn) if turn else None,
            {name: (each.expires_ms, _plain_parts(each.session)) for name, each in self.stages.items()},
        )
        return bytes(msgpack.packb(head)) + bytes(msgpack.packb(rest))

    def _due_ms(self) -> int | None:
        """When the first of its parts may be swept."""
        due = [stage.expires_ms for stage in self.stages.values()]
        due += [turn.until_ms + KEPT_LEASE_MS for turn in self.turns.values()]
        for session in self.sessions.values():
            if session.record and session.record.expires_ms is not None:
                due.append(session.record.expires_ms)
            due += [each.expires_ms for each in session.values.values() if each.expires_ms is not None]
        return min(due, default=None)


@dataclass(frozen=True, slots=True)
class Head:
    """The first part of a document: enough for listings and sweeps."""

    session_id: str
    due_ms: int | None
    record: Record | None


def decode_head(data: bytes, key: str) -> Head:
    """The head of a document.

    Raises:
        SessionDamagedError: the bytes are no document; `key` says which.
    """
    return _head(_unpacker(data), key)


def decode_document(data: bytes | None, session_id: str) -> Document:
    """A document; an empty one if there are no bytes.

    Raises:
        SessionDamagedError: the bytes are no document.
    """
    document = Document(session_id)
    if data is None:
        return document
    unpacker = _unpacker(data)
    head = _head(unpacker, session_id)
    if head.session_id != session_id:
        raise _damaged(session_id, ValueError(f"it is that of session {head.session_id!r}"))
    record = head.record
    try:
        parts, turn, stages = unpacker.unpack()
        if record is not None:
            document.sessions[session_id] = _parts(record, parts)
        if turn is not None:
            document.turns[session_id] = LeaseRow(*turn)
        for name, (expires_ms, staged) in stages.items():
            document.stages[name] = Stage(_parts(None, staged), expires_ms)
    except _UNREADABLE as error:
        raise _damaged(session_id, error) from error
    return document


# What MessagePack and the unpacking of tuples raise for bytes that are something else.
_UNREADABLE = (ValueError, TypeError, IndexError, msgpack.UnpackException)


def _unpacker(data: bytes) -> Any:
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    return unpacker


def _head(unpacker: Any, key: str) -> Head:
    try:
        number, session_id, due_ms, record = unpacker.unpack()
        if number != FORMAT:
            raise ValueError(f"format {number!r} is not known here")
        return Head(session_id, due_ms, _record(record) if record else None)
    except _UNREADABLE as error:
        raise _damaged(key, error) from error


def _damaged(session_id: str, error: Exception) -> SessionDamagedError:
    return SessionDamagedError(session_id, part="its document", problem=f"cannot be read ({error})")


# -- plain values: tuples in the order of the fields -------------------------------------------------


def _plain_record(record: Record) -> tuple[Any, ...]:
    return (
        record.session_id,
        record.kind,
        record.user_id,
        record.agent,
        record.tags,
        record.created_ms,
        record.last_activity_ms,
        record.expires_ms,
        record.ttl_ms,
        record.sliding,
        record.version,
        record.epoch,
        record.incarnation,
        record.token,
        record.metadata,
        {log: (tail.base, tail.count) for log, tail in record.logs.items()},
        record.size,
        record.fence,
        tuple((epoch, dict(lowest)) for epoch, lowest in record.resets),
        record.state_version,
        record.metadata_version,
        # Last, and left out where there is none: older documents do not have them.
        *((record.data_key,) if record.data_key or record.lock_fence else ()),
        *((record.lock_fence,) if record.lock_fence else ()),
    )


def plain_lease(row: LeaseRow) -> tuple[Any, ...]:
    """A turn or a lock; `LeaseRow(*plain)` is it again."""
    line = (row.line,) if row.line else ()
    return row.owner, row.fence, row.until_ms, row.holder, *line


def _record(plain: tuple[Any, ...]) -> Record:
    fields = list(plain)
    fields[15] = {log: LogTail(*tail) for log, tail in plain[15].items()}
    return Record(*fields)


def _plain_parts(session: SessionDocument) -> tuple[Any, ...]:
    writers = {
        name: (window.stamp_ms, tuple((number, _plain_outcome(each)) for number, each in window.outcomes))
        for name, window in session.writers.items()
    }
    logs = {
        name: tuple(map(_plain_entry, log.entries)) for name, log in session.logs.items() if log.entries
    }
    return writers, logs, tuple(map(_plain_value, session.values.values()))


def _plain_outcome(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.version, outcome.sequences, outcome.kept_out, outcome.counters


def _plain_entry(entry: StoredEntry) -> tuple[Any, ...]:
    return (
        entry.seq,
        entry.version,
        entry.id,
        entry.time_ms,
        entry.payload,
        entry.redacted,
        entry.caller_id,
        entry.digest,
    )


def _plain_value(value: StoredValue) -> tuple[Any, ...]:
    return value.name, value.version, value.payload, value.counter, value.expires_ms


def _parts(record: Record | None, plain: tuple[Any, ...]) -> SessionDocument:
    writers, logs, values = plain
    session = SessionDocument(record)
    for name, (stamp_ms, outcomes) in writers.items():
        window = tuple((number, Outcome(*outcome)) for number, outcome in outcomes)
        session.writers[name] = WriterWindow(stamp_ms, window)
    for name, entries in logs.items():
        log = LogDocument([StoredEntry(*each) for each in entries])
        log.caller_ids = {
            each.caller_id: (each.seq, each.digest) for each in log.entries if each.caller_id is not None
        }
        session.logs[name] = log
    session.values = {each[0]: StoredValue(*each) for each in values}
    session.names = sorted(session.values)
    return session
