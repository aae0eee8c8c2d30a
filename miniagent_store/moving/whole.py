"""A session with all its parts, as a backend keeps them, read in one consistent state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from miniagent_store.backend import (
    LogRange,
    ReadPlan,
    ReadResult,
    Record,
    StateScan,
    StoredEntry,
    StoredValue,
)
from miniagent_store.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    SerializationError,
    SessionDamagedError,
)
from miniagent_store.store.core import StoreCore
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.values import EVENTS, MESSAGES

# So many entries are read at a time; most sessions need no second read.
_PAGE = 500
_ATTEMPTS = 20
# What is told of a session that cannot be read, while others can.
UNREADABLE = (SerializationError, SessionDamagedError)


def core_of(store: SessionStore) -> StoreCore:
    """What a store stands on.

    Raises:
        InvalidArgumentError: it is not one that `open_store` made.
    """
    if not isinstance(store, Store):
        raise InvalidArgumentError(f"sessions are moved between stores of open_store(), not {store!r}")
    return store._core


@dataclass(frozen=True, slots=True)
class WholeSession:
    """A session with all its parts.

    Attributes:
        record: its incarnation, token, fence and size are of where it was read.
        logs: all entries of each log, in order; tombstones are among them.
        values: state, in order of their names.
        plain: payloads and metadata are not stored bytes, but JSON; see `plain_values`.
    """

    record: Record
    logs: dict[str, tuple[StoredEntry, ...]]
    values: tuple[StoredValue, ...]
    plain: bool = False

    @property
    def id(self) -> str:
        return self.record.session_id

    @property
    def entry_count(self) -> int:
        return sum(map(len, self.logs.values()))

    def at(self, now_ms: int) -> WholeSession:
        """Without the values that have expired."""
        live = tuple(each for each in self.values if each.expires_ms is None or each.expires_ms > now_ms)
        return self if len(live) == len(self.values) else replace(self, values=live)

    def mapped(self, change: Callable[[bytes, str, str, bytes | None], bytes]) -> WholeSession:
        """With other values: `change` is given each one's bytes, field, log and entry's id.

        The field is "metadata", "entry", or "state:" and a name.
        """
        record = self.record
        if record.metadata:
            record = replace(record, metadata=change(record.metadata, "metadata", "", None))
        logs = {
            log: tuple(
                each._replace(payload=change(each.payload, "entry", log, each.id)) for each in entries
            )
            for log, entries in self.logs.items()
        }
        values = tuple(
            each
            if each.payload is None
            else replace(each, payload=change(each.payload, f"state:{each.name}", "", None))
            for each in self.values
        )
        return replace(self, record=record, logs=logs, values=values)

    def is_expired(self, now_ms: int) -> bool:
        return self.record.expires_ms is not None and self.record.expires_ms <= now_ms


async def read_whole(core: StoreCore, session_id: str) -> WholeSession | None:
    """A session with all its parts as of one moment; None if there is none.

    Raises:
        BackendUnavailableError: it was rewritten each time, while it was read.
    """
    for _ in range(_ATTEMPTS):
        ranges = (LogRange(MESSAGES, limit=_PAGE), LogRange(EVENTS, limit=_PAGE))
        first = await core.read(ReadPlan(session_id, ranges, scans=(StateScan(),)))
        if first.record is None:
            return None
        logs = await _logs(core, first.record, first)
        if logs is not None:
            return WholeSession(first.record, logs, first.scans[0])
    raise BackendUnavailableError(
        f"session {session_id!r} was rewritten again and again while it was read; try again later"
    )


async def _logs(
    core: StoreCore, record: Record, first: ReadResult
) -> dict[str, tuple[StoredEntry, ...]] | None:
    """All entries up to the tails of `record`; None if a log was rewritten meanwhile."""
    known: dict[str, Sequence[StoredEntry]] = {MESSAGES: first.entries[0], EVENTS: first.entries[1]}
    logs: dict[str, tuple[StoredEntry, ...]] = {}
    for log, tail in record.logs.items():
        entries = list(known.get(log, ()))
        while len(entries) < tail.count:
            after = tail.base + len(entries)
            wanted = LogRange(log, after=after, before=tail.last + 1, limit=_PAGE)
            since = (record.incarnation, record.epoch)
            result = await core.read(ReadPlan(record.session_id, (wanted,), since=since))
            there = result.record
            if there is None or (there.incarnation, there.epoch) != since or not result.entries[0]:
                return None
            entries += result.entries[0]
        logs[log] = tuple(entries)
    return logs
