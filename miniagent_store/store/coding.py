"""Public values from stored bytes, and back, each in its place."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import repeat
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
from miniagent_store.codec.quick_write import ValueWriter
from miniagent_store.errors import SessionTooLargeError
from miniagent_store.options import StoreOptions
from miniagent_store.quick_values import filled_later, maker
from miniagent_store.random_bytes import RandomBytes
from miniagent_store.serializer import Context
from miniagent_store.store.decoding import LogDecoding
from miniagent_store.store.draft import DraftChange, DraftEntry, DraftRedaction, DraftValue
from miniagent_store.values import Entry, Message, Position, Session, from_ms, to_ms

ENTRY_ID_SIZE = 12
_new_position, _new_entry = maker(Position), maker(Entry)


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
        self._random = RandomBytes()
        # What writes with a key asks for it each time.
        keep = functools.lru_cache(maxsize=4096)
        self._writer = self._make_writer if codec.bound else keep(self._make_writer)
        self._log_place = keep(self._make_log_place)

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

    def _make_log_place(self, session_id: str, log: str) -> Context:
        return Context(self._namespace, "session", session_id, "entry", log)

    def _make_writer(self, session_id: str, log: str, count: int) -> ValueWriter:
        return self.codec.value_writer(self._log_place(session_id, log), count)

    def encode_append(
        self, session_id: str, drafts: Sequence[DraftEntry], now_ms: int, standing: StandingDigests
    ) -> Append:
        """Entries of one log, each under a newly minted id.

        Raises:
            EncodeError, SessionTooLargeError: a message cannot be written, or is over its limit.
        """
        log, limit, count = drafts[0].log, self._max_message_size, len(drafts)
        write = self._writer(session_id, log, count)
        random, at = self._random.take(ENTRY_ID_SIZE * count), 0
        entries: list[NewEntry] = []
        digest_place: Context | None = None
        for draft in drafts:
            entry_id = random[at : at + ENTRY_ID_SIZE]
            at += ENTRY_ID_SIZE
            payload = write(draft.value, entry_id)
            if limit is not None and len(payload) > limit:
                raise SessionTooLargeError(session_id, size=len(payload), limit=limit, what="a message")
            time_ms = now_ms if draft.time is None else to_ms(draft.time)
            caller_id = draft.caller_id
            if caller_id is None:
                entries.append(NewEntry(entry_id, time_ms, payload))
                continue
            if digest_place is None:
                digest_place = self.context(session_id, "digest")
            digest = standing.get((log, caller_id)) or self.codec.digest(draft.value, digest_place)
            entries.append(NewEntry(entry_id, time_ms, payload, caller_id, digest))
        return Append(log, tuple(entries))

    def encode_messages(
        self, session_id: str, log: str, messages: Sequence[Mapping[str, Any]], now_ms: int
    ) -> Append | None:
        """As `encode_append`, for messages without an id or a time of their own; None if one has some."""
        write = self._writer(session_id, log, len(messages))
        random, at = self._random.take(ENTRY_ID_SIZE * len(messages)), 0
        entries: list[NewEntry] = []
        for message in messages:
            fields = message.plain_fields() if type(message) is Message else message
            if type(fields) is not dict or "id" in fields or "time" in fields:
                return None
            entry_id = random[at : at + ENTRY_ID_SIZE]
            at += ENTRY_ID_SIZE
            payload = write(fields, entry_id)
            if self._max_message_size is not None and len(payload) > self._max_message_size:
                return None
            entries.append(NewEntry(entry_id, now_ms, payload))
        return Append(log, tuple(entries))

    async def decode_entries(
        self, session_id: str, log: str, stored: Sequence[StoredEntry]
    ) -> tuple[Entry, ...]:
        """Entries from their bytes, giving way to other tasks in between.

        Raises:
            SerializationError: one of them cannot be read.
            SessionDamagedError: an id stands twice.
        """

        def entries_of(some: EntryColumns, values: Sequence[Any]) -> list[Entry]:
            ids, times = map(bytes.hex, some.ids), map(from_ms, some.times_ms)
            logs, redacted = repeat(log), some.redacted
            return list(map(_new_entry, some.seqs, ids, times, some.versions, logs, values, redacted))

        place = self._log_place(session_id, log)
        return tuple(await self._decoding.decode(place, stored, entries_of))

    async def decode_messages(
        self, session_id: str, log: str, stored: Sequence[StoredEntry]
    ) -> list[Message]:
        """As `decode_entries`, for who wants the messages only."""
        place = self._log_place(session_id, log)
        return await self._decoding.decode(place, stored, _messages_of)

    def encode_value(self, session_id: str, name: str, value: Any) -> bytes:
        return self.codec.encode(value, self.context(session_id, f"state:{name}"))

    def decode_value(self, session_id: str, stored: StoredValue) -> Any:
        if stored.payload is None:
            return stored.counter
        return self.codec.decode(stored.payload, self.context(session_id, f"state:{stored.name}"))

    def session(self, record: Record) -> Session:
        """The public value of a record."""
        if not record.metadata:
            return filled_later(Session, _session_values, record)
        # What may fail is not put off.
        return Session(*_session_values(record, self.decode_metadata(record)))

    # Drafts

    def encode_changes(
        self, session_id: str, changes: Sequence[DraftChange], now_ms: int, standing: StandingDigests
    ) -> tuple[LogChange, ...]:
        encoded: list[LogChange] = []
        pending: list[DraftEntry] = []
        for change in changes:
            if pending and (not isinstance(change, DraftEntry) or change.log != pending[0].log):
                encoded.append(self.encode_append(session_id, pending, now_ms, standing))
                pending = []
            if isinstance(change, DraftEntry):
                pending.append(change)
                continue
            encoded.append(
                self._encode_redaction(session_id, change, now_ms)
                if isinstance(change, DraftRedaction)
                else change
            )
        if pending:
            encoded.append(self.encode_append(session_id, pending, now_ms, standing))
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


def _session_values(record: Record, metadata: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The fields of a session, in their order."""
    logs = record.logs
    tails = tuple([(log, tail.base + tail.count) for log, tail in logs.items()])
    return (
        record.session_id,
        record.kind,
        record.user_id,
        record.agent,
        from_ms(record.created_ms),
        from_ms(record.last_activity_ms),
        None if record.expires_ms is None else from_ms(record.expires_ms),
        None if record.ttl_ms is None else record.ttl_ms / 1000,
        record.version,
        record.epoch,
        record.incarnation,
        record.message_count,
        record.size,
        {} if metadata is None else metadata,
        record.tags,
        _new_position(record.incarnation, record.epoch, record.version, tails),
        record.token,
    )
