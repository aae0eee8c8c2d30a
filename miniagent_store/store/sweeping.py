"""A sweep: what expired is claimed, archived, told of and removed, a few sessions at a time."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Sequence

from miniagent_store.backend import Expired, LogRange, ReadPlan, StateScan
from miniagent_store.errors import KeyProviderError, SerializationError, SessionDamagedError, StoreError
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory.expiring import are_there_notes, noted
from miniagent_store.store.memory.forgetting import forget_expired
from miniagent_store.store.reading import decode_snapshot

logger: logging.Logger = logging.getLogger("miniagent_store")
# Who has claimed a session tells of it within this time, or leaves it to others.
CLAIM_SECONDS = 30.0
# So many are claimed and removed at a time; fewer where each is written elsewhere before.
PAGE, ARCHIVE_PAGE = 500, 100


async def sweep(core: StoreCore, progress: Callable[[int], None] | None = None) -> int:
    """Reclaim what expired; see `SessionStore.sweep`."""
    await core.ready()
    page = ARCHIVE_PAGE if core.hooks("session_archive") else PAGE
    total = 0
    any_to_forget = await are_there_notes(core)
    while True:
        claimed_at = time.monotonic()
        claimed = await core.retrying.attempt(
            "sweep", "", lambda _: core.backend.claim_expired(page, int(CLAIM_SECONDS * 1000))
        )
        told: list[Expired] = []
        kept = await _forget(core, claimed) if any_to_forget else frozenset[str]()
        try:
            for each in claimed:
                # Others may take them soon, and would tell of them again.
                if time.monotonic() - claimed_at > CLAIM_SECONDS / 2:
                    break
                if each.session_id in kept:
                    continue
                if await _tell(core, each):
                    told.append(each)
        finally:
            # What has been told of is removed also where the next one fails.
            await _finish(core, told)
        for each in told:
            core.keys.forget(each.session_id)
        total += len(told)
        if progress is not None and told:
            progress(total)
        if len(claimed) < page:
            break
    await core.backend.reclaim()
    return total


async def _forget(core: StoreCore, claimed: Sequence[Expired]) -> frozenset[str]:
    """Remove the memories that go with sessions; those of which they could not be removed come again."""
    due = await noted(core, [each.session_id for each in claimed if each.kind == "session"])
    kept: set[str] = set()
    for session_id, scopes in due.items():
        try:
            await forget_expired(core, session_id, scopes)
        except StoreError as error:
            logger.warning(
                "memories of session %r could not be removed, and it comes again: %s", session_id, error
            )
            kept.add(session_id)
    return frozenset(kept)


async def _finish(core: StoreCore, told: Sequence[Expired]) -> None:
    if told:
        await core.retrying.attempt("sweep", "", lambda _: core.backend.finish_expired(told))


async def _tell(core: StoreCore, expired: Expired) -> bool:
    """Archive a session and tell that it expired; whether that is done."""
    if expired.kind == "session":
        if core.hooks("session_archive") and not await _archive(core, expired):
            return False
        core.tell("session_expired", session_id=expired.session_id)
    return True


async def _archive(core: StoreCore, expired: Expired) -> bool:
    """Give a session to the archives; False if one failed, which is to be tried again."""
    session_id = expired.session_id
    try:
        record = (await core.read(ReadPlan(session_id, expired=True))).record
        if record is None or expired.incarnation not in ("", record.incarnation):
            logger.warning("session %r expired and is gone before it could be archived", session_id)
            return True
        plan = ReadPlan(
            session_id, tuple(LogRange(log) for log in record.logs), scans=(StateScan(),), expired=True
        )
        async with core.room_for(plan):
            result = await core.read(plan)
            if result.record is None or result.record.incarnation != record.incarnation:
                logger.warning("session %r expired and is gone before it could be archived", session_id)
                return True
            snapshot = await decode_snapshot(core, plan, result)
    except SessionDamagedError as error:
        logger.warning("session %r expired and cannot be archived: %s", session_id, error)
        return True
    except (SerializationError, KeyProviderError) as error:
        # Its key may be given again; until then it is kept.
        logger.warning("session %r could not be archived, and comes again: %s", session_id, error)
        return False
    try:
        for call in core.hooks("session_archive"):
            for outcome in call(session=snapshot.session, snapshot=snapshot):
                if inspect.isawaitable(outcome):
                    await outcome
    except Exception:
        logger.exception("session %r could not be archived, and comes again", session_id)
        return False
    return True
