"""Public values from stored bytes, and back, each in its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from miniagent_store.backend import (
    Append,
    EntryColumns,
    LogChange,
    NewEntry,
    Record,
    Redact,
    StateChange,
    StateSet,
    StoredEntry,
    StoredValue,
)
from miniagent_store.codec.codec import Codec
from miniagent_store.errors import SessionTooLargeError
from miniagent_store.options import StoreOptions
from miniagent_store.serializer import Context
from miniagent_store.store.decoding import LogDecoding
from miniagent_store.store.draft import DraftChange, DraftEntry, DraftRedaction, DraftValue
from miniagent_store.values import Entry, Message, Session, from_ms, to_ms


StandingDigests = dict[tuple[str, str], bytes]
"""By log and caller's id, the digest that stands, where another key made it than ours."""


class Coding:
    """A codec that knows the places of a store's values.

    Args:
        codec: values to bytes and back.
        options: of the store: namespace and limits.
    """

    def __init__(self, codec: Codec, options: StoreOptions) -> None:
        self.codec = codec
        self._namespace, self._max_message_size = options.namespace, options.max_message_size
        self._decoding = LogDecoding(codec)

    def context(self, session_id: str, field: str) -> Context:
        return Context(self._namespace, "session", session_id, field)

    def encode_metadata(self, session_id: str, metadata: dict[str, Any]) -> bytes:
        """Encoded metadata; no bytes at all for none."""
        return self.codec.encode(metadata, self.context(session_id, "metadata")) if metadata else b""

    def decode_metadata(self, record: Record) -> dict[str, Any]:
        if not record.metadata:
            return {}
        decoded = self.codec.decode(record.metadata, self.context(record.session_id, "metadata"))
        return dict(decoded)

    def entry_context(self, session_id: str, log: str, entry_id: bytes) -> Context:
        return Context(self._namespace, "session", session_id, "entry", log, entry_id)

    def cache_context(self, full_key: str) -> Context:
        return Context(self._namespace, "cache", full_key, "cache")

    def encode_published(self, channel: str, message: Any) -> bytes:
        return self.codec.encode(message, self._channel_context(channel))

    def decode_published(self, channel: str, data: bytes) -> Any:
        return self.codec.decode(data, self._channel_context(channel))

    def _channel_context(self, channel: str) -> Context:
        return Context(self._namespace, "channel", channel, "message")

    def encode_entry(
        self, session_id: str, entry: DraftEntry, now_ms: int, standing: StandingDigests
    ) -> NewEntry:
        """An entry's bytes under a newly minted id.

        Raises:
            EncodeError, SessionTooLargeError: the message cannot be written, or is over its limit.
        """
        entry_id = os.urandom(12)
        payload = self.codec.encode(entry.value, self.entry_context(session_id, entry.log, entry_id))
        limit = self._max_message_size
        if limit is not None and len(payload) > limit:
            raise SessionTooLargeError(session_id, size=len(payload), limit=limit, what="a message")
        time_ms = now_ms if entry.time is None else to_ms(entry.time)
        if entry.caller_id is None:
            return NewEntry(entry_id, time_ms, payload)
        digest = standing.get((entry.log, entry.caller_id))
        if digest is None:
            digest = self.codec.digest(entry.value, self.context(session_id, "digest"))
        return NewEntry(entry_id, time_ms, payload, entry.caller_id, digest)

    async def decode_entries(
        self, session_id: str, log: str, stored: Sequence[StoredEntry]
    ) -> tuple[Entry, ...]:
        """Entries from their bytes, giving way to other tasks in between.

        Raises:
            SerializationError: one of them cannot be read.
            SessionDamagedError: an id stands twice.
        """

        def entries_of(some: EntryColumns, values: Sequence[Any]) -> list[Entry]:
            marks = some.marks
            return [
                Entry(
                    seq, entry_id.hex(), from_ms(time_ms), version, log, value, at in marks and marks[at][0]
                )
                for at, (seq, entry_id, time_ms, version, value) in enumerate(
                    zip(some.seqs, some.ids, some.times_ms, some.versions, values, strict=True)
                )
            ]

        place = self.entry_context(session_id, log, b"")
        return tuple(await self._decoding.decode(place, stored, entries_of))

    async def decode_messages(
        self, session_id: str, log: str, stored: Sequence[StoredEntry]
    ) -> list[Message]:
        """As `decode_entries`, for who wants the messages only."""
        return await self._decoding.decode(self.entry_context(session_id, log, b""), stored, _messages_of)

    def encode_value(self, session_id: str, name: str, value: Any) -> bytes:
        return self.codec.encode(value, self.context(session_id, f"state:{name}"))

    def decode_value(self, session_id: str, stored: StoredValue) -> Any:
        if stored.payload is None:
            return stored.counter
        return self.codec.decode(stored.payload, self.context(session_id, f"state:{stored.name}"))

    def session(self, record: Record) -> Session:
        """The public value of a record."""
        return Session(
            id=record.session_id,
            kind=record.kind,
            user_id=record.user_id,
            agent=record.agent,
            created_at=from_ms(record.created_ms),
            last_activity=from_ms(record.last_activity_ms),
            expires_at=None if record.expires_ms is None else from_ms(record.expires_ms),
            ttl=None if record.ttl_ms is None else record.ttl_ms / 1000,
            version=record.version,
            epoch=record.epoch,
            incarnation=record.incarnation,
            message_count=record.message_count,
            size=record.size,
            metadata=self.decode_metadata(record),
            tags=record.tags,
            position=record.position,
            token=record.token,
        )

    # Drafts

    def encode_changes(
        self, session_id: str, changes: Sequence[DraftChange], now_ms: int, standing: StandingDigests
    ) -> tuple[LogChange, ...]:
        encoded: list[LogChange] = []
        pending: list[NewEntry] = []
        log = ""
        for change in changes:
            if isinstance(change, DraftEntry):
                if pending and change.log != log:
                    encoded.append(Append(log, tuple(pending)))
                    pending = []
                log = change.log
                pending.append(self.encode_entry(session_id, change, now_ms, standing))
                continue
            if pending:
                encoded.append(Append(log, tuple(pending)))
                pending = []
            encoded.append(
                self._encode_redaction(session_id, change, now_ms)
                if isinstance(change, DraftRedaction)
                else change
            )
        if pending:
            encoded.append(Append(log, tuple(pending)))
        return tuple(encoded)

    def _encode_redaction(self, session_id: str, redaction: DraftRedaction, now_ms: int) -> Redact:
        entry_id = redaction.entry_id or b""
        tombstone = {
            "role": "redacted",
            "content": None,
            "metadata": {"reason": redaction.reason, "redacted_at": from_ms(now_ms).isoformat()},
        }
        payload = self.codec.encode(tombstone, self.entry_context(session_id, redaction.log, entry_id))
        return Redact(redaction.log, redaction.seq, entry_id, payload)

    def encode_state(self, session_id: str, change: Any) -> StateChange:
        if not isinstance(change, DraftValue):
            return change  # type: ignore[no-any-return]
        payload = self.encode_value(session_id, change.name, change.value)
        return StateSet(change.name, payload, change.ttl_ms, change.if_version, change.required)


def _messages_of(some: EntryColumns, values: Sequence[dict[str, Any]]) -> list[Message]:
    return Message.of_all_stored(values, some.times_ms)
