"""What happens to a session, a user's sessions or the whole store, as it happens.

Notifications only wake; what is told is read from the log after the last entry told, so a lost
notification loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

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
from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.ids import check_id
from miniagent_store.store.core import StoreCore
from miniagent_store.store.reading import PAGE
from miniagent_store.values import EVENTS, MESSAGES, Position, SessionEvent

# Looked at again this often even if no wake-up comes.
WATCHDOG = 5.0


async def watch_session(
    core: StoreCore, session_id: str, after: Position | None
) -> AsyncIterator[SessionEvent]:
    """Events of one session from a position on, until it is deleted or expires.

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
            result, logs = await _read_on(core, session_id, after)
            gone = _gone(session_id, record, result, after, core.backend.now_ms())
            if gone is not None:
                yield gone
                return
            record = result.record
            assert record is not None
            told = dict(zip(logs, result.entries, strict=True))
            position = _reached(record, told)
            async for event in _events(core, result, told, after, position):
                yield event
            caught_up = position == record.position
            after = position
            if caught_up:
                await subscription.wait(_patience(record, core.backend.now_ms()))
    finally:
        await core.backend.unsubscribe(topic, subscription)


async def _read_on(core: StoreCore, session_id: str, after: Position) -> tuple[ReadResult, list[str]]:
    """What was written to the logs since, one page a log, and which logs those are, new ones included."""
    logs = {MESSAGES: 0, EVENTS: 0, **dict(after.sequences)}
    while True:
        ranges = tuple(LogRange(log, after=seq, limit=PAGE) for log, seq in logs.items())
        plan = ReadPlan(session_id, ranges, since=(after.incarnation, after.epoch))
        result = await core.read(plan)
        new = [log for log in (result.record.logs if result.record else ()) if log not in logs]
        if not new:
            return result, list(logs)
        logs.update(dict.fromkeys(new, 0))


def _gone(
    session_id: str, known: Record | None, result: ReadResult, after: Position, now_ms: int
) -> SessionEvent | None:
    if result.record is not None and result.record.incarnation == after.incarnation:
        return None
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
    position: Position,
) -> AsyncIterator[SessionEvent]:
    record = result.record
    assert record is not None
    session_id, user_id = record.session_id, record.user_id
    for log, from_seq in result.resets.items():
        yield SessionEvent(
            "reset", session_id, position, log, from_seq=from_seq, user_id=user_id, version=record.version
        )
    for log, stored in told.items():
        if stored:
            entries = await core.coding.decode_entries(session_id, log, stored)
            yield SessionEvent(
                "appended", session_id, position, log, entries, user_id=user_id, version=record.version
            )
    if record.state_version > after.version:
        yield SessionEvent("state", session_id, position, user_id=user_id, version=record.version)
    if record.metadata_version > after.version:
        yield SessionEvent("metadata", session_id, position, user_id=user_id, version=record.version)


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
            changes, cursor = await _changes(core, cursor, PAGE)
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
    await core.ready()  # closed meanwhile, a view of a tenant shares a backend that goes on
    return await core.retrying.attempt("watch", "", lambda _: core.backend.changes(after, limit))


def watch(
    core: StoreCore, session_id: str | None, user_id: str | None, after: Position | None
) -> AsyncIterator[SessionEvent]:
    """See `SessionStore.watch`.

    Raises:
        InvalidArgumentError: both a session and a user, or a position without a session.
    """
    if session_id is not None:
        if user_id is not None:
            raise InvalidArgumentError("watch a session or a user, not both")
        return watch_session(core, session_id, after)
    if after is not None:
        raise InvalidArgumentError(
            "a position belongs to a session; watching a user or the store takes none"
        )
    return watch_store(core, user_id)
