"""A fork: record, logs and state copied out of sight, and shown at once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from miniagent_store.backend import (
    CommitResult,
    Create,
    LogRange,
    ReadPlan,
    Record,
    StagePublish,
    StageWrite,
    StateScan,
    StoredEntry,
    StoredValue,
)
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.ids import check_id, new_session_id
from miniagent_store.store.core import StoreCore
from miniagent_store.store.reading import PAGE, check_count, found
from miniagent_store.store.retrying import FIRST_BACKOFF, LAST_BACKOFF
from miniagent_store.store.session_keys import Sealing
from miniagent_store.values import MESSAGES

ATTEMPTS = 20


async def fork_session(
    core: StoreCore, session_id: str, *, upto: int | None, new_id: str | None, commit_id: str | None
) -> CommitResult:
    """Copy a session; see `SessionStore.fork`."""
    check_count(upto, "upto")
    target = new_session_id() if new_id is None else check_id(new_id)
    if target == check_id(session_id):
        raise InvalidArgumentError("a fork needs another id than the session it is made of")
    deadline = time.monotonic() + core.options.deadline
    problem: StoreError | None = None
    for attempt in range(ATTEMPTS):
        stage = secrets.token_hex(8)
        try:
            result = await _Fork(core, session_id, target, stage, upto).run(commit_id)
        except _StageLostError as error:
            problem = error.cause
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(min(FIRST_BACKOFF * 2**attempt, LAST_BACKOFF))
            continue
        except BaseException:
            await to_the_end(core.backend.discard(target, stage))
            raise
        if result is not None:
            return result
        await core.backend.discard(target, stage)
    raise problem or BackendUnavailableError(
        f"session {session_id!r} was rewritten again and again while it was copied"
    )


class _StageLostError(Exception):
    """A part may or may not have been staged: the stage is left to its TTL, and another one is begun."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__()
        self.cause = cause


class _Fork:
    """One try to copy; the source must keep its epoch meanwhile."""

    def __init__(self, core: StoreCore, source: str, target: str, stage: str, upto: int | None) -> None:
        self._core, self._source, self._target, self._stage, self._upto = core, source, target, stage, upto
        self._sealing = Sealing()

    async def run(self, commit_id: str | None) -> CommitResult | None:
        """The published fork, or None if the source was rewritten on the way."""
        core = self._core
        first = await core.read(ReadPlan(self._source, scans=(StateScan(),)))
        record = found(first, self._source)
        self._sealing = await core.keys.prepare(self._target, Create())
        values = tuple(self._rebind_value(value) for value in first.scans[0])
        await self._write(StageWrite(self._target, self._stage, values=values))
        highest = await self._version_at(record)
        bases = {log: tail.base for log, tail in record.logs.items()}
        for log in record.logs:
            async for entries in self._pages(record, log, highest):
                if entries is None:
                    return None
                kept = tuple(self._rebind_entry(log, entry) for entry in entries)
                await self._write(StageWrite(self._target, self._stage, entries=((log, kept),)))
        create = Create(
            kind=record.kind,
            user_id=record.user_id,
            agent=record.agent,
            tags=record.tags,
            ttl_ms=record.ttl_ms,
            sliding=record.sliding,
        )
        metadata = core.coding.decode_metadata(record)
        with self._encoding():
            create = self._sealing.create(create, core.coding.encode_metadata(self._target, metadata))
        limit = core.options.max_session_size if record.kind == "session" else None
        time_ms = core.backend.now_ms()
        result = await core.publish(
            "fork",
            self._target,
            commit_id,
            lambda identity, retry: core.backend.publish(
                StagePublish(
                    self._target,
                    self._stage,
                    identity,
                    time_ms,
                    create,
                    record.version + 1,
                    bases,
                    limit,
                    retry,
                )
            ),
        )
        core.keys.remember(self._sealing, result.record)
        await core.keys.learn(result.record)
        return result

    def _encoding(self) -> AbstractContextManager[None]:
        return self._core.keys.sealing(self._target, self._sealing)

    async def _version_at(self, record: Record) -> int | None:
        """The version up to which other logs are copied; None for all."""
        if self._upto is None:
            return None
        tail = record.tail(MESSAGES)
        if self._upto == 0:
            return 0
        if not tail.base < self._upto <= tail.last:
            raise InvalidArgumentError(
                f"there is no message {self._upto} in session {self._source!r} to fork at "
                f"(it holds {tail.base + 1} to {tail.last}; 0 is before the first)"
            )
        result = await self._read(record, LogRange(MESSAGES, after=self._upto - 1, before=self._upto + 1))
        # Rewritten meanwhile: what is read next says so too.
        return result[0].version if result else 0

    async def _pages(
        self, record: Record, log: str, highest: int | None
    ) -> AsyncIterator[list[StoredEntry] | None]:
        """The entries to copy, page by page; None, and no more, if the source was rewritten."""
        last = record.tail(log).last
        if log == MESSAGES and self._upto is not None:
            last, highest = min(last, self._upto), None
        seq = record.tail(log).base
        while seq < last:
            wanted = LogRange(log, after=seq, before=last + 1, limit=PAGE)
            entries = await self._read(record, wanted)
            if entries is None:
                yield None
                return
            kept = [entry for entry in entries if highest is None or entry.version <= highest]
            if kept:
                yield kept
            if len(kept) < len(entries):
                return
            seq = entries[-1].seq

    async def _read(self, record: Record, wanted: LogRange) -> Sequence[StoredEntry] | None:
        plan = ReadPlan(self._source, (wanted,), since=(record.incarnation, record.epoch))
        result = await self._core.read(plan)
        there = found(result, self._source)
        same = (there.incarnation, there.epoch) == (record.incarnation, record.epoch)
        return result.entries[0] if same else None

    async def _write(self, write: StageWrite) -> None:
        # An empty one too: a session may have nothing but its record. Not tried again: a repeated part
        # would stand twice.
        try:
            await self._core.backend.stage(write)
        except (BackendUnavailableError, OutcomeUnknownError) as error:
            raise _StageLostError(error) from error

    def _rebind_entry(self, log: str, entry: StoredEntry) -> StoredEntry:
        core = self._core
        if not core.coding.codec.bound:
            return entry
        value = core.coding.codec.decode(
            entry.payload, core.coding.entry_context(self._source, log, entry.id)
        )
        context = core.coding.entry_context(self._target, log, entry.id)
        with self._encoding():
            payload = core.coding.codec.encode(value, context)
        return entry._replace(payload=payload)

    def _rebind_value(self, value: StoredValue) -> StoredValue:
        core = self._core
        if not core.coding.codec.bound or value.payload is None:
            return value
        plain = core.coding.decode_value(self._source, value)
        with self._encoding():
            payload = core.coding.encode_value(self._target, value.name, plain)
        return replace(value, payload=payload)
