"""The PostgreSQL backend: the contract of `Backend`, each method a transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from miniagent_postgresql import changes, cleaning, keyvalue, listing, sessions, staging
from miniagent_postgresql.health import details, findings
from miniagent_postgresql.listening import Listener, Subscriptions
from miniagent_postgresql.location import Location, topic_key
from miniagent_postgresql.pool import Pool
from miniagent_postgresql.transaction import Transaction
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
    ConnectionEvent,
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
from miniagent_store.errors import SessionExistsError, StoreClosedError, StoreError
from miniagent_store.rules import Growth, Hits, check_erasable
from miniagent_store.url import StoreURL

T = TypeVar("T")
logger = logging.getLogger("miniagent_store")
# When changes that could not be told yet are looked at again.
LOOK_AGAIN_SECONDS = 0.05
# Threads that wait for a server are cut off at the end.
STOP_SECONDS = 5.0
# So many sessions are erased between two looks at what is left.
STEP_SESSIONS = 50


class PostgresBackend(Backend):
    """Sessions in a schema of a PostgreSQL database, shared by any number of machines.

    Each method is a transaction. Those that write take an advisory lock on the session's id first, so one
    after the other changes a session, whether it is there or not.
    """

    name = "postgresql"
    capabilities = Capabilities(durable=True, shared=True)

    def __init__(self, location: Location, options: BackendOptions) -> None:
        self.location, self._options = location, options
        self._namespace = options.namespace
        self._subscriptions = Subscriptions()
        self._pool = Pool(location, options.deadline, self._subscriptions.wake)
        self._listener = Listener(location, self._subscriptions, self._pool.pids, self._told)
        self._growth, self._hits = Growth(options.cache_max_size), Hits()
        self._noting: set[asyncio.Task[None]] = set()

    @classmethod
    def from_url(cls, url: StoreURL, options: BackendOptions) -> PostgresBackend:
        """The backend for ``postgresql://user:password@host:5432/database``. No I/O."""
        return cls(Location.of(url, options), options)

    def __repr__(self) -> str:
        return f"PostgresBackend({self.location.shown!r})"

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._end_noting()
        await self._listener.close()
        workers = self._pool.close()
        self._subscriptions.wake_all()
        end = time.monotonic() + STOP_SECONDS
        for worker in workers:
            await asyncio.to_thread(worker.join, max(end - time.monotonic(), 0))
            worker.hang_up()

    def now_ms(self) -> int:
        return self._pool.now_ms()

    # Sessions

    async def commit(self, commit: Commit) -> CommitResult:
        return await self._write(
            lambda transaction: sessions.commit(transaction, commit), commit.session_id, commit.identity
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
        return await self._lease(request, lambda transaction: sessions.acquire(transaction, request))

    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        return await self._lease(request, lambda transaction: sessions.renew(transaction, request, fence))

    async def release(self, request: LeaseRequest, fence: int) -> bool:
        return await self._lease(request, lambda transaction: sessions.release(transaction, request, fence))

    # Cache and rate limits

    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        found = await self._read(lambda transaction: keyvalue.cache_get(transaction, keys))
        hits = (key for key, value in zip(keys, found, strict=True) if value is not None)
        used = self._hits.worth_noting(hits, self.now_ms())
        if used:
            # Nobody waits for it: a hit costs no writing.
            task = asyncio.create_task(self._cache(partial(keyvalue.cache_used, keys=used)))
            self._noting.add(task)
            task.add_done_callback(self._noted)
        return found

    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        limit = self._growth.over(sum(item.size for item in items))
        await self._cache(lambda transaction: keyvalue.cache_set(transaction, items, limit))

    async def cache_delete(self, keys: Sequence[str]) -> int:
        return await self._cache(lambda transaction: keyvalue.cache_delete(transaction, keys))

    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        return await self._cache(lambda transaction: keyvalue.cache_clear(transaction, prefix, tag))

    async def rate_limit(self, step: RateStep) -> RateResult:
        return await self._write(
            lambda transaction: keyvalue.rate_limit(transaction, step), step.key, scope="rate"
        )

    async def rate_reset(self, key: str) -> None:
        await self._write(lambda transaction: keyvalue.rate_reset(transaction, key), key, scope="rate")

    # Watching

    async def subscribe(self, topic: Topic) -> Subscription:
        self._pool.check()
        # Before it is heard, so that nothing falls in between.
        subscription = self._subscriptions.add(self._namespace, topic)
        await self._listener.ready()
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscriptions.remove(self._namespace, topic, subscription)

    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        told, hidden = await self._read(lambda transaction: changes.changes(transaction, after, limit))
        if hidden:
            # What ends the transaction that holds them up need not wake anyone.
            topic = topic_key(self._namespace, "store", "", "")
            loop = asyncio.get_running_loop()
            loop.call_later(LOOK_AGAIN_SECONDS, self._subscriptions.wake, [topic])
        return told

    # Writing stored bytes anew

    async def kinds(self) -> Sequence[str]:
        return await self._read(sessions.kinds)

    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        return await self._read(lambda transaction: sessions.session_ids(transaction, kind, cursor, limit))

    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        return await self._write(
            lambda transaction: sessions.rewrite(transaction, rewrite), rewrite.session_id
        )

    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        return await self._read(lambda transaction: keyvalue.cache_scan(transaction, cursor, limit))

    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        return await self._cache(lambda transaction: keyvalue.cache_replace(transaction, key, old, new))

    # Tenants

    def within(self, namespace: str) -> Backend:
        return PostgresTenant(self, namespace)

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        check_erasable(self._namespace)
        removed: Counter[str] = Counter()
        some = min(limit, STEP_SESSIONS)
        ids = await self._read(partial(cleaning.some_sessions, limit=some))
        for session_id in ids:
            erased = await self._write(partial(cleaning.erase_session, session_id=session_id), session_id)
            removed["sessions"] += erased
        if ids:
            return +removed, "more"
        stages = await self._write(partial(cleaning.erase_stages, limit=some))
        if stages:
            return {"stages": stages}, "more"
        removed.update(await self._write(partial(cleaning.erase_rest, limit=limit)))
        return +removed, "more" if removed.total() >= limit else None

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        return await self._read(lambda transaction: cleaning.namespaces(transaction, cursor, limit))

    # Running it

    async def ping(self) -> dict[str, Any]:
        # A transaction that could write: a server that only reads is not well.
        return {**await self._write(details), "schema": self.location.schema}

    async def findings(self) -> Sequence[Any]:
        try:
            return await self._read(findings)
        except StoreError:
            return ()  # `ping` has told it

    async def stats(self) -> BackendStats:
        return await self._read(listing.stats)

    async def count(self, query: ListQuery) -> int:
        return await self._read(lambda transaction: listing.count(transaction, query))

    # Cleaning up

    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        return await self._write(lambda transaction: cleaning.claim_sessions(transaction, limit, claim_ms))

    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        for each in expired:
            await self._write(partial(cleaning.finish_session, expired=each), each.session_id)

    async def reclaim(self) -> None:
        while ids := await self._read(cleaning.sessions_with_expired_values):
            for session_id in ids:
                await self._write(partial(cleaning.sweep_values, session_id=session_id), session_id)
        while stages := await self._read(cleaning.old_stages):
            for session_id, key in stages:
                await self._write(partial(staging.drop_stage, key=key), session_id)
        while await self._write(cleaning.sweep_rest):
            pass

    # Inside

    def _told(self, event: ConnectionEvent) -> None:
        self.tell(event)

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._noting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("hits of the cache were not noted: %s", task.exception())

    async def _end_noting(self) -> None:
        if self._noting:
            await asyncio.wait(self._noting)

    async def _lease(self, request: LeaseRequest, work: Callable[[Transaction], T]) -> T:
        scope = "session" if request.scope == "turn" else request.scope
        return await self._write(work, request.name, scope=scope)

    async def _cache(self, work: Callable[[Transaction], T]) -> T:
        """The cache of a namespace is written by one at a time: whoever makes room meets all of it."""
        return await self._write(work, "cache", scope="cache")

    async def _write(
        self,
        work: Callable[[Transaction], T],
        subject: str = "",
        identity: CommitIdentity | None = None,
        scope: str = "session",
    ) -> T:
        lock = self.location.lock(self._namespace, scope, subject) if subject else None
        return await self._run(
            work, lock=lock, writes=True, subject=subject if scope == "session" else "", identity=identity
        )

    async def _read(self, work: Callable[[Transaction], T], subject: str = "") -> T:
        return await self._run(work, subject=subject)

    async def _run(self, work: Callable[[Transaction], T], **how: Any) -> T:
        return await self._pool.run(work, namespace=self._namespace, **how)


class PostgresTenant(PostgresBackend):
    """Sessions of one namespace, over the connections of a backend that is open.

    Args:
        parent: whose connections.
        namespace: whose rows.
    """

    def __init__(self, parent: PostgresBackend, namespace: str) -> None:
        super().__init__(parent.location, replace(parent._options, namespace=namespace))
        self._pool, self._listener = parent._pool, parent._listener
        self._subscriptions = parent._subscriptions
        self._subscribed: list[tuple[Topic, Subscription]] = []
        self._closed = False

    async def open(self) -> None:
        self._pool.check()

    async def close(self) -> None:
        await self._end_noting()
        self._closed = True
        for topic, subscription in [*self._subscribed]:
            await self.unsubscribe(topic, subscription)
            subscription.wake()

    async def subscribe(self, topic: Topic) -> Subscription:
        self._check()
        subscription = await super().subscribe(topic)
        self._subscribed.append((topic, subscription))
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscribed = [pair for pair in self._subscribed if pair[1] is not subscription]
        await super().unsubscribe(topic, subscription)

    async def _run(self, work: Callable[[Transaction], T], **how: Any) -> T:
        self._check()
        return await super()._run(work, **how)

    def _check(self) -> None:
        if self._closed:
            raise StoreClosedError(f"the store on {self.location.shown}")
