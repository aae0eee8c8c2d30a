"""A thorough look at a store that is open: its backend, and what can be seen of any backend from above."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from statistics import median

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

# About how many sessions are looked at; of each of them the ends of its logs.
SAMPLE = 200
ENDS = 3
ROUNDS = 5
# Seconds of a round trip, and between two clocks, that are worth a warning.
SLOW, APART = 0.1, 1.0
SHOWN = 3


async def examine(core: StoreCore, sample: int | None) -> list[Finding]:
    """All that can be seen of a store that is ready.

    Args:
        core: of the store.
        sample: about how many sessions to look at; None for all.
    """
    found = await _looked("backend", lambda: core.backend.examine(sample))
    found += await _looked("latency", lambda: _latency(core))
    found += _clock(core)
    found += _kept(core)
    found += await _looked("values", lambda: _Values(core).examine(sample))
    if core.place is not core:
        found += await _looked("cache", lambda: _cache(core.place, sample))
    return found


async def _looked(check: str, look: Callable[[], Awaitable[Sequence[Finding]]]) -> list[Finding]:
    try:
        return list(await look())
    except StoreError as error:
        return [Finding.of(error, check)]


async def _latency(core: StoreCore) -> list[Finding]:
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await core.backend.ping()
        times.append(time.perf_counter() - started)
    what = f"the store answers in {median(times) * 1000:.1f} ms, in {max(times) * 1000:.1f} at most"
    if median(times) <= SLOW:
        return [Finding("info", what, check="latency")]
    cure = "see what it is busy with, and bring it nearer: each append waits for one round trip"
    return [Finding("warning", what, cure, "latency")]


def _clock(core: StoreCore) -> list[Finding]:
    apart = core.backend.now_ms() / 1000 - time.time()
    if abs(apart) < APART:
        return [Finding("info", "the store's clock and this machine's agree", check="clock")]
    what = f"the store's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    cure = "set both by NTP: the store's clock is the one that sessions expire by"
    return [Finding("warning", what, cure, "clock")]


def _kept(core: StoreCore) -> list[Finding]:
    if core.backend.capabilities.durable:
        return []
    cure = "use sqlite:/// or redis:// for what must survive"
    return [Finding("info", "what is stored is gone when the process ends", cure, "persistence")]


async def _cache(place: StoreCore, sample: int | None) -> list[Finding]:
    """The store of ``cache_url``; without it answers are computed anew, and nothing is lost."""
    await place.ready()
    return [
        replace(
            each, level="warning" if each.level == "error" else each.level, what=f"cache_url: {each.what}"
        )
        for each in await place.backend.examine(sample)
    ]


class _Values:
    """Whether what is stored can be read with this store's serializers and keys."""

    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._written: Counter[str] = Counter()
        self._missing: Counter[str] = Counter()
        self._lacking: KeyNotFoundError | None = None
        self._problems: list[StoreError] = []
        self._sessions = self._values = self._unread = 0

    async def examine(self, sample: int | None) -> list[Finding]:
        async for session_id in self._chosen(sample):
            await self._session(session_id)
        return [*self._found()]

    async def _chosen(self, sample: int | None) -> AsyncIterator[str]:
        """The newest, the oldest, and others: a key may be missing for either end only."""
        backend, seen = self._core.backend, set[str]()
        for kind in await backend.kinds():
            if sample is not None:
                for ascending in (False, True):
                    query = ListQuery(kind, ascending=ascending, limit=max(sample // 4, 1))
                    for record in (await backend.list(query)).records:
                        if record.session_id not in seen:
                            seen.add(record.session_id)
                            yield record.session_id
            left = None if sample is None else max(sample // 2, 1)
            cursor: str | None = None
            while left is None or left > 0:
                ids, cursor = await backend.session_ids(kind, cursor, SAMPLE if left is None else left)
                for session_id in ids[:left]:
                    if session_id not in seen:
                        seen.add(session_id)
                        yield session_id
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
        seen = f"of {self._values} values in {self._sessions} sessions looked at"
        found: list[Finding] = []
        for key_id, count in self._missing.items():
            known = ", ".join(self._lacking.known) if self._lacking else ""
            found.append(
                Finding(
                    "error",
                    f"{count} {seen} are encrypted with key {key_id}, which the key ring lacks (it has: "
                    f"{known or 'none'})",
                    "put that key back into the key ring, behind the primary one; 'miniagent-store keys "
                    "check' says which keys are in use",
                    "key ring",
                )
            )
        for error in self._problems:
            cure = {
                CryptoError: "the bytes were changed, or the key ring is another store's",
                DecodeError: "see whether serializer= and accept= are those that it was written with",
            }
            advice = next((text for kind, text in cure.items() if isinstance(error, kind)), None)
            found.append(
                Finding(
                    "error", str(error), advice or "delete it, or bring it back from a backup", "values"
                )
            )
        if not self._values:
            found.append(Finding("info", "nothing is stored yet that could be read", check="values"))
        elif not self._unread:
            found.append(
                Finding(
                    "info", f"all {seen} can be read ({', '.join(sorted(self._written))})", check="values"
                )
            )
        return found
