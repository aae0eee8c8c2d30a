"""Taking the last entries of a log: read, then truncated only if nothing has changed since."""

from __future__ import annotations

import time

from miniagent_store.backend import ExpectedTail, ReadPlan, Truncate
from miniagent_store.errors import OutcomeUnknownError, VersionConflictError
from miniagent_store.ids import check_id
from miniagent_store.store.core import StoreCore
from miniagent_store.store.draft import CommitDraft
from miniagent_store.store.reading import check_count, found, log_range
from miniagent_store.values import Message


async def pop(core: StoreCore, session_id: str, n: int, log: str, commit_id: str | None) -> list[Message]:
    """See `SessionStore.pop`."""
    check_count(n, "n")
    wanted = log_range(log, last=n)
    deadline = time.monotonic() + core.options.deadline
    while True:
        read = await core.read(ReadPlan(check_id(session_id), (wanted,)))
        record = found(read, session_id)
        taken = await core.coding.decode_entries(session_id, log, read.entries[0])
        if not taken:
            return []
        tail = ExpectedTail(log, record.incarnation, record.epoch, record.tail(log).last)
        try:
            result = await core.commit(
                CommitDraft(session_id, [Truncate(log, taken[0].seq - 1)]),
                operation="pop",
                expected_tails=(tail,),
                commit_id=commit_id,
            )
        except VersionConflictError:
            if time.monotonic() > deadline:
                raise
            continue
        if result.replayed and commit_id is not None and result.outcome.version <= record.version:
            raise OutcomeUnknownError(
                session_id,
                commit_id=commit_id,
                why="the entries were removed, but what they held can no longer be told",
                final=True,
            )
        return [entry.message for entry in taken]
