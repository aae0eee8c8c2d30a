"""One commit: encoded with the right key, sent under one identity, encoded anew where that is the cure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from miniagent_store.backend import Commit, CommitResult, Create, Expected, ExpectedTail, Fence
from miniagent_store.errors import (
    IdempotencyConflictError,
    KeyNotFoundError,
    SessionExistsError,
    SessionReplacedError,
)
from miniagent_store.store.coding import StandingDigests
from miniagent_store.store.draft import CommitDraft, DraftEntry
from miniagent_store.values import to_ms

if TYPE_CHECKING:
    from miniagent_store.store.core import StoreCore

# Deleted and created again under a writer's feet so often, a session has another trouble than keys.
_REPLACED_AT_MOST = 10


async def commit_draft(
    core: StoreCore,
    draft: CommitDraft,
    *,
    operation: str,
    create: Create | None,
    expected: Expected | None,
    expected_tails: tuple[ExpectedTail, ...],
    fence: Fence | None,
    commit_id: str | None,
) -> CommitResult:
    """Encode and commit; see `StoreCore.commit`."""
    session_id, coding, keys = draft.session_id, core.coding, core.keys
    last_activity_ms = None if draft.last_activity is None else to_ms(draft.last_activity)
    standing: StandingDigests = {}
    replaced = 0
    if create is not None and draft.initial_tags is not None:
        create = replace(create, tags=draft.initial_tags)
    while True:
        sealing = await keys.prepare(session_id, create)
        now_ms = core.backend.now_ms()
        with keys.sealing(session_id, sealing):
            changes = coding.encode_changes(session_id, draft.changes, now_ms, standing)
            state = tuple(coding.encode_state(session_id, change) for change in draft.state)
            metadata = (
                None if draft.metadata is None else coding.encode_metadata(session_id, draft.metadata)
            )
            initial = (
                coding.encode_metadata(session_id, draft.initial_metadata)
                if draft.initial_metadata
                else b""
            )
        identity, in_doubt = await core.identity(session_id, commit_id)
        commit = Commit(
            session_id,
            identity,
            now_ms,
            sealing.create(create, initial),
            sealing.expected(expected),
            expected_tails,
            fence,
            changes,
            state,
            metadata,
            draft.tags,
            last_activity_ms,
            core.options.max_session_size,
        )
        try:
            result = await core.send(operation, commit, in_doubt)
        except IdempotencyConflictError as error:
            if not await _is_the_same(core, draft, error, standing):
                raise
        except (SessionExistsError, SessionReplacedError) as error:
            ours = isinstance(error, SessionReplacedError) or (create is not None and create.keep_existing)
            replaced += 1
            if sealing.key is None or not ours or replaced > _REPLACED_AT_MOST:
                raise
            keys.forget(session_id)
        else:
            keys.remember(sealing, result.record)
            await keys.learn(result.record)
            return result


async def _is_the_same(
    core: StoreCore, draft: CommitDraft, error: IdempotencyConflictError, standing: StandingDigests
) -> bool:
    """Whether an entry of `draft` is the one that stands under its id, though its digest differs.

    Digests are made with keys, and keys change. If it is the same, `standing` tells its digest.
    """
    place, stored = (error.log, error.entry_id), error.digest
    if stored is None or error.seq is None or place in standing:
        return False
    entries = (each for each in draft.entries if (each.log, each.caller_id) == place)
    entry: DraftEntry | None = next(entries, None)
    if entry is None:
        return False
    context = core.coding.context(draft.session_id, "digest")
    try:
        same = core.coding.codec.digest(entry.value, context, like=stored) == stored
    except KeyNotFoundError:
        same = await _stands(core, draft.session_id, entry, error.seq)
    if same:
        standing[place] = stored
    return same


async def _stands(core: StoreCore, session_id: str, entry: DraftEntry, seq: int) -> bool:
    """Whether the entry at `seq` holds what `entry` does."""
    from miniagent_store.store.reading import read_entries

    codec = core.coding.codec
    found = await read_entries(core, session_id, entry.log, after=seq - 1, before=seq + 1)
    return any(
        each.redacted is False and codec.digest(each.value) == codec.digest(entry.value) for each in found
    )
