"""How a commit is applied: identity, existence, preconditions, changes, size, record."""

from __future__ import annotations

import os
from dataclasses import replace

from miniagent_store.backend import (
    FORGET_WRITER_MS,
    KEPT_EPOCHS,
    MAX_NOT_AFTER_MS,
    Commit,
    CommitIdentity,
    CommitResult,
    Create,
    Expired,
    Fence,
    LogTail,
    Outcome,
    Record,
    StagePublish,
)
from miniagent_store.errors import (
    BackendUnavailableError,
    FencedError,
    InvalidArgumentError,
    LockLostError,
    OutcomeUnknownError,
    SessionExistsError,
    SessionNotFoundError,
    SessionReplacedError,
    SessionTooLargeError,
    VersionConflictError,
)
from miniagent_store.rules.claims import expired_of, is_claimable
from miniagent_store.rules.lease import freed
from miniagent_store.rules.log_changes import LogChanges
from miniagent_store.rules.rows import SessionRows, WriterWindow, is_expired
from miniagent_store.rules.state_changes import StateChanges

# Two processes on one machine may read the clock a little apart.
CLOCK_SLACK_MS = 2_000


def new_token() -> bytes:
    """16 random bytes of a commit's token, and 8 of its guard."""
    return os.urandom(24)


def apply_commit(rows: SessionRows, commit: Commit, now_ms: int) -> CommitResult:
    """Apply `commit` to one session; see `Backend.commit` for order and errors.

    If it raises, the caller undoes what was written.
    """
    identity, session_id = commit.identity, commit.session_id
    stored = rows.record()
    existing = None if stored is None or is_expired(stored.expires_ms, now_ms) else stored
    window = rows.writer(identity.writer) if existing else None
    if existing and window and (outcome := window.outcome(identity.counter)):
        return CommitResult(existing, outcome, replayed=True)
    _refuse_untimely(session_id, identity, window, now_ms)

    replaced = None
    if existing is None:
        create = _creation(commit)
        if stored is not None:
            replaced = _replace(rows, stored, now_ms)
        turn = rows.turn()
        record = _new_record(session_id, create, commit.time_ms, now_ms, fence=turn.fence if turn else 0)
    else:
        _refuse_another_life(commit, existing)
        if commit.create is not None and not commit.create.keep_existing:
            raise SessionExistsError(session_id)
        record = existing
    _check_expected(commit, existing)
    fence, lock_fence = _check_fence(rows, commit.fence, record, now_ms)
    if existing and commit.create and commit.changes_nothing:
        return CommitResult(existing, Outcome(existing.version))

    version = record.version + 1
    logs = LogChanges(rows, record, version)
    logs.apply_all(commit.changes)
    state = StateChanges(rows, session_id, version, now_ms)
    state.apply_all(commit.state)

    metadata = record.metadata if commit.metadata is None else commit.metadata
    described = commit.tags if commit.metadata is None else commit.metadata
    size = record.size + logs.grown + state.grown + len(metadata) - len(record.metadata)
    before = existing.size if existing else 0
    limit = commit.max_size if record.kind == "session" else None
    if limit is not None and before < size > limit:
        raise SessionTooLargeError(session_id, size=size, limit=limit)

    epoch, resets = record.epoch, record.resets
    if logs.lowest_changed:
        epoch += 1
        resets = (*resets, (epoch, logs.lowest_changed))[-KEPT_EPOCHS:]
    # Every field, since replace() takes twice as long.
    after = Record(
        session_id=session_id,
        kind=record.kind,
        user_id=record.user_id,
        agent=record.agent,
        tags=record.tags if commit.tags is None else commit.tags,
        created_ms=record.created_ms,
        last_activity_ms=commit.time_ms if commit.last_activity_ms is None else commit.last_activity_ms,
        expires_ms=_renewed(record, now_ms),
        ttl_ms=record.ttl_ms,
        sliding=record.sliding,
        version=version,
        epoch=epoch,
        incarnation=record.incarnation,
        token=new_token(),
        metadata=metadata,
        logs=logs.tails,
        size=size,
        fence=fence,
        resets=resets,
        state_version=version if commit.state else record.state_version,
        metadata_version=record.metadata_version if described is None else version,
        data_key=record.data_key,
        lock_fence=lock_fence,
    )
    outcome = Outcome(version, tuple(logs.sequences), tuple(state.kept_out), tuple(state.counters))
    rows.save_record(after)
    if commit.fence and commit.fence.turn_owner is not None:
        rows.save_turn(freed(rows.turn(), commit.fence.fence, now_ms))
    _remember(rows, identity, window, outcome, now_ms)
    return CommitResult(after, outcome, created=existing is None, replaced=replaced)


def publish_stage(
    rows: SessionRows,
    publish: StagePublish,
    tails: dict[str, LogTail] | None,
    size: int,
    now_ms: int,
) -> CommitResult:
    """Decide on the record of a staged session; the caller then moves the stage's parts under it.

    Args:
        rows: of the id that it is to have.
        tails: extent of each staged log; None if the stage is gone.
        size: bytes of the staged entries and values.
    """
    session_id, identity, create = publish.session_id, publish.identity, publish.create
    stored = rows.record()
    if stored is not None and not is_expired(stored.expires_ms, now_ms):
        window = rows.writer(identity.writer)
        if window and (outcome := window.outcome(identity.counter)):
            return CommitResult(stored, outcome, replayed=True)
        raise SessionExistsError(session_id)
    _refuse_untimely(session_id, identity, None, now_ms)
    if tails is None:
        # A stage that is still there proves that it was not published; one that is gone proves nothing.
        if publish.retry:
            raise OutcomeUnknownError(
                session_id,
                commit_id=str(identity),
                why="an earlier try is in doubt, and neither stage nor session is there",
                final=True,
            )
        raise BackendUnavailableError("what was staged is gone: its time was up; fork or import again")
    replaced = None if stored is None else _replace(rows, stored, now_ms)
    size += len(create.metadata)
    if publish.max_size is not None and size > publish.max_size:
        raise SessionTooLargeError(session_id, size=size, limit=publish.max_size)
    turn = rows.turn()
    record = replace(
        _new_record(session_id, create, publish.time_ms, now_ms, fence=turn.fence if turn else 0),
        version=publish.version,
        logs=tails,
        size=size,
    )
    if (kept := publish.kept) is not None:
        record = replace(
            record,
            created_ms=kept.created_ms,
            last_activity_ms=kept.last_activity_ms,
            expires_ms=kept.expires_ms,
            epoch=kept.epoch,
        )
    outcome = Outcome(record.version)
    rows.save_record(record)
    _remember(rows, identity, None, outcome, now_ms)
    return CommitResult(record, outcome, created=True, replaced=replaced)


def _replace(rows: SessionRows, stored: Record, now_ms: int) -> Expired | None:
    """Drop a session that has expired; who it was, if no sweep has claimed it to tell of it."""
    claimed = not is_claimable(stored, rows.claimed_ms(), now_ms)
    rows.drop()
    return None if claimed else expired_of(stored)


def _refuse_untimely(
    session_id: str, identity: CommitIdentity, window: WriterWindow | None, now_ms: int
) -> None:
    if window and window.is_below(identity.counter):
        raise OutcomeUnknownError(
            session_id,
            commit_id=str(identity),
            why="it is older than the outcomes that are remembered",
            final=True,
        )
    if now_ms > identity.not_after_ms:
        raise OutcomeUnknownError(
            session_id,
            commit_id=str(identity),
            why="it came after its not-after, and no outcome is remembered",
            final=True,
        )
    if identity.not_after_ms > now_ms + MAX_NOT_AFTER_MS + CLOCK_SLACK_MS:
        raise InvalidArgumentError(
            f"a commit id is good for {MAX_NOT_AFTER_MS // 1000} s at most; take it from "
            "store.new_commit_id(), and see that the clocks agree"
        )


def _refuse_another_life(commit: Commit, record: Record) -> None:
    # The first try may have been applied to a session that was deleted since; this one never saw it.
    if commit.retry and record.created_ms > commit.time_ms:
        raise OutcomeUnknownError(
            commit.session_id,
            commit_id=str(commit.identity),
            why="an earlier try is in doubt, and the session was created after it",
            final=True,
        )


def _creation(commit: Commit) -> Create:
    if commit.create is None:
        raise SessionNotFoundError(commit.session_id)
    if commit.retry:
        raise OutcomeUnknownError(
            commit.session_id,
            commit_id=str(commit.identity),
            why="an earlier try is in doubt and there is no session, which may have been deleted since",
            final=True,
        )
    return commit.create


def _new_record(session_id: str, create: Create, time_ms: int, now_ms: int, *, fence: int) -> Record:
    return Record(
        session_id=session_id,
        kind=create.kind,
        user_id=create.user_id,
        agent=create.agent,
        tags=create.tags,
        created_ms=time_ms,
        last_activity_ms=time_ms,
        expires_ms=None if create.ttl_ms is None else now_ms + create.ttl_ms,
        ttl_ms=create.ttl_ms,
        sliding=create.sliding,
        version=0,
        epoch=0,
        incarnation=os.urandom(8).hex(),
        token=new_token(),
        metadata=create.metadata,
        logs={},
        size=len(create.metadata),
        fence=fence,
        data_key=create.data_key,
    )


def _renewed(record: Record, now_ms: int) -> int | None:
    if record.ttl_ms is None or not record.sliding:
        return record.expires_ms
    return now_ms + record.ttl_ms


def _check_expected(commit: Commit, record: Record | None) -> None:
    session_id, expected = commit.session_id, commit.expected
    if expected is not None:
        if expected.incarnation is not None and (
            record is None or record.incarnation != expected.incarnation
        ):
            raise SessionReplacedError(session_id)
        version = record.version if record else 0
        if expected.version is not None and expected.version != version:
            raise VersionConflictError(
                session_id, expected=f"version {expected.version}", actual=f"version {version}"
            )
        if expected.token is not None and (record is None or record.token[:16] != expected.token[:16]):
            raise VersionConflictError(
                session_id, expected="the same commit", actual="another commit of the same version"
            )
    for tail in commit.expected_tails:
        last = record.tail(tail.log).last if record else 0
        if record is None or (record.incarnation, record.epoch, last) != (
            tail.incarnation,
            tail.epoch,
            tail.seq,
        ):
            raise VersionConflictError(
                session_id,
                expected=f"log {tail.log!r} to end at {tail.seq} in epoch {tail.epoch}",
                actual=f"its end at {last} in epoch {record.epoch if record else 0}",
            )


def _check_fence(rows: SessionRows, fence: Fence | None, record: Record, now_ms: int) -> tuple[int, int]:
    """The fences of turn and named lock that the record has afterwards."""
    if fence is None:
        return record.fence, record.lock_fence
    proved = record.lock_fence if fence.turn_owner is None else record.fence
    if proved > fence.fence:
        raise FencedError(record.session_id, fence=fence.fence, current=proved)
    if fence.turn_owner is None:
        return record.fence, fence.fence
    turn = rows.turn()
    if turn is not None and turn.fence > fence.fence:
        raise FencedError(record.session_id, fence=fence.fence, current=turn.fence)
    if turn is None or turn.owner != fence.turn_owner or turn.until_ms <= now_ms:
        raise LockLostError(record.session_id)
    return fence.fence, record.lock_fence


def _remember(
    rows: SessionRows,
    identity: CommitIdentity,
    window: WriterWindow | None,
    outcome: Outcome,
    now_ms: int,
) -> None:
    if window is None:
        rows.forget_writers(now_ms - FORGET_WRITER_MS)
        window = WriterWindow(0, ())
    rows.save_writer(identity.writer, window.with_outcome(identity.counter, outcome, identity.not_after_ms))
