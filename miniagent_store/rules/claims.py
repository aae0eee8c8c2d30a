"""Who may tell of an expired session: a claim is a time until which nobody else does."""

from __future__ import annotations

from miniagent_store.backend import Expired, Record
from miniagent_store.rules.rows import LeaseRow, is_expired


def expired_of(record: Record) -> Expired:
    """What a sweep is told of a session."""
    return Expired(record.session_id, record.kind, record.user_id, record.incarnation)


def is_claimable(record: Record, claimed_ms: int, now_ms: int) -> bool:
    """Whether a session has expired and nobody has claimed it.

    Args:
        record: of the session.
        claimed_ms: until when it is claimed; 0 for never.
        now_ms: the backend's clock.
    """
    return is_expired(record.expires_ms, now_ms) and claimed_ms <= now_ms


def is_to_finish(record: Record | None, expired: Expired, now_ms: int) -> bool:
    """Whether a record is what was claimed, and not another session that was made since."""
    return (
        record is not None
        and is_expired(record.expires_ms, now_ms)
        and expired.incarnation in ("", record.incarnation)
    )


def is_turn_over(turn: LeaseRow | None, now_ms: int) -> bool:
    """Whether the turn of a session that is gone may go as well: nobody holds it or waits for it.

    Its fence must not come again: a new one is at least the time of the clock.
    """
    return turn is not None and not turn.is_held(now_ms) and not turn.line and turn.fence < now_ms
