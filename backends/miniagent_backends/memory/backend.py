"""The memory backend: each operation is one synchronous step under a lock."""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args
from weakref import WeakValueDictionary

from miniagent_backends.memory import caching
from miniagent_backends.memory.space import MemoryPlace, MemorySpace, Stage
from miniagent_store.backend import (
    Backend,
    BackendOptions,
    BackendStats,
    CacheItem,
    Capabilities,
    Change,
    Commit,
    CommitResult,
    Expired,
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
    ListQuery,
    ListResult,
    RateAlgorithm,
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
from miniagent_store.errors import ConfigurationError, StoreClosedError
from miniagent_store.rules import (
    Growth,
    LeaseRow,
    acquire_lease,
    acquire_turn,
    apply_commit,
    apply_rewrite,
    count_leases,
    count_matching,
    count_one,
    count_records,
    expired_of,
    is_claimable,
    is_expired,
    is_to_finish,
    is_turn_over,
    kept_ms,
    list_page,
    next_in_line,
    publish_stage,
    read_plan,
    release_lease,
    renew_lease,
    touched,
)
from miniagent_store.rules.namespaces import check_erasable, start_of_tenants
from miniagent_store.rules.session_document import DocumentRows, SessionDocument
from miniagent_store.url import StoreURL

KEPT_CHANGES = 10_000
KEPT_LEASE_MS = 3_600_000
STORE = Topic("store")


_named: WeakValueDictionary[str, MemoryPlace] = WeakValueDictionary()


def open_memory(url: StoreURL, options: BackendOptions) -> Backend:
    """The factory of ``memory://`` (private to each open) and ``memory://name`` (shared)."""
    if url.path.strip("/") or len(url.hosts) > 1:
        raise ConfigurationError(f"{url} is not a memory URL; write memory:// or memory://name")
    if not url.hosts:
        return MemoryBackend(MemoryPlace(), options.namespace, cache_max_size=options.cache_max_size)
    name = url.hosts[0][0]
    place = _named.get(name)
    if place is None:
        place = _named[name] = MemoryPlace()
    return MemoryBackend(place, options.namespace, cache_max_size=options.cache_max_size)


class MemoryBackend(Backend):
    """Sessions in dictionaries; also the reference that other backends are compared with."""

    name = "memory"
    capabilities: Capabilities = Capabilities(durable=False, shared=False)

    def __init__(
        self,
        place: MemoryPlace,
        namespace: str,
        parent: MemoryBackend | None = None,
        *,
        cache_max_size: int | None = None,
    ) -> None:
        self._place, self._namespace, self._parent = place, namespace, parent
        self._space = place.space(namespace)
        self._growth = Growth(cache_max_size)
        self._subscribed: list[tuple[Topic, Subscription]] = []
        self._closed = False

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        self._closed = True
        for topic, subscription in [*self._subscribed]:
            await self.unsubscribe(topic, subscription)
            subscription.wake()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @property
    def _is_closed(self) -> bool:
        return self._closed or (self._parent is not None and self._parent._is_closed)

    @contextmanager
    def _step(self) -> Iterator[MemorySpace]:
        if self._is_closed:
            raise StoreClosedError("this memory backend")
        with self._space.lock:
            yield self._space

    @contextmanager
    def _rows(self, session_id: str) -> Iterator[DocumentRows]:
        with self._step() as space:
            rows = DocumentRows(space.sessions, space.turns, session_id)
            try:
                yield rows
            except BaseException:
                rows.undo()
                raise

    # Sessions

    async def commit(self, commit: Commit) -> CommitResult:
        with self._rows(commit.session_id) as rows:
            before = rows.record()
            result = apply_commit(rows, commit, self.now_ms())
            if result.record is not before:
                self._changed(result.record)
            if commit.fence and commit.fence.turn_owner:
                self._wake_next("turn", commit.session_id)
            return result

    async def read(self, plan: ReadPlan) -> ReadResult:
        with self._rows(plan.session_id) as rows:
            return read_plan(rows, plan, self.now_ms())

    async def touch(self, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
        with self._rows(session_id) as rows:
            record = touched(rows, session_id, ttl_ms, keep_ttl, os.urandom(8), self.now_ms())
            rows.save_record(record)
            return record

    async def list(self, query: ListQuery) -> ListResult:
        with self._step() as space:
            return list_page(space.records(), query, self.now_ms())

    async def delete(self, session_id: str, incarnation: str | None = None) -> bool:
        with self._rows(session_id) as rows:
            record = rows.record()
            if record is None or is_expired(record.expires_ms, self.now_ms()):
                return False
            if incarnation is not None and record.incarnation != incarnation:
                return False
            rows.drop()
            self._changed(record, deleted=True)
            return True

    # Staged writes

    async def stage(self, write: StageWrite) -> None:
        with self._step() as space:
            key = (write.session_id, write.stage)
            stage = space.stages.setdefault(key, Stage(SessionDocument(), 0))
            stage.expires_ms = self.now_ms() + write.ttl_ms
            stage.session.add_staged(write)

    async def publish(self, publish: StagePublish) -> CommitResult:
        with self._rows(publish.session_id) as rows:
            space, now = self._space, self.now_ms()
            stage = space.stages.pop((publish.session_id, publish.stage), None)
            there = stage is not None and not is_expired(stage.expires_ms, now)
            staged = stage.session if stage is not None and there else SessionDocument()
            tails = staged.tails(publish.bases) if there else None
            result = publish_stage(rows, publish, tails, staged.size, now)
            if not result.replayed:
                space.sessions[publish.session_id].take_parts(staged)
                self._changed(result.record)
            return result

    async def discard(self, session_id: str, stage: str) -> None:
        with self._step() as space:
            space.stages.pop((session_id, stage), None)

    # Leases

    async def acquire(self, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
        if request.scope == "lock":
            with self._step() as space:
                row, answer = acquire_lease(space.locks.get(request.name), request, self.now_ms())
                space.locks[request.name] = row
                return answer
        with self._rows(request.name) as rows:
            answer = acquire_turn(rows, request, self.now_ms())
            self._wake_next("turn", request.name)
            return answer

    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        with self._step():
            rows = self._lease_rows(request)
            row = renew_lease(rows.get(request.name), request, fence, self.now_ms())
            if row is not None:
                rows[request.name] = row
            return row is not None

    async def release(self, request: LeaseRequest, fence: int) -> bool:
        with self._step():
            rows = self._lease_rows(request)
            row = release_lease(rows.get(request.name), request, fence, self.now_ms())
            if row is not None:
                rows[request.name] = row
                self._wake_next(request.scope, request.name)
            return row is not None

    def _lease_rows(self, request: LeaseRequest) -> dict[str, LeaseRow]:
        return self._space.turns if request.scope == "turn" else self._space.locks

    def _wake_next(self, scope: Literal["turn", "lock"], name: str) -> None:
        leases = self._space.turns if scope == "turn" else self._space.locks
        owner = next_in_line(leases.get(name), self.now_ms())
        if owner is not None:
            self._wake(Topic(scope, name, owner))

    # Cache and rate limits

    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        with self._step() as space:
            return caching.get(space.cache, keys, self.now_ms())

    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        with self._step() as space:
            limit = self._growth.over(sum(item.size for item in items))
            caching.put(space.cache, items, limit, self.now_ms())

    async def cache_delete(self, keys: Sequence[str]) -> int:
        with self._step() as space:
            return caching.delete(space.cache, keys, self.now_ms())

    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        with self._step() as space:
            return caching.clear(space.cache, prefix, tag, self.now_ms())

    async def rate_limit(self, step: RateStep) -> RateResult:
        with self._step() as space:
            now = self.now_ms()
            key = f"{step.algorithm}/{step.key}"
            state, expires_ms = space.rates.get(key, (None, 0))
            kept, result = count_one(None if expires_ms <= now else state, step, now)
            if kept != state:
                space.rates[key] = (kept, now + kept_ms(step))
            return result

    async def rate_reset(self, key: str) -> None:
        with self._step() as space:
            for algorithm in get_args(RateAlgorithm):
                space.rates.pop(f"{algorithm}/{key}", None)

    # Watching

    async def subscribe(self, topic: Topic) -> Subscription:
        subscription = Subscription()
        with self._step() as space:
            space.waiting.setdefault(topic, []).append((asyncio.get_running_loop(), subscription))
        self._subscribed.append((topic, subscription))
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscribed = [pair for pair in self._subscribed if pair[1] is not subscription]
        with self._space.lock:
            left = [pair for pair in self._space.waiting.get(topic, []) if pair[1] is not subscription]
            if left:
                self._space.waiting[topic] = left
            else:
                self._space.waiting.pop(topic, None)

    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        with self._step() as space:
            if after is None:
                return [], str(space.change_count)
            found: list[tuple[int, Change]] = []
            for number, change in reversed(space.changes.values()):
                if number <= int(after):
                    break
                found.append((number, change))
            found = found[::-1][:limit]
            return [change for _, change in found], str(found[-1][0]) if found else after

    def _changed(self, record: Record, *, deleted: bool = False) -> None:
        space = self._space
        space.change_count += 1
        change = Change(record.session_id, record.kind, record.user_id, record.version, deleted)
        space.changes[record.session_id] = (space.change_count, change)
        space.changes.move_to_end(record.session_id)
        if len(space.changes) > KEPT_CHANGES + len(space.sessions):
            space.changes.popitem(last=False)
        self._wake(Topic("session", record.session_id))
        self._wake(STORE)

    def _wake(self, topic: Topic) -> None:
        for loop, subscription in self._space.waiting.get(topic, ()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(subscription.wake)

    # Writing stored bytes anew

    async def kinds(self) -> Sequence[str]:
        with self._step() as space:
            return sorted({record.kind for record in space.records()})

    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        with self._step() as space:
            ids = (record.session_id for record in space.records() if record.kind == kind)
            return _page_after(ids, cursor, limit)

    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        with self._rows(rewrite.session_id) as rows:
            return apply_rewrite(rows, rewrite, self.now_ms())

    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        with self._step() as space:
            now = self.now_ms()
            live = (key for key, item in space.cache.items() if not is_expired(item.expires_ms, now))
            keys, next_cursor = _page_after(live, cursor, limit)
            return [(key, space.cache[key].value) for key in keys], next_cursor

    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        with self._step() as space:
            return caching.replace(space.cache, key, old, new, self.now_ms())

    # Tenants

    def within(self, namespace: str) -> Backend:
        return MemoryBackend(self._place, namespace, self, cache_max_size=self._growth.limit)

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        check_erasable(self._namespace)
        with self._step() as space:
            page = [*space.sessions][:limit]
            for session_id in page:
                record = space.sessions.pop(session_id).record
                if record is not None:
                    self._changed(record, deleted=True)
            removed = Counter({"sessions": len(page)})
            if space.sessions:
                return removed, "more"
            removed += space.counts()
            space.empty()
            return removed, None

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        start = start_of_tenants(self._namespace)
        with self._step():
            spaces = self._place.spaces.items()
            names = (name for name, space in spaces if name and name.startswith(start) and space.counts())
            return _page_after(names, cursor, limit)

    # Running it

    def apart(self) -> Backend:
        return MemoryBackend(self._place, self._namespace, cache_max_size=self._growth.limit)

    async def ping(self) -> dict[str, Any]:
        with self._step() as space:
            locks = count_leases((*space.turns.values(), *space.locks.values()), self.now_ms())
            return {"sessions": len(space.sessions), "durable": False, "locks": locks}

    async def stats(self) -> BackendStats:
        with self._step() as space:
            return count_records(space.records(), self.now_ms())

    async def count(self, query: ListQuery) -> int:
        with self._step() as space:
            return count_matching(space.records(), query, self.now_ms())

    # Cleaning up

    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        with self._step() as space:
            now, claimed = self.now_ms(), list[Expired]()
            for session in space.sessions.values():
                if len(claimed) >= limit:
                    break
                if session.record and is_claimable(session.record, session.claimed_ms, now):
                    session.claimed_ms = now + claim_ms
                    claimed.append(expired_of(session.record))
            return claimed

    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        with self._step() as space:
            now = self.now_ms()
            for each in expired:
                session = space.sessions.get(each.session_id)
                if session is None or session.record is None or not is_to_finish(session.record, each, now):
                    continue
                del space.sessions[each.session_id]
                if is_turn_over(space.turns.get(each.session_id), now):
                    del space.turns[each.session_id]
                self._changed(session.record, deleted=True)

    async def reclaim(self) -> None:
        with self._step() as space:
            now = self.now_ms()
            for session in space.sessions.values():
                if session.record and not is_expired(session.record.expires_ms, now):
                    session.drop_expired_values(now)
            for leases in (space.turns, space.locks):
                _drop(leases, lambda row: row.until_ms < now - KEPT_LEASE_MS)
            _drop(space.stages, lambda stage: is_expired(stage.expires_ms, now))
            _drop(space.cache, lambda item: is_expired(item.expires_ms, now))
            _drop(space.rates, lambda item: item[1] <= now)


def _page_after(names: Iterable[str], cursor: str | None, limit: int) -> tuple[list[str], str | None]:
    """The next names in order, and the last of them if there are more."""
    after = (name for name in names if cursor is None or name > cursor)
    found = heapq.nsmallest(limit + 1, after)
    page = found[:limit]
    return page, page[-1] if len(found) > limit else None


def _drop(values: dict[Any, Any], unwanted: Any) -> None:
    for key in [key for key, value in values.items() if unwanted(value)]:
        del values[key]
