"""Records as rows, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_store.backend import LogTail, Record
from miniagent_store.errors import SessionDamagedError

# What is set at creation, and what a commit may change.
FIXED = ("id", "kind", "user_id", "agent", "created_ms", "incarnation")
CHANGING = (
    "last_activity_ms",
    "expires_ms",
    "ttl_ms",
    "sliding",
    "version",
    "epoch",
    "state_version",
    "metadata_version",
    "token",
    "size",
    "fence",
    "tags",
    "logs",
    "resets",
    "metadata",
    "data_key",
    "lock_fence",
)
COLUMNS = ", ".join(f"sessions.{name}" for name in (*FIXED, *CHANGING))


def record_of(row: Sequence[Any]) -> Record:
    """The record of a row of `COLUMNS`.

    Raises:
        SessionDamagedError: the row holds something else.
    """
    (
        session_id,
        kind,
        user_id,
        agent,
        created_ms,
        incarnation,
        last_activity_ms,
        expires_ms,
        ttl_ms,
        sliding,
        version,
        epoch,
        state_version,
        metadata_version,
        token,
        size,
        fence,
        tags,
        logs,
        resets,
        metadata,
        data_key,
        lock_fence,
    ) = row
    try:
        return Record(
            session_id=session_id,
            kind=kind,
            user_id=user_id,
            agent=agent,
            tags=() if tags is None else tuple(msgpack.unpackb(tags)),
            created_ms=created_ms,
            last_activity_ms=last_activity_ms,
            expires_ms=expires_ms,
            ttl_ms=ttl_ms,
            sliding=bool(sliding),
            version=version,
            epoch=epoch,
            state_version=state_version,
            metadata_version=metadata_version,
            incarnation=incarnation,
            token=token,
            metadata=metadata,
            data_key=data_key or b"",
            logs=tails_of(logs),
            size=size,
            fence=fence,
            lock_fence=lock_fence,
            resets=() if resets is None else tuple((at, lowest) for at, lowest in msgpack.unpackb(resets)),
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise SessionDamagedError(session_id, part="its record", problem="cannot be read") from error


def changing_values(record: Record) -> tuple[Any, ...]:
    """The values of `CHANGING`."""
    return (
        record.last_activity_ms,
        record.expires_ms,
        record.ttl_ms,
        record.sliding,
        record.version,
        record.epoch,
        record.state_version,
        record.metadata_version,
        record.token,
        record.size,
        record.fence,
        msgpack.packb(record.tags) if record.tags else None,
        pack_tails(record.logs),
        msgpack.packb(record.resets) if record.resets else None,
        record.metadata,
        record.data_key or None,
        record.lock_fence,
    )


def fixed_values(record: Record) -> tuple[Any, ...]:
    """The values of `FIXED`."""
    return (
        record.session_id,
        record.kind,
        record.user_id,
        record.agent,
        record.created_ms,
        record.incarnation,
    )


def pack_tails(logs: Mapping[str, LogTail]) -> bytes:
    """Extents of logs, for a row."""
    packed: bytes = msgpack.packb({log: (tail.base, tail.count) for log, tail in logs.items()})
    return packed


def tails_of(packed: bytes) -> dict[str, LogTail]:
    """Extents of logs, from a row."""
    return {log: LogTail(base, count) for log, (base, count) in msgpack.unpackb(packed).items()}
