"""Whether a sample of what is stored can be read with a store's serializers and keys."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from miniagent_store.backend import ListQuery, LogRange, ReadPlan, ReadResult, StateScan
from miniagent_store.errors import (
    CryptoError,
    DecodeError,
    KeyNotFoundError,
    SerializationError,
    SessionDamagedError,
    StoreError,
)
from miniagent_store.keys.data_keys import DESTROYED
from miniagent_store.serializer import Context
from miniagent_store.store.core import StoreCore
from miniagent_store.values import Finding

# How many values are looked at: of a session's state, and at either end of its logs.
ENDS = 3
# So many sessions at once hide the round trips.
PAGE, AT_ONCE = 200, 8
SHOWN = 3


class ReadableValues:
    """Looks at sessions, and says what of them cannot be read.

    Args:
        core: of the store.
    """

    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._written: Counter[str] = Counter()
        self._missing: Counter[str] = Counter()
        self._lacking: KeyNotFoundError | None = None
        self._problems: list[StoreError] = []
        self._seen = set[str]()
        self._sessions = self._values = self._unread = 0

    async def findings(self, sample: int | None) -> list[Finding]:
        """What was found.

        Args:
            sample: about how many sessions of each kind to look at; None for all.
        """
        async for chosen in self._chosen(sample):
            new = [each for each in dict.fromkeys(chosen) if each not in self._seen]
            self._seen.update(new)
            for at in range(0, len(new), AT_ONCE):
                await asyncio.gather(*(self._session(each) for each in new[at : at + AT_ONCE]))
        return [*self._found()]

    async def _chosen(self, sample: int | None) -> AsyncIterator[Sequence[str]]:
        """The newest, the oldest, and others: a key may be missing for either end only."""
        backend = self._core.backend
        for kind in await backend.kinds():
            left = sample
            if left is not None:
                for ascending in (False, True):
                    query = ListQuery(kind, ascending=ascending, limit=max(left // 4, 1))
                    yield [record.session_id for record in (await backend.list(query)).records]
                left = max(left // 2, 1)
            cursor: str | None = None
            while left is None or left > 0:
                ids, cursor = await backend.session_ids(kind, cursor, PAGE if left is None else left)
                yield ids[:left]
                left = None if left is None else left - len(ids)
                if cursor is None:
                    break

    async def _session(self, session_id: str) -> None:
        try:
            read = await self._core.read(ReadPlan(session_id, scans=(StateScan(limit=ENDS),)))
            record = read.record
            if record is None or record.data_key == DESTROYED:
                return
            self._sessions += 1
            ends = [
                LogRange(log, last=ENDS) if newest else LogRange(log, limit=ENDS)
                for log in record.logs
                for newest in (False, True)
            ]
            again = await self._core.read(ReadPlan(session_id, tuple(ends))) if ends else read
        except (SerializationError, SessionDamagedError) as error:
            self._note(error)
            return
        coding = self._core.coding
        if record.metadata:
            self._value(record.metadata, coding.context(session_id, "metadata"))
        for value in read.scans[0]:
            if value.payload is not None:
                self._value(value.payload, coding.context(session_id, f"state:{value.name}"))
        self._entries(session_id, ends, again)

    def _entries(self, session_id: str, ends: Sequence[LogRange], read: ReadResult) -> None:
        if read.record is None:
            return
        seen = set[bytes]()
        for end, entries in zip(ends, read.entries, strict=False):
            for entry in entries:
                if entry.id not in seen and not entry.redacted:
                    seen.add(entry.id)
                    self._value(
                        entry.payload, self._core.coding.entry_context(session_id, end.log, entry.id)
                    )

    def _value(self, data: bytes, context: Context) -> None:
        codec = self._core.coding.codec
        self._values += 1
        try:
            codec.decode(data, context)
            self._written[str(codec.describe(data))] += 1
        except (SerializationError, SessionDamagedError) as error:
            self._note(error)

    def _note(self, error: SerializationError | SessionDamagedError) -> None:
        self._unread += 1
        if isinstance(error, KeyNotFoundError):
            self._missing[str(error.key_id)] += 1
            self._lacking = error
        elif len(self._problems) < SHOWN:
            self._problems.append(error)

    def _found(self) -> Sequence[Finding]:
        looked = f"{self._values} values in {self._sessions} sessions that were looked at"
        found = [self._lacks(key_id, f"{count} of {looked}") for key_id, count in self._missing.items()]
        found += [Finding("error", str(each), _cure(each), "values") for each in self._problems]
        if not self._values:
            found.append(Finding("info", "nothing is stored yet that could be read", check="values"))
        elif not self._unread:
            what = f"{looked} can be read ({', '.join(sorted(self._written))})"
            found.append(Finding("info", what, check="values"))
        return found

    def _lacks(self, key_id: str, which: str) -> Finding:
        known = ", ".join(self._lacking.known) if self._lacking else ""
        return Finding(
            "error",
            f"{which} are encrypted with key {key_id}, not in the key ring (has {known or 'none'})",
            "put it back, behind the primary key; 'miniagent-store keys check' tells which keys are in use",
            "key ring",
        )


def _cure(error: StoreError) -> str:
    if isinstance(error, CryptoError):
        return "the bytes were changed, or the key ring is another store's: bring either back"
    if isinstance(error, DecodeError):
        return "see whether serializer= and accept= are those that it was written with"
    return "bring it back from a backup, or delete the session"
