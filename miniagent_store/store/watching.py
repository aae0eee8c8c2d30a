"""What happens to a session, a user's sessions or the whole store, as it happens.

Notifications only wake; what is told is read from the log after the last entry told, so a lost
notification loses nothing. However many watch the same session in one process, they are woken by one
subscription and share each read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from miniagent_store.backend import (
    Change,
    LogRange,
    ReadPlan,
    ReadResult,
    Record,
    StoredEntry,
    Subscription,
    Topic,
)
from miniagent_store.errors import BackendUnavailableError, InvalidArgumentError, SessionNotFoundError
from miniagent_store.ids import check_id
from miniagent_store.store.core import StoreCore
from miniagent_store.store.reading import PAGE
from miniagent_store.values import EVENTS, MESSAGES, EventType, Position, SessionEvent

logger: logging.Logger = logging.getLogger("miniagent_store")
T = TypeVar("T")
# Looked at again this often even if no wake-up comes.
WATCHDOG = 5.0
# Between attempts to reach a backend that has been away for longer than the deadline.
PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at a session has shown: what is to be told, and where that leads."""

    record: Record | None
    events: tuple[SessionEvent, ...] = ()
    position: Position | None = None


async def watch_session(
    core: StoreCore, session_id: str, after: Position | None, *, entries: bool = True
) -> AsyncIterator[SessionEvent]:
    """Events of one session from a position on, until it is deleted or expires.

    Args:
        core: of the store.
        session_id: the session.
        after: where to begin; None for now.
        entries: whether "appended" carries the entries; without, none is read.

    Raises:
        SessionNotFoundError: there is no session to begin with.
    """
    await core.ready()
    topic = Topic("session", check_id(session_id))
    subscription = await _subscribe(core, topic)
    try:
        record: Record | None = None
        if after is None:
            record = (await core.read(ReadPlan(session_id))).record
            if record is None:
                raise SessionNotFoundError(session_id)
            after = record.position
        while True:
            look = await _patiently(session_id, partial(_look, core, session_id, after, entries))
            if look.record is None or look.position is None:
                yield _gone(session_id, record, core.backend.now_ms())
                return
            record = look.record
            for event in look.events:
                yield event
            caught_up = look.position == record.position
            after = look.position
            if caught_up:
                await subscription.wait(_patience(record, core.backend.now_ms()))
    finally:
        await core.backend.unsubscribe(topic, subscription)


async def _look(core: StoreCore, session_id: str, after: Position, entries: bool) -> _Look:
    """What happened since a position; one read for all who ask for it at the same time."""

    async def once() -> _Look:
        result, logs = await _read_on(core, session_id, after, entries)
        record = result.record
        if record is None or record.incarnation != after.incarnation:
            return _Look(None)
        told = dict(zip(logs, result.entries, strict=True)) if entries else {}
        position = _reached(record, told)
        return _Look(record, await _events(core, result, told, after, position, entries), position)

    return await core.shared.ask(("watch", session_id, after, entries), once)


async def _read_on(
    core: StoreCore, session_id: str, after: Position, entries: bool
) -> tuple[ReadResult, list[str]]:
    """What was written to the logs since, one page a log, and which logs those are, new ones included."""
    logs = {MESSAGES: 0, EVENTS: 0, **dict(after.sequences)} if entries else {}
    while True:
        ranges = tuple(LogRange(log, after=seq, limit=PAGE) for log, seq in logs.items())
        plan = ReadPlan(session_id, ranges, since=(after.incarnation, after.epoch))
        result = await core.read(plan)
        new = [log for log in (result.record.logs if result.record and entries else ()) if log not in logs]
        if not new:
            return result, list(logs)
        logs.update(dict.fromkeys(new, 0))


def _gone(session_id: str, known: Record | None, now_ms: int) -> SessionEvent:
    expires_ms = known.expires_ms if known else None
    expired = expires_ms is not None and expires_ms <= now_ms
    user_id = known.user_id if known else None
    return SessionEvent("expired" if expired else "deleted", session_id, user_id=user_id)


def _reached(record: Record, told: Mapping[str, Sequence[StoredEntry]]) -> Position:
    """The position after telling what was read; short of the record's where a page was full."""
    sequences = tuple(
        (log, told[log][-1].seq if told.get(log) else tail.last) for log, tail in record.logs.items()
    )
    return Position(record.incarnation, record.epoch, record.version, sequences)


async def _events(
    core: StoreCore,
    result: ReadResult,
    told: Mapping[str, Sequence[StoredEntry]],
    after: Position,
    reached: Position,
    entries: bool,
) -> tuple[SessionEvent, ...]:
    """What is to be told; the position of each leads on to those behind it."""
    record = result.record
    assert record is not None
    here, events = after, list[SessionEvent]()

    def tell(kind: EventType, log: str | None = None, **more: Any) -> None:
        events.append(
            SessionEvent(
                kind, record.session_id, here, log, user_id=record.user_id, version=record.version, **more
            )
        )

    def stand_at(seqs: Mapping[str, int]) -> Position:
        # Version is what state and metadata are compared by, which come last.
        sequences = tuple({**dict(here.sequences), **seqs}.items())
        return Position(record.incarnation, record.epoch, after.version, sequences)

    # A position has one epoch: until all resets are told, they are told again to who goes on from there.
    valid = {log: min(after.seq(log), seq - 1) for log, seq in result.resets.items()}
    for number, (log, seq) in enumerate(result.resets.items(), 1):
        if number == len(result.resets):
            here = stand_at(valid)
        tell("reset", log, from_seq=seq)
    for log, stored in told.items():
        if stored:
            here = stand_at({log: stored[-1].seq})
            tell("appended", log, entries=await core.coding.decode_entries(record.session_id, log, stored))
    if not entries:
        for log, tail in record.logs.items():
            if tail.last > max(valid.get(log, after.seq(log)), tail.base):
                here = stand_at({log: tail.last})
                tell("appended", log)
    if record.state_version > after.version:
        tell("state")
    if record.metadata_version > after.version:
        tell("metadata")
    if events:
        events[-1] = replace(events[-1], position=reached)
    return tuple(events)


def _patience(record: Record, now_ms: int) -> float:
    if record.expires_ms is None:
        return WATCHDOG
    return min(WATCHDOG, max((record.expires_ms - now_ms) / 1000, 0) + 0.005)


async def watch_store(core: StoreCore, user_id: str | None) -> AsyncIterator[SessionEvent]:
    """Which sessions changed, of a user or of the whole store, from now on; at least once each."""
    if user_id is not None:
        check_id(user_id, what="user id")
    await core.ready()
    topic = Topic("store")
    subscription = await _subscribe(core, topic)
    try:
        _, cursor = await _changes(core, None, 1)
        while True:
            changes, cursor = await _patiently("the store", partial(_changes, core, cursor, PAGE))
            for change in changes:
                if change.kind == "session" and user_id in (None, change.user_id):
                    yield SessionEvent(
                        "deleted" if change.deleted else "changed",
                        change.session_id,
                        user_id=change.user_id,
                        version=change.version,
                    )
            if len(changes) < PAGE:
                await subscription.wait(WATCHDOG)
    finally:
        await core.backend.unsubscribe(topic, subscription)


async def _subscribe(core: StoreCore, topic: Topic) -> Subscription:
    return await core.retrying.attempt("watch", topic.name, lambda _: core.backend.subscribe(topic))


async def _changes(core: StoreCore, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
    async def once() -> tuple[Sequence[Change], str]:
        await core.ready()  # closed meanwhile, a view of a tenant shares a backend that goes on
        return await core.retrying.attempt("watch", "", lambda _: core.backend.changes(after, limit))

    return await core.shared.ask(("changes", after, limit), once)


async def _patiently(what: str, look: Callable[[], Awaitable[T]]) -> T:
    """What `look()` returns, however long the backend is away: who watches goes on where it stopped."""
    while True:
        try:
            return await look()
        except BackendUnavailableError as error:
            logger.warning("who watches %s is told nothing until the backend answers: %s", what, error)
        await asyncio.sleep(PAUSE)


def watch(
    core: StoreCore,
    session_id: str | None,
    user_id: str | None,
    after: Position | None,
    *,
    entries: bool = True,
) -> AsyncIterator[SessionEvent]:
    """See `SessionStore.watch`.

    Raises:
        InvalidArgumentError: both a session and a user, or a position without a session.
    """
    if session_id is not None:
        if user_id is not None:
            raise InvalidArgumentError("watch a session or a user, not both")
        return watch_session(core, session_id, after, entries=entries)
    if after is not None:
        raise InvalidArgumentError(
            "a position belongs to a session; watching a user or the store takes none"
        )
    return watch_store(core, user_id)
