"""A session in lines of JSON, and its fingerprint. docs/moving.md describes them; `FORMAT` numbers them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from miniagent_store.backend import LogTail, Record, StoredEntry, StoredValue
from miniagent_store.codec.digest import ordered
from miniagent_store.errors import ArchiveError
from miniagent_store.ids import MAX_STATE_NAME_BYTES, check_id, check_name
from miniagent_store.moving.plain_values import dumped
from miniagent_store.moving.whole import WholeSession
from miniagent_store.store.reading import check_log

FORMAT = 1
ARCHIVE = "miniagent-store"


def lines_of(session: WholeSession) -> Iterator[bytes]:
    """The lines of a session but the one that ends it, each with its newline."""
    record, plain = session.record, session.plain
    head: dict[str, Any] = {
        "session": record.session_id,
        "kind": record.kind,
        "user": record.user_id,
        "agent": record.agent,
        "tags": list(record.tags),
        "created": record.created_ms,
        "active": record.last_activity_ms,
        "expires": record.expires_ms,
        "ttl": record.ttl_ms,
        "sliding": record.sliding,
        "version": record.version,
        "epoch": record.epoch,
        "logs": {log: [tail.base, tail.count] for log, tail in sorted(record.logs.items())},
    }
    if record.data_key:
        head["key"] = _text(record.data_key)
    yield _line(head, record.metadata or None, plain)
    for log, entries in sorted(session.logs.items()):
        for entry in entries:
            fields: dict[str, Any] = {
                "log": log,
                "seq": entry.seq,
                "id": entry.id.hex(),
                "time": entry.time_ms,
                "version": entry.version,
            }
            if entry.redacted:
                fields["redacted"] = True
            if entry.caller_id is not None:
                fields["caller_id"] = entry.caller_id
            if entry.digest is not None:
                fields["digest"] = entry.digest.hex()
            yield _line(fields, entry.payload, plain)
    for value in session.values:
        fields = {"state": value.name, "version": value.version}
        if value.expires_ms is not None:
            fields["expires"] = value.expires_ms
        if value.payload is None:
            fields["counter"] = value.counter
        yield _line(fields, value.payload, plain)


def end_of(session: WholeSession, digest: bytes) -> bytes:
    """The line that ends a session whose lines have the fingerprint `digest`."""
    end = {
        "end": session.id,
        "entries": session.entry_count,
        "values": len(session.values),
        "sha256": digest.hex(),
    }
    return dumped(end) + b"\n"


def digest_of(lines: Iterable[bytes]) -> bytes:
    """SHA-256 over lines."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line)
    return total.digest()


def content_digest(session: WholeSession, now_ms: int) -> bytes:
    """A fingerprint of what a session holds, wherever it stands.

    Without when it expires, which reading with `touch` changes, and without values that have expired.
    """
    return digest_of(lines_of(_content(session, now_ms)))


def same_content(one: WholeSession, other: WholeSession, now_ms: int) -> bool:
    """Whether two sessions have the same `content_digest`; quicker."""
    one, other = _content(one, now_ms), _content(other, now_ms)
    heads = [next(lines_of(each)) for each in (one, other)]
    return heads[0] == heads[1] and one.logs == other.logs and one.values == other.values


def _content(session: WholeSession, now_ms: int) -> WholeSession:
    if session.plain:
        session = _canonical(session)
    return replace(session.at(now_ms), record=replace(session.record, expires_ms=None))


def _canonical(session: WholeSession) -> WholeSession:
    """With values in which mappings and sets have an order that is always the same."""
    return session.mapped(lambda payload, *_: dumped(ordered(json.loads(payload))))


class SessionLines:
    """Puts a session together from its lines, and checks it at its end.

    Args:
        head: the first line, parsed.
        raw: the same, as it was read.
        plain: values are JSON.
    """

    def __init__(self, head: Mapping[str, Any], raw: bytes, *, plain: bool) -> None:
        self._plain = plain
        self._total = hashlib.sha256(raw)
        self._record = _record(head, _payload(head, plain) or b"")
        self._logs: dict[str, list[StoredEntry]] = {log: [] for log in self._record.logs}
        self._values: list[StoredValue] = []

    def add(self, fields: Mapping[str, Any], raw: bytes) -> None:
        """Take a line of an entry or a value.

        Raises:
            KeyError, TypeError, ValueError, ArchiveError: it is not such a line.
        """
        self._total.update(raw)
        if "log" in fields:
            log, seq = fields["log"], int(fields["seq"])
            entries = self._logs[log]
            if seq != self._record.logs[log].base + len(entries) + 1:
                raise ArchiveError(f"entry {seq} of log {log!r} is not the next one")
            digest = fields.get("digest")
            entries.append(
                StoredEntry(
                    seq,
                    int(fields["version"]),
                    bytes.fromhex(fields["id"]),
                    int(fields["time"]),
                    _needed(_payload(fields, self._plain)),
                    bool(fields.get("redacted", False)),
                    fields.get("caller_id"),
                    None if digest is None else bytes.fromhex(digest),
                )
            )
            return
        counter = _optional_int(fields.get("counter"))
        payload = None if counter is not None else _needed(_payload(fields, self._plain))
        self._values.append(
            StoredValue(
                _name(fields["state"]),
                int(fields["version"]),
                payload,
                counter,
                _optional_int(fields.get("expires")),
            )
        )

    def end(self, fields: Mapping[str, Any]) -> tuple[WholeSession, bytes]:
        """The session, and its fingerprint.

        Raises:
            ArchiveError: it is not what was written.
        """
        logs = {log: tuple(entries) for log, entries in self._logs.items()}
        session = WholeSession(self._record, logs, tuple(self._values), self._plain)
        digest = self._total.digest()
        counted = {log: tail.count for log, tail in self._record.logs.items()}
        if (
            fields["end"] != session.id
            or fields["sha256"] != digest.hex()
            or (fields["entries"], fields["values"]) != (session.entry_count, len(session.values))
            or counted != {log: len(entries) for log, entries in logs.items()}
        ):
            raise ArchiveError(
                f"session {session.id!r} is not what was written: its counts or its digest differ",
            )
        return session, digest


def _record(head: Mapping[str, Any], metadata: bytes) -> Record:
    logs = head["logs"]
    return Record(
        session_id=check_id(head["session"]),
        kind=check_id(head["kind"], what="kind", limit=64),
        user_id=_optional_id(head["user"]),
        agent=_optional_id(head["agent"]),
        tags=tuple(map(str, head["tags"])),
        created_ms=int(head["created"]),
        last_activity_ms=int(head["active"]),
        expires_ms=_optional_int(head["expires"]),
        ttl_ms=_optional_int(head["ttl"]),
        sliding=bool(head["sliding"]),
        version=int(head["version"]),
        epoch=int(head["epoch"]),
        incarnation="",
        token=b"",
        metadata=metadata,
        logs={check_log(log): LogTail(int(base), int(count)) for log, (base, count) in logs.items()},
        size=0,
        fence=0,
        data_key=base64.b64decode(head.get("key", ""), validate=True),
    )


def _line(fields: Mapping[str, Any], payload: bytes | None, plain: bool) -> bytes:
    text = dumped(fields)
    if payload is None:
        return text + b"\n"
    if plain:
        return b'%b,"value":%b}\n' % (text[:-1], payload)
    return b'%b,"data":"%b"}\n' % (text[:-1], base64.b64encode(payload))


def _payload(fields: Mapping[str, Any], plain: bool) -> bytes | None:
    if plain:
        return dumped(fields["value"]) if "value" in fields else None
    return base64.b64decode(fields["data"], validate=True) if "data" in fields else None


def _optional_id(text: str | None) -> str | None:
    return None if text is None else check_id(text, what="user or agent")


def _optional_int(number: object) -> int | None:
    if number is None or type(number) is int:
        return number
    raise ArchiveError("a time or a number is not a whole number")


def _name(name: str) -> str:
    return check_name(name, what="name of a value", limit=MAX_STATE_NAME_BYTES)


def _needed(payload: bytes | None) -> bytes:
    if payload is None:
        raise ArchiveError("a line has no value")
    return payload


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def parsed(raw: bytes) -> Mapping[str, Any]:
    """A line.

    Raises:
        ValueError: it is not a JSON object.
    """
    fields = json.loads(raw)
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    return fields
