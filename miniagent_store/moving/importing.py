"""Sessions of an archive, or of another source, into a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from miniagent_store.backend import Record
from miniagent_store.errors import SessionExistsError, StoreError
from miniagent_store.moving.archive import ArchiveReader
from miniagent_store.moving.lines import same_content
from miniagent_store.moving.walking import AT_ONCE, Filters, in_order
from miniagent_store.moving.whole import WholeSession, core_of, read_whole
from miniagent_store.moving.writing import SessionWriter
from miniagent_store.store.protocol import SessionStore

OnConflict = Literal["fail", "skip", "replace"]


@dataclass(slots=True)
class Imported:
    """What became of the sessions that were given.

    Attributes:
        written: were written.
        replaced: of these, in the place of another session.
        unchanged: were there already, the same to the last entry.
        skipped: were there with another content, and were left.
        expired: had expired since.
        entries: of those that were written.
        problems: sessions that could not be written, and why.
    """

    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    skipped: int = 0
    expired: int = 0
    entries: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return self.written + self.unchanged + self.skipped + self.expired + len(self.problems)

    def to_dict(self) -> dict[str, Any]:
        return {
            "written": self.written,
            "replaced": self.replaced,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "expired": self.expired,
            "entries": self.entries,
            "problems": self.problems,
        }


class ConflictError(StoreError):
    """A session is there already, and is another one."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"session {session_id!r} is there already, with another content; choose with "
            "--on-conflict skip|replace"
        )


class Import:
    """Writes sessions into a store, each whole or not at all. Doing it again does the rest.

    Args:
        store: where to.
        namespace: of the store that the sessions come from.
        on_conflict: what to do where another session has the id: "fail" ends with a `ConflictError`, "skip"
            leaves it, "replace" removes it first: who looks in between finds none.
        sealed: take stored values that this store cannot read.
        verify: read each session back and compare it.

    Attributes:
        done: what became of the sessions so far.
    """

    def __init__(
        self,
        store: SessionStore,
        namespace: str,
        *,
        on_conflict: OnConflict = "fail",
        sealed: bool = False,
        verify: bool = False,
    ) -> None:
        self._core = core = core_of(store)
        self._on_conflict, self._verify = on_conflict, verify
        self._writer = SessionWriter(core, namespace, sealed=sealed)
        self.done: Imported = Imported()

    async def run(
        self, sessions: AsyncIterator[WholeSession], filters: Filters, progress: Callable[[int], None]
    ) -> Imported:
        """Write all sessions that `filters` fit.

        Raises:
            ConflictError: as `on_conflict` says; what was written stays.
            ArchiveError: of where the sessions come from.
        """
        await self._core.ready()
        async for chunk in _chunks(sessions, filters):
            await in_order([self._one(session) for session in chunk])
            progress(self.done.seen)
        return self.done

    async def _one(self, session: WholeSession) -> None:
        now_ms = self._core.backend.now_ms()
        session = session.at(now_ms)
        if session.is_expired(now_ms):
            self.done.expired += 1
            return
        try:
            if await self._write(session) and self._verify:
                await self._compare(session)
        except ConflictError:
            raise
        except StoreError as error:
            if error.retryable:
                raise
            self.done.problems.append(str(error))

    async def _write(self, session: WholeSession) -> bool:
        """Write a session, or do what is to be done where its id is taken; whether it was written."""
        replaced = False
        while True:
            try:
                await self._writer.write(session)
            except SessionExistsError:
                standing = await read_whole(self._core, session.id)
                if standing is None:
                    continue  # it expired or was deleted just now
                if self._same(standing, session):
                    self.done.unchanged += 1
                    return False
                if self._on_conflict == "fail":
                    raise ConflictError(session.id) from None
                if self._on_conflict == "skip":
                    self.done.skipped += 1
                    return False
                await self._delete(standing.record)
                replaced = True
                continue
            self.done.written += 1
            self.done.replaced += replaced
            self.done.entries += session.entry_count
            return True

    async def _delete(self, record: Record) -> None:
        backend = self._core.backend
        await self._core.retrying.attempt(
            "delete", record.session_id, lambda _: backend.delete(record.session_id, record.incarnation)
        )

    async def _compare(self, session: WholeSession) -> None:
        standing = await read_whole(self._core, session.id)
        if standing is None or not self._same(standing, session):
            raise StoreError(
                f"session {session.id!r} is not what was written: it was changed meanwhile, or the store "
                "does not keep what it is given"
            )

    def _same(self, standing: WholeSession, session: WholeSession) -> bool:
        """Whether a session of this store holds what `session` does.

        Raises:
            SerializationError: the standing one cannot be read.
        """
        if session.plain:
            standing = self._writer.values.opened(standing)
        now_ms = self._core.backend.now_ms()
        return same_content(standing, session, now_ms)


async def archived(reader: ArchiveReader) -> AsyncIterator[WholeSession]:
    """The sessions of an archive."""
    for session, _, _ in reader.sessions():
        yield session


async def _chunks(
    sessions: AsyncIterator[WholeSession], filters: Filters
) -> AsyncIterator[list[WholeSession]]:
    chunk: list[WholeSession] = []
    async for session in sessions:
        if filters.fits(session.record):
            chunk.append(session)
        if len(chunk) == AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
