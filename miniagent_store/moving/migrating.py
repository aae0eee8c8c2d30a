"""All sessions of a store into another one, while the first is in use: copy, catch up, verify.

A session is copied whole, and copied anew when its record has another token. The journal tells which copies
are ours; what stands in the target and is not is never changed, nor is what was written there afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.backend import ReadPlan, Record
from miniagent_store.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    SessionExistsError,
    StoreError,
)
from miniagent_store.keys.data_keys import CACHE_OWNER_KIND
from miniagent_store.moving.journal import Copied, Journal
from miniagent_store.moving.sides import Sides
from miniagent_store.moving.walking import few_at_once, session_ids
from miniagent_store.moving.whole import UNREADABLE, core_of, read_whole
from miniagent_store.moving.writing import SessionWriter
from miniagent_store.store.protocol import SessionStore

_PAGE = 400
# Others tell of what they wrote within a second.
_QUIET_SECONDS = 1.5
_PATIENCE_SECONDS = 30.0
_CURSOR = "cursor"
_NOT_OURS = "is in the target already, with another content; this migration did not write it"


@dataclass(slots=True)
class Progress:
    """How far a migration is.

    Attributes:
        doing: "copying", "catching up" or "verifying".
        sessions: looked at in this step.
        total: about how many there are.
        copied: sessions that were copied, again and again counted, in all steps.
        entries: of these.
        deleted: copies that were removed, since their sessions are gone.
        verified: sessions that are equal on both sides.
        digest: over all that were verified, in order of their ids.
    """

    doing: str = "copying"
    sessions: int = 0
    total: int = 0
    copied: int = 0
    entries: int = 0
    deleted: int = 0
    verified: int = 0
    verified_entries: int = 0
    digest: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "copied": self.copied,
            "entries": self.entries,
            "deleted": self.deleted,
            "verified": self.verified,
            "verified_entries": self.verified_entries,
            "sha256": self.digest,
            "problems": list(self.problems.values()),
        }


class StillWrittenError(StoreError):
    """The source of a migration is still written to."""


class Migration:
    """A migration, begun or gone on with.

    Args:
        source, target: the stores; nobody else writes to the target.
        journal: of this migration.
        sealed: copy stored bytes as they are, also where they cannot be read for lack of keys.
        tell: called again and again with how far it is.
    """

    def __init__(
        self,
        source: SessionStore,
        target: SessionStore,
        journal: Journal,
        *,
        sealed: bool = False,
        tell: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._source, self._target = core_of(source), core_of(target)
        self._journal, self._tell = journal, tell
        self._writer = SessionWriter(self._target, self._source.options.namespace, sealed=sealed)
        self._sides = Sides(self._source, self._target, sealed=sealed)
        self.progress: Progress = Progress()

    # The steps

    async def copy(self) -> None:
        """Copy all sessions; those that were copied before, and have not changed, are only looked at."""
        await self._ready()
        self._begin("copying", sum((await self._source.backend.stats()).sessions.values()))
        if self._journal.fact(_CURSOR) is None:
            # What changes from now on is caught up with.
            self._journal.note(_CURSOR, await self._cursor_of_now())
        async for page in session_ids(self._source):
            await self._bring(page)

    async def catch_up(self) -> int:
        """Copy what has changed, until only what changed just now is left; how many sessions."""
        await self._ready()
        self._begin("catching up", 0)
        while True:
            changed, cursor = await self._changed()
            await self._bring(changed)
            self._journal.note(_CURSOR, cursor)
            if len(changed) < _PAGE:
                return self.progress.sessions

    async def finish(self, *, quiet: float = _QUIET_SECONDS) -> None:
        """With all writers stopped: look at every session once more, and compare every copy with it.

        Args:
            quiet: seconds without a change in the source, before and after it is compared.

        Raises:
            StillWrittenError: the source is written to.
        """
        await self._ready()
        self._journal.note(_CURSOR, await self._cursor_of_now())
        total = sum((await self._source.backend.stats()).sessions.values())
        self._begin("catching up", total)
        async for page in session_ids(self._source):
            await self._bring(page)
        await self._wait_until_quiet(quiet)
        self._begin("verifying", len(self._journal))
        await self._verify()
        await asyncio.sleep(quiet)
        changed, _ = await self._changed()
        if changed:
            raise _still_written(changed[0])

    async def _wait_until_quiet(self, quiet: float) -> None:
        deadline = time.monotonic() + quiet + _PATIENCE_SECONDS
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < quiet:
            changed, cursor = await self._changed()
            if not changed:
                await asyncio.sleep(min(0.2, quiet))
                continue
            if time.monotonic() > deadline:
                raise _still_written(changed[0])
            await self._bring(changed)
            self._journal.note(_CURSOR, cursor)
            quiet_since = time.monotonic()

    async def _ready(self) -> None:
        await self._source.ready()
        await self._target.ready()

    def _begin(self, doing: str, total: int) -> None:
        self.progress.doing, self.progress.sessions, self.progress.total = doing, 0, total
        self._tell(self.progress)

    async def _changed(self) -> tuple[list[str], str]:
        """Ids of sessions that changed since the journal's cursor, and the cursor after them."""
        backend, after = self._source.backend, self._journal.fact(_CURSOR)
        changes, cursor = await self._source.retrying.attempt(
            "changes", "", lambda _: backend.changes(after, _PAGE)
        )
        return [each.session_id for each in changes], cursor

    async def _cursor_of_now(self) -> str:
        backend = self._source.backend
        _, cursor = await self._source.retrying.attempt("changes", "", lambda _: backend.changes(None, 1))
        return cursor

    # Copying

    async def _bring(self, page: Iterable[str]) -> None:
        """Make the copies of these sessions what the sessions are."""
        ids = list(dict.fromkeys(page))
        known = self._journal.find(ids)
        wanted = [each async for each in few_at_once(self._look(each, known.get(each)) for each in ids)]
        to_do = [each for each in wanted if each is not None]
        # Told before copies are begun: whatever stands there afterwards is ours.
        self._journal.write(to_do)
        to_copy = [each.session_id for each in to_do if not each.done]
        self.progress.sessions += len(ids) - len(to_copy)
        self._tell(self.progress)
        done: list[Copied] = []
        gone: list[str] = []
        works = (self._copy(each, clear=each in known) for each in to_copy)
        async for copied in few_at_once(works):
            if isinstance(copied, Copied):
                done.append(copied)
            else:
                gone.append(copied)
            self.progress.sessions += 1
            self._tell(self.progress)
        self._journal.write(done)
        self._journal.forget(gone)

    async def _look(self, session_id: str, known: Copied | None) -> Copied | None:
        """What is to be done about a session: copy it, take note of a copy, or nothing."""
        self.progress.problems.pop(session_id, None)
        if known is not None and not known.done:
            return known
        try:
            return await self._compare_records(session_id, known)
        except UNREADABLE as error:
            self._fail(session_id, f"cannot be read: {error}")
            return None

    async def _compare_records(self, session_id: str, known: Copied | None) -> Copied | None:
        record, standing = await self._sides.records(session_id)
        if record is not None and record.kind == CACHE_OWNER_KIND:
            return None
        if known is None:
            if record is None or standing is None:
                return None if record is None else Copied(session_id)
            return await self._adopt(session_id)
        if standing is not None and not _is_copy(standing, known):
            self._fail(session_id, "was written to in both places; which one is right is for you to say")
            return None
        if record is not None and standing is not None and record.token == known.source_token:
            return None
        return Copied(session_id)

    async def _adopt(self, session_id: str) -> Copied | None:
        """Take note of what stands in the target already, if it is the same."""
        session, standing = await self._sides.both(session_id)
        if session is None:
            return None
        if standing is None:
            return Copied(session_id)
        if session.record.incarnation == standing.record.incarnation:
            raise ConfigurationError("source and target of a migration are the same store; name another")
        if self._sides.digest_of_both(session, standing) is None:
            self._fail(session_id, _NOT_OURS)
            return None
        return _copied(session.record, standing.record)

    async def _copy(self, session_id: str, *, clear: bool) -> Copied | str:
        """Make a copy; only the id where the session is gone, or cannot be copied.

        Args:
            session_id: the session.
            clear: there may be a copy, which is removed.
        """
        while True:
            try:
                session = await read_whole(self._source, session_id)
                carried = None if session is None else self._sides.carried(session)
                if clear:
                    await self._remove(session_id, gone=session is None)
                if session is None or carried is None:
                    return session_id
                record = await self._writer.write(carried.at(self._source.backend.now_ms()))
            except SessionExistsError:
                if clear:
                    continue
                self._fail(session_id, _NOT_OURS)
                return session_id
            except OutcomeUnknownError:
                raise  # the journal knows that it may be there
            except StoreError as error:
                if error.retryable:
                    raise
                self._fail(session_id, f"cannot be copied: {error}")
                return session_id
            self.progress.copied += 1
            self.progress.entries += session.entry_count
            return _copied(session.record, record)

    async def _remove(self, session_id: str, *, gone: bool) -> None:
        """Remove a copy, if there is one."""
        core = self._target
        copy = (await core.read(ReadPlan(session_id))).record
        if copy is None:
            return
        await core.retrying.attempt(
            "delete", session_id, lambda _: core.backend.delete(session_id, copy.incarnation)
        )
        self.progress.deleted += gone

    # Comparing

    async def _verify(self) -> None:
        """Compare every copy with its session; what differs is copied again, and compared once more."""
        total = hashlib.sha256()
        self.progress.verified = self.progress.verified_entries = 0
        for page in self._journal.pages():
            works = (self._compare(each) for each in page)
            compared = [each async for each in few_at_once(works)]
            for session_id, equal in zip(page, compared, strict=True):
                if equal is None:
                    equal = await self._again(session_id)
                if equal is not None:
                    digest, entries = equal
                    total.update(digest)
                    self.progress.verified += 1
                    self.progress.verified_entries += entries
            self.progress.sessions += len(page)
            self._tell(self.progress)
        self.progress.digest = total.hexdigest()

    async def _compare(self, session_id: str) -> tuple[bytes, int] | None:
        """The fingerprint and the number of entries of a session that is equal on both sides."""
        try:
            session, standing = await self._sides.both(session_id)
            if session is None or standing is None:
                return None
            digest = self._sides.digest_of_both(session, standing)
            return None if digest is None else (digest, session.entry_count)
        except UNREADABLE as error:
            self._fail(session_id, f"cannot be compared: {error}")
            return None

    async def _again(self, session_id: str) -> tuple[bytes, int] | None:
        await self._bring([session_id])
        if session_id in self.progress.problems or not self._journal.find([session_id]):
            return None
        compared = await self._compare(session_id)
        if compared is None and (await self._sides.records(session_id))[0] is not None:
            self._fail(session_id, "differs from its copy; run it again")
        return compared

    def _fail(self, session_id: str, why: str) -> None:
        self.progress.problems[session_id] = f"session {session_id!r} {why}"


def _still_written(session_id: str) -> StillWrittenError:
    return StillWrittenError(
        f"the source is still written to: session {session_id!r} has changed; stop all its writers, and "
        "run the same command again"
    )


def _is_copy(standing: Record, known: Copied) -> bool:
    """Whether nothing was written to a copy since; being touched is no writing."""
    return (standing.incarnation, standing.token[:16]) == (known.incarnation, known.token[:16])


def _copied(source: Record, target: Record) -> Copied:
    return Copied(source.session_id, source.token, target.incarnation, target.token)
