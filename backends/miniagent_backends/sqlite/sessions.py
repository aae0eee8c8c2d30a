"""Commits, reads and the like, each inside one transaction."""

from __future__ import annotations

import os

from miniagent_backends.sqlite.rows import SqlRows
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_store.backend import Append, Commit, CommitResult, ReadPlan, ReadResult, Record
from miniagent_store.rules import apply_commit, read_plan, touched
from miniagent_store.rules.rows import live_record

GUARD_BYTES = 8


def only_appends(commit: Commit) -> bool:
    """Whether nothing of a commit is written before all of it was checked."""
    return not commit.state and all(type(change) is Append for change in commit.changes)


def commit(transaction: Transaction, wanted: Commit) -> CommitResult:
    """See `Backend.commit`."""
    return apply_commit(SqlRows(transaction, wanted.session_id), wanted, now_ms())


def read(transaction: Transaction, plan: ReadPlan) -> ReadResult:
    """See `Backend.read`."""
    return read_plan(SqlRows(transaction, plan.session_id), plan, now_ms())


def touch(transaction: Transaction, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
    """See `Backend.touch`."""
    rows = SqlRows(transaction, session_id)
    record = touched(rows, session_id, ttl_ms, keep_ttl, os.urandom(GUARD_BYTES), now_ms())
    rows.save_record(record)
    return record


def delete(transaction: Transaction, session_id: str, incarnation: str | None) -> bool:
    """See `Backend.delete`. What has expired is left to the sweep, which tells of it."""
    now = now_ms()
    rows = SqlRows(transaction, session_id)
    record = live_record(rows, now)
    if record is None or (incarnation is not None and record.incarnation != incarnation):
        return False
    rows.drop()
    rows.leave_trace(record, now)
    return True
