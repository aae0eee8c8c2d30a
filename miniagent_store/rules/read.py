"""How a read plan is answered, and how an expiry is renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from miniagent_store.backend import EntryColumns, LogRange, ReadPlan, ReadResult, Record, StoredEntry
from miniagent_store.errors import SessionDamagedError, SessionNotFoundError
from miniagent_store.rules.rows import SessionRows, expired_record, is_expired, live_record


def read_plan(rows: SessionRows, plan: ReadPlan, now_ms: int) -> ReadResult:
    """Read what `plan` asks for; see `Backend.read`."""
    record = expired_record(rows, now_ms) if plan.expired else live_record(rows, now_ms)
    if record is None:
        return ReadResult(None)
    resets = record.changed_since(*plan.since) if plan.since else {}
    values = (rows.value(name) for name in plan.names)
    return ReadResult(
        record,
        tuple(
            _read_range(rows, record, each, resets.get(each.log), damaged=plan.damaged)
            for each in plan.ranges
        ),
        tuple(value for value in values if value and not is_expired(value.expires_ms, now_ms)),
        tuple(tuple(rows.scan_values(scan, now_ms)) for scan in plan.scans),
        resets,
    )


def _read_range(
    rows: SessionRows, record: Record, wanted: LogRange, reset_from: int | None, *, damaged: bool
) -> Sequence[StoredEntry]:
    after = wanted.after if reset_from is None else min(wanted.after, reset_from - 1)
    tail = record.tail(wanted.log)
    low = max(after, tail.base) + 1
    high = tail.last if wanted.before is None else min(wanted.before - 1, tail.last)
    if wanted.not_before_ms is None:
        if wanted.last is not None:
            low = max(low, high - wanted.last + 1)
        if wanted.limit is not None:
            high = min(high, low + wanted.limit - 1)
        return _entries(rows, record, wanted.log, low, high, damaged=damaged)
    entries = tuple(
        entry
        for entry in _entries(rows, record, wanted.log, low, high, damaged=damaged)
        if entry.time_ms >= wanted.not_before_ms
    )
    if wanted.last is not None:
        entries = entries[max(len(entries) - wanted.last, 0) :]
    return entries if wanted.limit is None else entries[: wanted.limit]


def _entries(
    rows: SessionRows, record: Record, log: str, low: int, high: int, *, damaged: bool
) -> Sequence[StoredEntry]:
    if high < low:
        return ()
    entries = rows.entries(log, low, high)
    if len(entries) != high - low + 1 and not damaged:
        raise SessionDamagedError(
            record.session_id,
            part=f"log {log!r}",
            problem=f"holds {len(entries)} of the {high - low + 1} entries from {low} to {high}",
        )
    return entries if isinstance(entries, EntryColumns) else tuple(entries)


def touched(
    rows: SessionRows,
    session_id: str,
    ttl_ms: int | None,
    keep_ttl: bool,
    guard: bytes,
    now_ms: int,
) -> Record:
    """The record with its expiry renewed and its guard replaced, for the caller to save.

    Raises:
        SessionNotFoundError: there is none.
    """
    record = live_record(rows, now_ms)
    if record is None:
        raise SessionNotFoundError(session_id)
    ttl_ms = record.ttl_ms if keep_ttl else ttl_ms
    return replace(
        record,
        ttl_ms=ttl_ms,
        expires_ms=None if ttl_ms is None else now_ms + ttl_ms,
        token=record.token[:16] + guard,
    )
