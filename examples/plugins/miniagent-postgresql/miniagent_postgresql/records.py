"""Records as rows, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from miniagent_store.backend import LogTail, Outcome, Record
from miniagent_store.errors import SessionDamagedError
from miniagent_store.rules import LeaseRow, WriterWindow

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
    "lock_fence",
    "messages",
    "tags",
    "logs",
    "resets",
    "metadata",
    "data_key",
)
COLUMNS = ", ".join(f"sessions.{name}" for name in (*FIXED, *CHANGING))


def record_of(row: Sequence[Any]) -> Record:
    """The record of a row of `COLUMNS`.

    Raises:
        SessionDamagedError: the row holds something else.
    """
    fields = dict(zip((*FIXED, *CHANGING), row, strict=True))
    session_id = fields.pop("id")
    del fields["messages"]
    try:
        fields["tags"] = tuple(fields["tags"])
        fields["logs"] = tails_of(fields["logs"])
        fields["resets"] = tuple((epoch, lowest) for epoch, lowest in fields["resets"])
        return Record(session_id=session_id, **fields)
    except (ValueError, TypeError, AttributeError) as error:
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
        record.lock_fence,
        record.message_count,
        list(record.tags),
        pack_tails(record.logs),
        json.dumps(record.resets),
        record.metadata,
        record.data_key,
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


def pack_tails(logs: Mapping[str, LogTail]) -> str:
    """Extents of logs, for a row."""
    return json.dumps({log: (tail.base, tail.count) for log, tail in logs.items()})


def tails_of(logs: Mapping[str, Sequence[int]]) -> dict[str, LogTail]:
    """Extents of logs, from a row."""
    return {log: LogTail(base, count) for log, (base, count) in logs.items()}


def pack_window(window: WriterWindow) -> str:
    """Outcomes, for a row."""
    return json.dumps(
        [
            (counter, each.version, each.sequences, each.kept_out, each.counters)
            for counter, each in window.outcomes
        ]
    )


def window_of(stamp_ms: int, outcomes: Sequence[Any]) -> WriterWindow:
    """A writer's window, from a row."""
    return WriterWindow(
        stamp_ms,
        tuple(
            (counter, Outcome(version, tuple(sequences), tuple(kept_out), tuple(counters)))
            for counter, version, sequences, kept_out, counters in outcomes
        ),
    )


def lease_of(row: Sequence[Any]) -> LeaseRow:
    """A turn or a lock, from a row."""
    owner, fence, until_ms, holder, line = row
    return LeaseRow(owner, fence, until_ms, holder, tuple((who, until) for who, until in line))
