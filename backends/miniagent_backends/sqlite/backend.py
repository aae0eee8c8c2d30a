"""The SQLite backend: the contract of `Backend`, done by two threads."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from miniagent_backends.sqlite import (
    changes,
    counting,
    erasing,
    examining,
    keyvalue,
    leases,
    listing,
    rewriting,
    sessions,
    staging,
    sweeping,
)
from miniagent_backends.sqlite.lines import Lines
from miniagent_backends.sqlite.location import Location
from miniagent_backends.sqlite.reading import Reader
from miniagent_backends.sqlite.repairing import Repairing
from miniagent_backends.sqlite.schema import SCHEMA_VERSION
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_backends.sqlite.watching import EVERYTHING, Subscriptions, Wake
from miniagent_backends.sqlite.worker import Worker
from miniagent_backends.sqlite.writing import Writer
from miniagent_store.backend import (
    Backend,
    BackendOptions,
    BackendStats,
    CacheItem,
    Capabilities,
    Change,
    Commit,
    CommitIdentity,
    CommitResult,
    Expired,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    ListQuery,
    ListResult,
    RateResult,
    RateStep,
    ReadPlan,
    ReadResult,
    Record,
    Rewrite,
    RewriteResult,
    StagePublish,
    StageWrite,
    Subscription,
    Topic,
)
from miniagent_store.errors import (
    CapacityError,
    SessionExistsError,
    StoreClosedError,
    WrongLoopError,
)
from miniagent_store.repair_report import RepairReport
from miniagent_store.rules import Growth, Hits
from miniagent_store.url import StoreURL
from miniagent_store.values import Finding

T = TypeVar("T")
logger: logging.Logger = logging.getLogger("miniagent_store")

# With less than this a commit of usual size does not fit any more.
LEAST_FREE = 256 * 1024


class SqliteBackend(Backend):
    """Sessions in a SQLite file, shared by all processes of one machine.

    One thread writes: whatever waits goes into one transaction, undone one by one where it fails, and is
    answered when that is on disk. Another reads beside it.
    """

    name = "sqlite"
    capabilities: Capabilities = Capabilities(durable=True, shared=True)
    location: Location

    def __init__(self, location: Location, options: BackendOptions) -> None:
        self.location, self._options = location, options
        self._subscriptions = Subscriptions()
        self._lines = Lines(self._read, self._subscriptions)
        self._workers: tuple[Worker, Worker] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._growth, self._hits = Growth(options.cache_max_size), Hits()
        self._noting: set[asyncio.Task[None]] = set()

    @classmethod
    def from_url(cls, url: StoreURL, options: BackendOptions) -> SqliteBackend:
        """The backend for ``sqlite:///relative.db`` or ``sqlite:////absolute.db``. No I/O."""
        return cls(Location.of(url, options), options)

    def __repr__(self) -> str:
        return f"SqliteBackend({self.location.path!r})"

    @property
    def transactions(self) -> int:
        """How many transactions have been committed."""
        return self._writer.transactions

    async def open(self) -> None:
        namespace, deadline = self._options.namespace, self._options.deadline
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self._writer = Writer(self.location, namespace, deadline, self._subscriptions)
        reader = Reader(self.location, namespace, deadline)
        self._workers = (
            Worker("miniagent-sqlite-writer", self._writer, deadline, self._wake),
            Worker("miniagent-sqlite-reader", reader, deadline, self._wake),
        )
        try:
            for worker in self._workers:
                await worker.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._workers is None or os.getpid() != self._pid:
            return  # after a fork the threads are the parent's
        await self._end_noting()
        await self._lines.close()
        workers, self._workers = self._workers, None
        self._subscriptions.clear()
        # The reader first: the last connection to leave moves the log into the file.
        try:
            await workers[1].close()
        finally:
            await workers[0].close()

    def now_ms(self) -> int:
        return now_ms()

    # Sessions

    async def commit(self, commit: Commit) -> CommitResult:
        return await self._write(
            lambda transaction: sessions.commit(transaction, commit),
            commit.session_id,
            commit.identity,
            guarded=not sessions.only_appends(commit),
        )

    async def read(self, plan: ReadPlan) -> ReadResult:
        return await self._read(lambda transaction: sessions.read(transaction, plan), plan.session_id)

    async def touch(self, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
        return await self._write(
            lambda transaction: sessions.touch(transaction, session_id, ttl_ms, keep_ttl), session_id
        )

    async def list(self, query: ListQuery) -> ListResult:
        return await self._read(lambda transaction: listing.list_sessions(transaction, query))

    async def delete(self, session_id: str, incarnation: str | None = None) -> bool:
        return await self._write(
            lambda transaction: sessions.delete(transaction, session_id, incarnation), session_id
        )

    async def stage(self, write: StageWrite) -> None:
        await self._write(lambda transaction: staging.stage(transaction, write), write.session_id)

    async def publish(self, publish: StagePublish) -> CommitResult:
        result = await self._write(
            lambda transaction: staging.publish(transaction, publish), publish.session_id, publish.identity
        )
        if isinstance(result, SessionExistsError):
            raise result
        return result

    async def discard(self, session_id: str, stage: str) -> None:
        await self._write(lambda transaction: staging.discard(transaction, session_id, stage), session_id)

    # Leases

    async def acquire(self, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
        return await self._write(lambda transaction: leases.acquire(transaction, request), request.name)

    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        return await self._write(
            lambda transaction: leases.renew(transaction, request, fence), request.name
        )

    async def release(self, request: LeaseRequest, fence: int) -> bool:
        return await self._write(
            lambda transaction: leases.release(transaction, request, fence), request.name
        )

    # Cache and rate limits

    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        found = await self._read(lambda transaction: keyvalue.cache_get(transaction, keys))
        hits = (key for key, value in zip(keys, found, strict=True) if value is not None)
        used = self._hits.worth_noting(hits, self.now_ms())
        if used:
            # Nobody waits for it: a hit costs no writing.
            task = asyncio.create_task(self._write(partial(keyvalue.cache_used, keys=used)))
            self._noting.add(task)
            task.add_done_callback(self._noted)
        return found

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._noting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("hits of the cache were not noted: %s", task.exception())

    async def _end_noting(self) -> None:
        if self._noting:
            await asyncio.wait(self._noting)

    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        limit = self._growth.over(sum(item.size for item in items))
        await self._write(lambda transaction: keyvalue.cache_set(transaction, items, limit))

    async def cache_delete(self, keys: Sequence[str]) -> int:
        return await self._write(lambda transaction: keyvalue.cache_delete(transaction, keys))

    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        return await self._write(lambda transaction: keyvalue.cache_clear(transaction, prefix, tag))

    async def rate_limit(self, step: RateStep) -> RateResult:
        return await self._write(lambda transaction: keyvalue.rate_limit(transaction, step), step.key)

    async def rate_reset(self, key: str) -> None:
        await self._write(lambda transaction: keyvalue.rate_reset(transaction, key), key)

    # Watching

    async def subscribe(self, topic: Topic) -> Subscription:
        writer, _ = self._running()
        subscription = self._subscriptions.add(topic, self._options.namespace)
        writer.kick()  # it may have been asleep for good, since no one watched
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscriptions.remove(topic, subscription, self._options.namespace)

    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        return await self._read(lambda transaction: changes.changes(transaction, after, limit))

    # Writing stored bytes anew

    async def kinds(self) -> Sequence[str]:
        return await self._read(rewriting.kinds)

    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        return await self._read(lambda transaction: rewriting.session_ids(transaction, kind, cursor, limit))

    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        return await self._write(
            lambda transaction: rewriting.rewrite(transaction, rewrite), rewrite.session_id
        )

    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        return await self._read(lambda transaction: rewriting.cache_scan(transaction, cursor, limit))

    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        return await self._write(
            lambda transaction: rewriting.cache_replace(transaction, key, old, new), key
        )

    # Tenants

    def within(self, namespace: str) -> Backend:
        from miniagent_backends.sqlite.tenants import SqliteTenant

        return SqliteTenant(self, namespace)

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        return await self._write(lambda transaction: erasing.erase(transaction, limit))

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        return await self._read(lambda transaction: erasing.namespaces(transaction, cursor, limit))

    # Running it

    async def ping(self) -> dict[str, Any]:
        # An empty transaction of the writer: it takes the lock that a commit needs, and writes nothing.
        details = await self._write(lambda transaction: self._details())
        return {**details, "locks": await self._read(leases.count)}

    async def approach(self) -> Sequence[Finding]:
        return await asyncio.to_thread(examining.approach, self.location)

    async def examine(self, sample: int | None) -> Sequence[Finding]:
        return await asyncio.to_thread(examining.examine, self.location, self._options.namespace, sample)

    async def stats(self) -> BackendStats:
        return await self._read(counting.stats)

    async def count(self, query: ListQuery) -> int:
        return await self._read(lambda transaction: counting.count(transaction, query))

    async def count_expiring(self, until_ms: int) -> int | None:
        return await self._read(lambda transaction: counting.count_expiring(transaction, until_ms))

    # Cleaning up

    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        return await self._write(lambda transaction: sweeping.claim_sessions(transaction, limit, claim_ms))

    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        # A little in each transaction, so that commits go on in between.
        left = expired
        while left:
            step = await self._write(partial(sweeping.finish_sessions, expired=left))
            left = left[step.done :]

    async def repair(
        self,
        report: RepairReport,
        *,
        salvage: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        repairing = Repairing(self._read, self._write, report, salvage=salvage, dry_run=dry_run)
        await repairing.run(progress)

    async def reclaim(self) -> None:
        for sweep in (sweeping.sweep_values, sweeping.sweep_stages, sweeping.sweep_rest):
            while (await self._write(sweep)).more:
                pass

    # Inside

    def _wake(self, woken: Iterable[Wake]) -> None:
        self._subscriptions.wake(woken)
        if EVERYTHING in woken:
            self._lines.look()

    def _details(self) -> dict[str, Any]:
        path = self.location.path
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        if free < LEAST_FREE:
            raise CapacityError(f"the disk of {path} is full ({free} bytes are free); make room")
        return {
            "path": path,
            "size": os.path.getsize(path),
            "wal_size": os.path.getsize(self.location.wal),
            "free": free,
            "schema_version": SCHEMA_VERSION,
            "synchronous": self.location.synchronous,
            "sqlite_version": sqlite3.sqlite_version,
        }

    def _running(self) -> tuple[Worker, Worker]:
        if os.getpid() != self._pid:
            raise WrongLoopError(f"a store on {self.location.path} that was opened before a fork")
        if self._workers is None:
            raise StoreClosedError(f"the store on {self.location.path}")
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError(f"a store on {self.location.path}")
        return self._workers

    async def _write(
        self,
        work: Callable[[Transaction], T],
        subject: str = "",
        identity: CommitIdentity | None = None,
        guarded: bool = True,
    ) -> T:
        writer, _ = self._running()
        return await writer.run(work, subject, identity, guarded)

    async def _read(self, work: Callable[[Transaction], T], subject: str = "") -> T:
        _, reader = self._running()
        return await reader.run(work, subject)
