"""Writing stored values anew with the store's own codecs and keys, while others read and write.

Each value is compared and set, so that no concurrent write is undone, and values that are as they should be
are only looked at. So a sweep that was cut short is finished by starting it again.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from miniagent_store.backend import (
    EntryRewrite,
    LogRange,
    ReadPlan,
    ReadResult,
    Record,
    Rewrite,
    RewriteResult,
    StateScan,
    ValueRewrite,
)
from miniagent_store.errors import DecodeError, SerializationError, SessionDamagedError
from miniagent_store.keys.data_keys import CACHE_OWNER, DESTROYED, wrapped_by
from miniagent_store.reencryption import DATA_KEY, Reencryption, WrittenWith
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.store.session_keys import Sealing

T = TypeVar("T")
Progress = Callable[[Reencryption], None]

# So many sessions at once hide the round trips of a server without crowding out others' commits.
_AT_ONCE = 8
_PAGE = 200
# A session is looked at again while others change it; each pass catches up with all but the last changes.
_PASSES = 20
_PROBLEMS_SHOWN = 100
# After so many bytes encoded other tasks get a turn.
_BYTES_A_TURN = 128 * 1024


class Sweep:
    """One walk over everything that a store holds.

    Args:
        core: of the store.
        write: write anew what is not as it should be; otherwise only look.
        progress: told after each page of sessions and of cached values.
    """

    def __init__(self, core: StoreCore, *, write: bool, progress: Progress | None) -> None:
        self._core, self._write, self._progress = core, write, progress
        self._codec = core.coding.codec
        self._in_use: Counter[WrittenWith] = Counter()
        self._sessions = self._values = self._rewritten = self._failed = 0
        self._problems: list[str] = []

    async def run(self) -> Reencryption:
        """Walk once over all sessions of all kinds, and over what is cached."""
        core = self._core
        await core.ready()
        await core.place.ready()
        await core.fetch_cache_key()
        for kind in await self._ask(core.backend.kinds):
            async for page in self._pages_of(kind):
                for start in range(0, len(page), _AT_ONCE):
                    chunk = page[start : start + _AT_ONCE]
                    await asyncio.gather(*(self._session(session_id) for session_id in chunk))
                    self._tell()
        await self._cache()
        self._tell()
        return self._report()

    def _report(self) -> Reencryption:
        return Reencryption(
            self._sessions,
            self._values,
            self._rewritten,
            dict(self._in_use),
            self._failed,
            tuple(self._problems),
        )

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._report())

    def _fail(self, error: Exception) -> None:
        self._failed += 1
        if len(self._problems) < _PROBLEMS_SHOWN:
            self._problems.append(str(error))

    async def _pages_of(self, kind: str) -> AsyncIterator[list[str]]:
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            page_of = functools.partial(self._core.backend.session_ids, kind, cursor, _PAGE)
            ids, cursor = await self._ask(page_of)
            # Pages may overlap: what was seen in the last one is not looked at again.
            yield [each for each in ids if each not in seen]
            seen = set(ids)
            if cursor is None:
                return

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._core.retrying.attempt("reencrypt", "", lambda _: call())

    # One session

    async def _session(self, session_id: str) -> None:
        passes = 0
        while True:
            passes += 1
            walk = _SessionWalk(self._core, session_id, write=self._write)
            try:
                await walk.run()
            except (SerializationError, SessionDamagedError) as error:
                # Of the session as a whole; the rest of the store goes on.
                self._fail(error)
                return
            self._rewritten += walk.rewritten
            if not walk.changed_meanwhile or passes == _PASSES:
                break
        if walk.found:
            self._sessions += 1
        self._values += walk.in_use.total()
        self._in_use.update(walk.in_use)
        for problem in walk.problems:
            self._fail(problem)

    # What is cached

    async def _cache(self) -> None:
        cursor: str | None = None
        while True:
            page_of = functools.partial(self._core.place.backend.cache_scan, cursor, _PAGE)
            page, cursor = await self._ask(page_of)
            for key, data in page:
                try:
                    await self._cached(key, data)
                except SerializationError as error:
                    self._fail(error)
            self._tell()
            if cursor is None:
                return

    async def _cached(self, key: str, data: bytes) -> None:
        context = self._core.coding.cache_context(key)
        if self._write and not self._codec.is_current(data, context):
            new = self._codec.encode(self._codec.decode(data, context), context)
            if await self._ask(lambda: self._core.place.backend.cache_replace(key, data, new)):
                self._rewritten += 1
                data = new
        self._values += 1
        self._in_use[_written_with(self._core, data, CACHE_OWNER)] += 1


class _SessionWalk:
    """One pass over one session.

    Attributes:
        found: whether there is such a session.
        rewritten: how many values were.
        in_use: how many values are written with what, afterwards.
        changed_meanwhile: others changed what was to be written anew: it takes another pass.
        problems: values that cannot be read.
    """

    def __init__(self, core: StoreCore, session_id: str, *, write: bool) -> None:
        self._core, self._id, self._write = core, session_id, write
        self.found = self.changed_meanwhile = False
        self.rewritten = 0
        self.in_use: Counter[WrittenWith] = Counter()
        self.problems: list[SerializationError] = []
        self._sealing = Sealing()
        self._encoded = 0

    async def run(self) -> None:
        core, session_id = self._core, self._id
        if self._write:
            # Gives a session a data key that should have one.
            self._sealing = await core.keys.prepare(session_id, None)
        read = await core.read(ReadPlan(session_id, scans=(StateScan(limit=_PAGE),)))
        if read.record is None:
            return
        self.found = True
        await self._record(read.record)
        await self._state(read)
        for log, tail in read.record.logs.items():
            await self._log(read.record, log, tail.base)

    async def _record(self, record: Record) -> None:
        coding = self._core.coding
        metadata = data_key = None
        if record.metadata:
            metadata = await self._anew(record.metadata, coding.context(self._id, "metadata"))
        if record.data_key and record.data_key != DESTROYED:
            rewrapped = await self._core.keys.rewrap(record) if self._write else None
            data_key = None if rewrapped is None else (record.data_key, rewrapped)
            name = wrapped_by(record.data_key if rewrapped is None else rewrapped)
            self.in_use[WrittenWith("wrapped", name)] += 1
        await self._replace(record, Rewrite(self._id, record.incarnation, metadata, data_key=data_key))

    async def _state(self, read: ReadResult) -> None:
        record, page = read.record, read.scans[0]
        assert record is not None
        seen = ""
        while page:
            changes: list[ValueRewrite] = []
            for value in page:
                if value.payload is None or value.name == seen:
                    continue
                context = self._core.coding.context(self._id, f"state:{value.name}")
                pair = await self._anew(value.payload, context)
                if pair is not None:
                    changes.append(ValueRewrite(value.name, *pair))
            await self._replace(record, Rewrite(self._id, record.incarnation, values=tuple(changes)))
            if len(page) < _PAGE:
                return
            seen = page[-1].name
            read = await self._core.read(ReadPlan(self._id, scans=(StateScan(start=seen, limit=_PAGE),)))
            page = read.scans[0] if read.record is not None else ()

    async def _log(self, record: Record, log: str, after: int) -> None:
        while True:
            read = await self._core.read(ReadPlan(self._id, (LogRange(log, after=after, limit=_PAGE),)))
            if read.record is None or not read.entries[0]:
                return
            changes: list[EntryRewrite] = []
            for entry in read.entries[0]:
                context = self._core.coding.entry_context(self._id, log, entry.id)
                pair = await self._anew(entry.payload, context)
                if pair is not None:
                    changes.append(EntryRewrite(log, entry.seq, entry.id, *pair))
            await self._replace(record, Rewrite(self._id, record.incarnation, entries=tuple(changes)))
            after = read.entries[0][-1].seq
            if len(read.entries[0]) < _PAGE:
                return

    async def _anew(self, data: bytes, context: Context) -> tuple[bytes, bytes] | None:
        """What stands and what should stand instead; None if it is as it should be, or cannot be read."""
        codec, keys = self._core.coding.codec, self._core.keys
        try:
            if self._write:
                with keys.sealing(self._id, self._sealing):
                    if not codec.is_current(data, context):
                        new = codec.encode(codec.decode(data, context), context)
                        self.in_use[_written_with(self._core, new, self._id)] += 1
                        return data, new
            self.in_use[_written_with(self._core, data, self._id)] += 1
        except SerializationError as error:
            self.problems.append(error)
        finally:
            await self._give_way(len(data))
        return None

    async def _give_way(self, size: int) -> None:
        self._encoded += size
        if self._encoded > _BYTES_A_TURN:
            self._encoded = 0
            await asyncio.sleep(0)

    async def _replace(self, record: Record, change: Rewrite) -> None:
        asked = change.parts
        if not asked:
            return

        async def once(_: bool) -> RewriteResult:
            return await self._core.backend.rewrite(change)

        result = await self._core.retrying.attempt("reencrypt", record.session_id, once)
        self.rewritten += result.replaced
        self.changed_meanwhile |= result.replaced < asked


def _written_with(core: StoreCore, data: bytes, owner: str) -> WrittenWith:
    """What stored bytes say they were written with."""
    try:
        info = core.coding.codec.describe(data)
    except DecodeError as error:
        return WrittenWith(error.reason)
    is_own = info.key_id is not None and info.key_id == core.keys.data_key_id(owner)
    return WrittenWith(str(info), DATA_KEY if is_own else info.key_id or "")
