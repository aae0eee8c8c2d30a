"""A session read for somebody who wants to know how it is stored, and what of it is broken.

All other reading refuses a range of which one entry is damaged, since an agent must not go on from half a
history. Here each entry stands for itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from miniagent_store.backend import (
    LogRange,
    ReadPlan,
    ReadResult,
    Record,
    StoredEntry,
    StoredValue,
)
from miniagent_store.codec.codec import EnvelopeInfo
from miniagent_store.errors import (
    DecodeError,
    KeyProviderError,
    SerializationError,
    SessionDamagedError,
    StoreError,
)
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.inspection import Gap, InspectedEntry, InspectedValue, Inspection
from miniagent_store.store.reading import found
from miniagent_store.values import from_ms

# Reads by which what is missing of a damaged range is found; then the rest is missing as a whole.
SEARCHES = 64
COUNTER_SIZE = 8


async def inspect_session(core: StoreCore, plan: ReadPlan) -> Inspection:
    """All that can be shown of what a plan asks for.

    Args:
        core: of the store.
        plan: with one range, and at most one scan of the state.

    Raises:
        SessionNotFoundError: there is no session.
        SessionDamagedError: its record cannot be read, and so nothing of it.
    """
    return await _Inspecting(core, plan).run()


class _Inspecting:
    def __init__(self, core: StoreCore, plan: ReadPlan) -> None:
        self._core, self._plan = core, plan
        self._problems: list[StoreError] = []
        self._gaps: list[Gap] = []
        # Why the data key of the session cannot be had, which no value that needs it knows.
        self._keyless: StoreError | None = None

    async def run(self) -> Inspection:
        await self._core.ready()
        wanted = self._plan.ranges[0]
        try:
            result = await self._read(self._plan)
            record = found(result, self._plan.session_id)
            stored, values = list(result.entries[0]), [each for scan in result.scans for each in scan]
            self._note_missing(record, wanted, stored)
        except SessionDamagedError:
            result = await self._read(ReadPlan(self._plan.session_id, damaged=True))
            record = found(result, self._plan.session_id)
            stored, values = await self._search(record, wanted), await self._values()
        await self._learn(record)
        metadata = self._metadata(record)
        readable = metadata is None or metadata.error is None
        session = self._core.coding.session(record if readable else replace(record, metadata=b""))
        return Inspection(
            session,
            {log: (tail.base + 1, tail.last) for log, tail in record.logs.items()},
            tuple(self._entry(wanted.log, each) for each in stored),
            tuple(self._gaps),
            tuple(self._value(each) for each in values),
            metadata,
            tuple(self._problems),
        )

    async def _read(self, plan: ReadPlan) -> ReadResult:
        # Not by the core, which would refuse a session whose data key cannot be had.
        core = self._core
        return await core.retrying.attempt("read", plan.session_id, lambda _: core.backend.read(plan))

    async def _learn(self, record: Record) -> None:
        try:
            await self._core.keys.learn(record)
        except (SerializationError, KeyProviderError) as error:
            self._keyless = error
            self._problems.append(error)

    # What is missing

    def _note_missing(self, record: Record, wanted: LogRange, stored: list[StoredEntry]) -> None:
        low, high = _extent(record, wanted)
        there = {each.seq for each in stored}
        for seq in range(low, high + 1):
            if seq not in there:
                self._gaps.append(Gap(seq, seq, _lost(record, wanted.log)))
        self._gaps = _joined(self._gaps)

    async def _search(self, record: Record, wanted: LogRange) -> list[StoredEntry]:
        """The entries of a range that can be told apart; the others become gaps."""
        low, high = _extent(record, wanted)
        there: list[StoredEntry] = []
        missing: list[Gap] = []
        waiting = deque([(low, high)] if low <= high else [])
        reads = 0
        while waiting:
            first, last = waiting.popleft()
            part = LogRange(wanted.log, after=first - 1, before=last + 1)
            reads += 1
            try:
                result = await self._read(ReadPlan(record.session_id, (part,), damaged=True))
                there += result.entries[0] if result.entries else ()
                continue
            except SessionDamagedError as error:
                damage = error
            if first == last or reads + len(waiting) >= SEARCHES:
                missing.append(Gap(first, last, damage))
                continue
            middle = (first + last) // 2
            waiting += [(first, middle), (middle + 1, last)]
        self._gaps = _joined(missing)
        return sorted(there)

    async def _values(self) -> list[StoredValue]:
        try:
            result = await self._read(ReadPlan(self._plan.session_id, scans=self._plan.scans, damaged=True))
        except SessionDamagedError as error:
            self._problems.append(error)
            return []
        return [each for scan in result.scans for each in scan]

    # What is there

    def _entry(self, log: str, stored: StoredEntry) -> InspectedEntry:
        place = self._core.coding.entry_context(self._plan.session_id, log, stored.id)
        value, error, envelope = self._opened(stored.payload, place)
        if isinstance(error, SerializationError) and error is not self._keyless:
            error.context = f"session {self._plan.session_id!r} (log {log!r}, entry {stored.seq})"
        return InspectedEntry(
            stored.seq,
            stored.id.hex(),
            from_ms(stored.time_ms),
            stored.version,
            log,
            stored.redacted,
            value,
            error,
            envelope,
            len(stored.payload),
        )

    def _value(self, stored: StoredValue) -> InspectedValue:
        expires_at = None if stored.expires_ms is None else from_ms(stored.expires_ms)
        if stored.payload is None:
            return InspectedValue(
                stored.name, stored.counter, None, stored.version, expires_at, None, COUNTER_SIZE
            )
        place = self._core.coding.context(self._plan.session_id, f"state:{stored.name}")
        value, error, envelope = self._opened(stored.payload, place)
        return InspectedValue(
            stored.name, value, error, stored.version, expires_at, envelope, len(stored.payload)
        )

    def _metadata(self, record: Record) -> InspectedValue | None:
        if not record.metadata:
            return None
        place = self._core.coding.context(record.session_id, "metadata")
        value, error, envelope = self._opened(record.metadata, place)
        if error is not None and self._keyless is None:
            self._problems.append(error)
        size = len(record.metadata)
        return InspectedValue("", value, error, record.metadata_version, None, envelope, size)

    def _opened(self, data: bytes, place: Context) -> tuple[Any, StoreError | None, EnvelopeInfo | None]:
        codec = self._core.coding.codec
        envelope: EnvelopeInfo | None = None
        try:
            envelope = codec.describe(data)
        except DecodeError:
            pass  # decoding says so too, or knows what it is
        try:
            return codec.decode(data, place), None, envelope
        except (SerializationError, KeyProviderError) as error:
            return None, self._keyless or error, envelope


def _extent(record: Record, wanted: LogRange) -> tuple[int, int]:
    """The first and the last sequence of a range, as far as its log reaches."""
    tail = record.tail(wanted.log)
    low = max(wanted.after, tail.base) + 1
    high = tail.last if wanted.before is None else min(wanted.before - 1, tail.last)
    if wanted.last is not None:
        low = max(low, high - wanted.last + 1)
    if wanted.limit is not None:
        high = min(high, low + wanted.limit - 1)
    return low, high


def _lost(record: Record, log: str) -> SessionDamagedError:
    return SessionDamagedError(record.session_id, part=f"log {log!r}", problem="has lost entries")


def _joined(gaps: list[Gap]) -> list[Gap]:
    """Gaps in order, those that touch as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda each: each.first):
        if joined and joined[-1].last + 1 == gap.first:
            gap = replace(joined.pop(), last=gap.last)
        joined.append(gap)
    return joined
