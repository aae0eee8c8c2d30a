"""All sessions of a store, or some of them, as an archive."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from miniagent_store.errors import ArchiveError
from miniagent_store.moving.archive import ArchiveReader, Counted, Header, Totals
from miniagent_store.moving.frames import FrameWriter, compression_of, read_lines
from miniagent_store.moving.lines import digest_of, end_of, lines_of
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.walking import AT_ONCE, Filters, Seen, in_order, session_ids
from miniagent_store.moving.whole import UNREADABLE, WholeSession, core_of, read_whole
from miniagent_store.store.protocol import SessionStore

Progress = Callable[[int], None]


class Export:
    """Writes an archive; each session as of one moment, not all as of the same one.

    Args:
        store: what is exported.
        filters: which sessions.
        plain: values as JSON, opened with the store's keys; otherwise as they are stored.

    Attributes:
        totals: of what was written.
        problems: sessions that are not in the archive, and why.
    """

    def __init__(self, store: SessionStore, filters: Filters, *, plain: bool) -> None:
        core = core_of(store)
        self._core, self._filters = core, filters
        self._values = PlainValues(core) if plain else None
        self.totals: Totals = Totals()
        self.problems: list[str] = []

    async def to_file(self, path: Path, progress: Progress, *, resume: bool = False) -> None:
        """Write a file; with `resume`, go on with one that was cut off, behind its last whole session.

        Raises:
            FileExistsError: there is one, and it is not to be gone on with.
            ArchiveError: it cannot be gone on with.
        """
        compress = compression_of(path.name)
        await self._core.ready()
        with Seen() as seen, _opened(path, resume=resume) as file:
            if resume and self._go_on(file, seen):
                return
            await self._write(FrameWriter(file, compress), seen, progress, begun=file.tell() > 0)
            os.fsync(file.fileno())

    async def to_stream(self, stream: BinaryIO, progress: Progress) -> None:
        """Write to a pipe."""
        await self._core.ready()
        with Seen() as seen:
            await self._write(FrameWriter(stream, lambda data: data), seen, progress, begun=False)

    def _header(self) -> Header:
        core = self._core
        return Header(
            self._values is not None,
            core.options.namespace,
            core.backend.now_ms(),
            self._filters.to_dict(),
        )

    def _go_on(self, file: BinaryIO, seen: Seen) -> bool:
        """Note what a file holds, and cut off what is not whole; whether it was complete already."""
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(0)
        reader = ArchiveReader(read_lines(file))
        here, there = self._header(), reader.header
        if (there.plain, there.namespace, there.filters) != (here.plain, here.namespace, here.filters):
            raise ArchiveError(
                f"the archive was begun {there}, not {here}; resume it as it was begun, or export to "
                "another file"
            )
        cut_at = 0
        waiting: list[Counted] = []
        try:
            for session, digest, end in reader.sessions():
                waiting.append(Counted.of(session, digest))
                if end is None:
                    continue
                for each in waiting:
                    self.totals.add(each)
                    seen.add(each.session_id)
                cut_at, waiting = end, []
        except ArchiveError:
            # What is behind the last whole session is written again.
            file.seek(cut_at)
            file.truncate()
            return False
        self.totals = reader.totals
        return True

    async def _write(self, out: FrameWriter, seen: Seen, progress: Progress, *, begun: bool) -> None:
        core, filters = self._core, self._filters
        try:
            if not begun:
                out.write([self._header().line()])
            progress(self.totals.sessions)
            async for page in session_ids(core, filters.kind):
                ids = [each for each in page if seen.add(each)]
                for start in range(0, len(ids), AT_ONCE):
                    works = [self._lines(each) for each in ids[start : start + AT_ONCE]]
                    for read in await in_order(works):
                        if read is not None:
                            session, digest, lines = read
                            out.write(lines)
                            self.totals.add(Counted.of(session, digest))
                    progress(self.totals.sessions)
            out.write([self.totals.line()])
        finally:
            out.flush()

    async def _lines(self, session_id: str) -> tuple[WholeSession, bytes, list[bytes]] | None:
        try:
            session = await read_whole(self._core, session_id)
            if session is None or not self._filters.fits(session.record):
                return None
            if self._values is not None:
                session = self._values.opened(session)
        except UNREADABLE as error:
            self.problems.append(str(error))
            return None
        lines = list(lines_of(session))
        digest = digest_of(lines)
        return session, digest, [*lines, end_of(session, digest)]


def _opened(path: Path, *, resume: bool) -> BinaryIO:
    if resume and path.exists():
        return open(path, "r+b")
    # What sessions hold is for their owner's eyes.
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))
