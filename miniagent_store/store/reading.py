"""Histories, entries, snapshots and counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from miniagent_store.backend import LogRange, ReadPlan, ReadResult, Record, StateScan, StoredEntry
from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError, VersionConflictError
from miniagent_store.ids import check_id, check_name
from miniagent_store.store.core import StoreCore
from miniagent_store.values import MESSAGES, Entry, Message, Position, Session, Snapshot, to_ms

T = TypeVar("T")
PAGE = 500


async def read_record(core: StoreCore, session_id: str) -> Record:
    """The record alone.

    Raises:
        SessionNotFoundError: there is none.
    """
    return found(await core.read(ReadPlan(check_id(session_id))), session_id)


def found(result: ReadResult, session_id: str) -> Record:
    """The record of a read.

    Raises:
        SessionNotFoundError: there is none.
    """
    if result.record is None:
        raise SessionNotFoundError(session_id)
    return result.record


def check_log(log: str) -> str:
    """Return `log` if it may be the name of a log."""
    return check_id(log, what="log name", limit=256)


def check_count(value: int | None, what: str, *, least: int = 0) -> int | None:
    """Return `value` if it is None or a whole number of at least `least`.

    Raises:
        InvalidArgumentError: it is not.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    raise InvalidArgumentError(f"{what} must be a whole number of at least {least}, not {value!r}")


def log_range(
    log: str,
    *,
    last: int | None = None,
    after: int | Position | None = None,
    before: int | None = None,
    limit: int | None = None,
    after_time: datetime | None = None,
) -> LogRange:
    """A range from the arguments of the reading calls.

    Raises:
        InvalidArgumentError: one of them is out of range.
    """
    start = after.seq(log) if isinstance(after, Position) else check_count(after, "after")
    if after_time is not None and after_time.tzinfo is None:
        raise InvalidArgumentError("after_time must be an aware datetime, such as datetime.now(UTC)")
    return LogRange(
        check_log(log),
        after=start or 0,
        before=check_count(before, "before"),
        last=check_count(last, "last"),
        limit=check_count(limit, "limit"),
        not_before_ms=None if after_time is None else to_ms(after_time),
    )


async def read_entries(core: StoreCore, session_id: str, log: str, **wanted: Any) -> tuple[Entry, ...]:
    """The entries of a range, in order.

    Args:
        core: of the store.
        session_id, log: which log.
        **wanted: as `log_range` takes it.

    Raises:
        SessionNotFoundError: there is no session.
        VersionConflictError: `after` is a position from which the log no longer goes on.
    """
    return await _read_log(core, session_id, log, core.coding.decode_entries, **wanted)


async def read_messages(core: StoreCore, session_id: str, log: str, **wanted: Any) -> list[Message]:
    """As `read_entries`, for who wants the messages only."""
    return await _read_log(core, session_id, log, core.coding.decode_messages, **wanted)


async def _read_log(
    core: StoreCore,
    session_id: str,
    log: str,
    decode: Callable[[str, str, Sequence[StoredEntry]], Awaitable[T]],
    *,
    last: int | None = None,
    after: int | Position | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> T:
    wanted = log_range(log, last=last, after=after, before=before, limit=limit)
    since = (after.incarnation, after.epoch) if isinstance(after, Position) else None
    plan = ReadPlan(check_id(session_id), (wanted,), since=since)
    async with core.room_for(plan):
        result = await core.read(plan)
        record = found(result, session_id)
        if isinstance(after, Position):
            refuse_reset(record, result, log, wanted.after, after.epoch)
        return await decode(session_id, log, result.entries[0])


def refuse_reset(record: Record, result: ReadResult, log: str, after: int, epoch: int) -> None:
    """Refuse to go on after a sequence that is no longer what it was.

    Raises:
        VersionConflictError: it is not.
    """
    if log in result.resets and result.resets[log] <= after:
        raise VersionConflictError(
            record.session_id,
            expected=f"log {log!r} as it was in epoch {epoch}",
            actual=f"one changed from entry {result.resets[log]} on (epoch {record.epoch})",
        )


async def replay(core: StoreCore, session_id: str, after: int | Position = 0) -> AsyncIterator[Message]:
    """Messages page by page.

    Raises:
        VersionConflictError: what was told already was changed on the way.
    """
    check_id(session_id)
    wanted = log_range(MESSAGES, after=after)
    seq = wanted.after
    since = (after.incarnation, after.epoch) if isinstance(after, Position) else None
    while True:
        plan = ReadPlan(session_id, (LogRange(MESSAGES, after=seq, limit=PAGE),), since=since)
        result = await core.read(plan)
        record = found(result, session_id)
        refuse_reset(record, result, MESSAGES, seq, since[1] if since else record.epoch)
        since = (record.incarnation, record.epoch)
        for message in await core.coding.decode_messages(session_id, MESSAGES, result.entries[0]):
            yield message
        seq = result.entries[0][-1].seq if result.entries[0] else seq
        if len(result.entries[0]) < PAGE:
            return


async def find_entry(core: StoreCore, session_id: str, log: str, seq: int) -> StoredEntry:
    """One entry.

    Raises:
        SessionNotFoundError: there is no session.
        InvalidArgumentError: there is no such entry.
    """
    check_count(seq, "seq", least=1)
    plan = ReadPlan(check_id(session_id), (LogRange(check_log(log), after=seq - 1, before=seq + 1),))
    result = await core.read(plan)
    record = found(result, session_id)
    if not result.entries[0]:
        tail = record.tail(log)
        raise InvalidArgumentError(
            f"there is no entry {seq} in log {log!r} of session {session_id!r} "
            f"(it holds {tail.base + 1} to {tail.last})"
        )
    return result.entries[0][0]


def snapshot_plan(
    session_id: str,
    *,
    last: int | None,
    after: int | Position | None,
    after_time: datetime | None,
    logs: Iterable[str],
    state: Iterable[str] | str | bool | None,
) -> ReadPlan:
    """The read plan of a snapshot."""
    names: tuple[str, ...] = ()
    scans: tuple[StateScan, ...] = ()
    if state is True or isinstance(state, str):
        scans = (StateScan("" if state is True else state),)
    elif state:
        names = tuple(check_name(name, what="state name") for name in state)
    return ReadPlan(
        check_id(session_id),
        tuple(log_range(log, last=last, after=after, after_time=after_time) for log in logs),
        names,
        scans,
        since=(after.incarnation, after.epoch) if isinstance(after, Position) else None,
    )


async def decode_snapshot(core: StoreCore, plan: ReadPlan, result: ReadResult) -> Snapshot:
    """The public value of a read.

    Raises:
        SessionNotFoundError: there is no session.
    """
    record = found(result, plan.session_id)
    await core.keys.learn(record)
    session: Session = core.coding.session(record)
    logs = {
        wanted.log: await core.coding.decode_entries(plan.session_id, wanted.log, entries)
        for wanted, entries in zip(plan.ranges, result.entries, strict=True)
    }
    values = [*result.values, *(value for scan in result.scans for value in scan)]
    state = {value.name: core.coding.decode_value(plan.session_id, value) for value in values}
    return Snapshot(session, logs, state, dict(result.resets))
