"""The one implementation of `SessionStore`: each call in terms of the parts beside this file."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from miniagent_store.backend import (
    Backend,
    Clear,
    Create,
    Expected,
    Fence,
    RateAlgorithm,
    ReadPlan,
    StateScan,
)
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.embedder import Embedder
from miniagent_store.errors import (
    InvalidArgumentError,
    LockLostError,
    SessionDamagedError,
)
from miniagent_store.ids import check_id, check_name, join_id, new_session_id
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.provider import KeyProvider
from miniagent_store.options import TTL, parse_duration, parse_ttl_ms
from miniagent_store.reencryption import Reencryption
from miniagent_store.repair_report import RepairReport
from miniagent_store.store.appending import append_plainly
from miniagent_store.store.background import Background
from miniagent_store.store.batch import Batch
from miniagent_store.store.cache import Cache
from miniagent_store.store.cache_place import CachePlace
from miniagent_store.store.core import StoreCore
from miniagent_store.store.draft import CommitDraft, clean_metadata, clean_tags, draft_entry
from miniagent_store.store.forking import fork_session
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.leases import Lease, Lock
from miniagent_store.store.limiting import count_one, rate_limited, rate_step
from miniagent_store.store.listing import count_sessions, list_sessions
from miniagent_store.store.memory.anchoring import ANCHOR
from miniagent_store.store.memory.forgetting import forget_in_scope, forget_session, holding
from miniagent_store.store.memory.memories import Memories
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.popping import pop
from miniagent_store.store.protocol import Messages, SessionStore, Version
from miniagent_store.store.reading import (
    check_count,
    check_log,
    decode_snapshot,
    log_range,
    read_entries,
    read_messages,
    read_record,
    replay,
    snapshot_plan,
)
from miniagent_store.store.reencrypting import Sweep
from miniagent_store.store.running import health, stats
from miniagent_store.store.state import StateHandle
from miniagent_store.store.sweeper import Sweeper
from miniagent_store.store.sweeping import sweep
from miniagent_store.store.tenant_limits import TenantLimits
from miniagent_store.store.tenants import TenantDeletion, Tenants, ViewMaker
from miniagent_store.store.turn import Turn
from miniagent_store.store.usage_reading import read_usage
from miniagent_store.store.watching import watch
from miniagent_store.url import StoreURL
from miniagent_store.usage_report import UsageReport
from miniagent_store.values import (
    MESSAGES,
    Entry,
    Health,
    Message,
    Page,
    Position,
    RateLimit,
    Session,
    SessionEvent,
    Snapshot,
    Stats,
)

if TYPE_CHECKING:
    from miniagent_store.store.inspection import Inspection

P = ParamSpec("P")
R = TypeVar("R")
KNOWN_COLLECTIONS = 1024


class Store(SessionStore):
    """A session store over any backend. See `SessionStore` for what each call does."""

    def __init__(self, core: StoreCore, url: StoreURL, types: TypeRegistry, tenants: Tenants) -> None:
        self._core, self._url, self._types = core, url, types
        self._tenants = tenants
        observing = core.observe(url)
        if observing is not None:
            observing.attach_calls(self)
        # Of a view, its store: held, so that whoever closes that one's store reaches this one.
        self._above: Store | None = None
        self._background = Background()
        self._cache_place = CachePlace(core)
        self._cache = Cache(self._cache_place, self._background)
        self._collections: dict[tuple[str, int], KeyValue] = {}
        self._memories = Memories(core, self._cache, self._background.later)

    # Life cycle

    async def open(self) -> Self:
        await self._core.ready()
        await self._cache_place.open()
        return self

    async def close(self) -> None:
        async with AsyncExitStack() as last_things:
            last_things.push_async_callback(self._core.close)
            last_things.push_async_callback(self._cache_place.close)
            last_things.push_async_callback(self._background.close)
            last_things.push_async_callback(self._tenants.close)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A view of a tenant is everybody's who asks for that tenant: leaving a block closes it for none.
        if self._core.parent is None:
            await self.close()

    def is_home(self) -> bool:
        """Whether the event loop that runs now is the one in which this store was opened."""
        return self._core.is_home()

    @property
    def closed(self) -> bool:
        """Whether `close` was called, here or on the store that this is a view of."""
        return self._core.closed

    @property
    def holds_its_data(self) -> bool:
        """Whether what is stored lives in this process, so that its URL may not find it again."""
        return type(self._core.backend).apart is not Backend.apart

    def again(self) -> Store:
        """Another store on the same data and with the same options, for another event loop. No I/O.

        It shares no connection with this one, and is its caller's to close.

        Raises:
            StoreClosedError: this one is closed.
            WrongLoopError: after a fork, where the data was in the process that was forked.
        """
        return self._tenants.again()

    def __reduce__(self) -> tuple[Any, ...]:
        # As how it was opened, secrets of the URL included; what is unpickled is not open yet.
        return _opened_again, (self._tenants.maker, self._tenants.limits)

    @property
    def url(self) -> str:
        return str(self._url)

    @property
    def types(self) -> TypeRegistry:
        return self._types

    def __repr__(self) -> str:
        return f"<SessionStore {self._url}>"

    # Sessions

    async def create(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | Mapping[str, str] | None = None,
        ttl: TTL | None = None,
        kind: str = "session",
        exist_ok: bool = False,
        commit_id: str | None = None,
    ) -> Session:
        session_id = new_session_id() if session_id is None else check_id(session_id)
        options = self._core.options
        default_ttl = options.ttl if kind == "session" else None
        create = Create(
            kind=check_id(kind, what="kind", limit=64),
            user_id=None if user_id is None else check_id(user_id, what="user id"),
            agent=None if agent is None else check_id(agent, what="agent"),
            ttl_ms=default_ttl if ttl is None else parse_ttl_ms(ttl),
            sliding=options.ttl_mode == "sliding",
            keep_existing=exist_ok,
        )
        result = await self._core.commit(
            CommitDraft(
                session_id,
                initial_metadata=clean_metadata(metadata or {}),
                initial_tags=clean_tags(tags or ()),
            ),
            operation="create",
            create=create,
            commit_id=commit_id,
        )
        return self._core.coding.session(result.record)

    async def get(self, session_id: str, *, touch: bool = False) -> Session:
        if touch:
            return await self.touch(session_id)
        return self._core.coding.session(await read_record(self._core, session_id))

    async def list(
        self,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        kind: str = "session",
        tags: Iterable[str] | Mapping[str, str] | None = None,
        order: str = "-last_activity",
        cursor: str | None = None,
        limit: int = 50,
        metadata: bool = True,
        skip_damaged: bool = False,
    ) -> Page:
        return await list_sessions(
            self._core,
            user_id=user_id,
            agent=agent,
            kind=kind,
            tags=tags,
            order=order,
            cursor=cursor,
            limit=limit,
            metadata=metadata,
            skip_damaged=skip_damaged,
        )

    async def update(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | Mapping[str, str] | None = None,
        expected_version: Version | None = None,
        fence: int | Lease | None = None,
        commit_id: str | None = None,
    ) -> Session:
        draft = CommitDraft(
            check_id(session_id),
            metadata=None if metadata is None else clean_metadata(metadata),
            tags=None if tags is None else clean_tags(tags),
        )
        return await self._commit(
            draft, "update", expected_version=expected_version, fence=fence, commit_id=commit_id
        )

    async def touch(self, session_id: str, ttl: TTL | None = None) -> Session:
        check_id(session_id)
        ttl_ms = parse_ttl_ms(ttl)
        core = self._core
        await core.ready()
        record = await core.retrying.attempt(
            "touch", session_id, lambda _: core.backend.touch(session_id, ttl_ms, ttl is None)
        )
        await core.keys.learn(record)
        return core.coding.session(record)

    async def delete(
        self, session_id: str, *, incarnation: str | None = None, commit_id: str | None = None
    ) -> bool:
        core = self._core
        try:
            read = await core.read(ReadPlan(check_id(session_id), names=(ANCHOR,)))
        except SessionDamagedError:
            # Whatever is left of it goes.
            for scope in await holding(core, session_id):
                await forget_in_scope(core, scope, session_id, "")
        else:
            record = read.record
            if record is None or incarnation not in (None, record.incarnation):
                return commit_id is not None
            incarnation = record.incarnation
            await forget_session(core, session_id, read)

        async def once(retry: bool) -> bool:
            # A repeated delete that finds nothing, or another incarnation, was done before.
            return await core.backend.delete(session_id, incarnation) or retry

        deleted = await core.retrying.attempt("delete", session_id, once)
        core.keys.forget(session_id)
        if deleted:
            core.tell("session_ended", session_id=session_id)
        return deleted

    # Messages

    async def append(
        self,
        session_id: str,
        *messages: Messages,
        log: str = MESSAGES,
        expected_version: Version | None = None,
        create: bool = False,
        fence: int | Lease | None = None,
        commit_id: str | None = None,
    ) -> Session:
        if log != MESSAGES:
            check_log(log)
        check_id(session_id)
        if not messages:
            return await self.get(session_id)
        if expected_version is None and fence is None and commit_id is None:
            made = self._core.default_create() if create else None
            session = await append_plainly(self._core, session_id, log, messages, made)
            if session is not None:
                return session
        draft = CommitDraft(session_id, [draft_entry(log, message) for message in messages])
        return await self._commit(
            draft,
            "append",
            create=create,
            expected_version=expected_version,
            fence=fence,
            commit_id=commit_id,
        )

    def batch(
        self,
        session_id: str,
        *,
        expected_version: Version | None = None,
        create: bool = False,
        kind: str = "session",
        fence: int | Lease | None = None,
        commit_id: str | None = None,
    ) -> Batch:
        return Batch(
            self._core,
            session_id,
            create=self._core.default_create(kind) if create else None,
            expected=_expected(expected_version),
            fence=_fence(fence),
            commit_id=commit_id,
        )

    def turn(
        self,
        session_id: str,
        *,
        wait: float = 30,
        last: int | None = None,
        create: bool = False,
        commit_id: str | None = None,
    ) -> Turn:
        return Turn(
            self._core,
            self._background,
            session_id,
            wait=wait,
            last=last,
            create=self._core.default_create() if create else None,
            commit_id=commit_id,
        )

    async def snapshot(
        self,
        session_id: str,
        *,
        last: int | None = None,
        after: int | Position | None = None,
        after_time: datetime | None = None,
        logs: Iterable[str] = (MESSAGES,),
        state: Iterable[str] | str | bool | None = None,
    ) -> Snapshot:
        plan = snapshot_plan(
            session_id, last=last, after=after, after_time=after_time, logs=logs, state=state
        )
        async with self._core.room_for(plan):
            return await decode_snapshot(self._core, plan, await self._core.read(plan))

    async def history(
        self,
        session_id: str,
        *,
        last: int | None = None,
        after: int | Position | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> builtins.list[Message]:
        return await read_messages(
            self._core, session_id, MESSAGES, last=last, after=after, before=before, limit=limit
        )

    def replay(self, session_id: str, after: int | Position = 0) -> AsyncIterator[Message]:
        return replay(self._core, session_id, after)

    async def entries(
        self,
        session_id: str,
        *,
        log: str = MESSAGES,
        last: int | None = None,
        after: int | Position | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> builtins.list[Entry]:
        return [
            *await read_entries(
                self._core, session_id, log, last=last, after=after, before=before, limit=limit
            )
        ]

    async def inspect(
        self,
        session_id: str,
        *,
        log: str = MESSAGES,
        last: int | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        values: int = 0,
        values_from: str | None = None,
    ) -> Inspection:
        # Agents never ask: not imported with the store.
        from miniagent_store.store.inspecting import inspect_session

        wanted = log_range(log, last=last, after=after, before=before, limit=limit)
        first = None if values_from is None else check_name(values_from, what="values_from")
        state = (StateScan(start=first, limit=values),) if check_count(values, "values") else ()
        plan = ReadPlan(check_id(session_id), (wanted,), scans=state, damaged=True)
        return await inspect_session(self._core, plan)

    async def count(self, session_id: str, *, log: str = MESSAGES, after: int = 0) -> int:
        check_count(after, "after")
        tail = (await read_record(self._core, session_id)).tail(check_log(log))
        return max(tail.last - max(after, tail.base), 0)

    async def pop(
        self, session_id: str, n: int = 1, *, log: str = MESSAGES, commit_id: str | None = None
    ) -> builtins.list[Message]:
        return await pop(self._core, session_id, n, log, commit_id)

    async def replace(
        self,
        session_id: str,
        entries: Iterable[Messages],
        *,
        from_seq: int = 1,
        expected_tail: Position | None = None,
        log: str = MESSAGES,
        commit_id: str | None = None,
    ) -> Session:
        batch = self.batch(session_id, commit_id=commit_id)
        batch.replace(entries, from_seq=from_seq, expected_tail=expected_tail, log=log)
        return (await batch.commit("replace")).session

    async def redact(
        self,
        session_id: str,
        seq: int,
        *,
        reason: str,
        log: str = MESSAGES,
        commit_id: str | None = None,
    ) -> Session:
        batch = self.batch(session_id, commit_id=commit_id)
        batch.redact(seq, reason=reason, log=log)
        return (await batch.commit("redact")).session

    async def trim(
        self, session_id: str, *, before: int, log: str = MESSAGES, commit_id: str | None = None
    ) -> Session:
        batch = self.batch(session_id, commit_id=commit_id)
        batch.trim(before=before, log=log)
        return (await batch.commit("trim")).session

    async def clear(self, session_id: str, *, commit_id: str | None = None) -> Session:
        return await self._commit(
            CommitDraft(check_id(session_id), [Clear()]), "clear", commit_id=commit_id
        )

    async def rewind(self, session_id: str, *, to: int, commit_id: str | None = None) -> Session:
        batch = self.batch(session_id, commit_id=commit_id)
        batch.rewind(to=to)
        return (await batch.commit("rewind")).session

    async def fork(
        self,
        session_id: str,
        *,
        upto: int | None = None,
        new_id: str | None = None,
        commit_id: str | None = None,
    ) -> Session:
        await self._core.ready()
        result = await fork_session(self._core, session_id, upto=upto, new_id=new_id, commit_id=commit_id)
        return self._core.coding.session(result.record)

    async def _commit(
        self,
        draft: CommitDraft,
        operation: str,
        *,
        create: bool = False,
        expected_version: Version | None = None,
        fence: int | Lease | None = None,
        commit_id: str | None = None,
    ) -> Session:
        result = await self._core.commit(
            draft,
            operation=operation,
            create=self._core.default_create() if create else None,
            expected=_expected(expected_version),
            fence=_fence(fence),
            commit_id=commit_id,
        )
        return self._core.coding.session(result.record)

    # State

    def state(self, session_id: str) -> StateHandle:
        return StateHandle(self._core, session_id)

    def kv(self, collection: str, *, shards: int = 1) -> KeyValue:
        return self._collection(join_id("kv", check_id(collection, what="collection")), shards)

    def user(self, user_id: str) -> KeyValue:
        return self._collection(join_id("user", check_id(user_id, what="user id")), 1)

    def memory(
        self,
        scope: str,
        *,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        plain_vectors: bool = False,
    ) -> MemoryScope:
        return self._memories.scope(scope, embedder, index, plain_vectors=plain_vectors)

    def _collection(self, record_id: str, shards: int) -> KeyValue:
        known = self._collections.get((record_id, shards))
        if known is None:
            known = KeyValue(self._core, record_id, shards=shards)
            if len(self._collections) >= KNOWN_COLLECTIONS:
                self._collections.pop(next(iter(self._collections)))
            self._collections[record_id, shards] = known
        return known

    # Coordination

    def watch(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        after: Position | None = None,
        entries: bool = True,
    ) -> AsyncIterator[SessionEvent]:
        return watch(self._core, session_id, user_id, after, entries=entries)

    def lock(self, name: str, *, ttl: float = 10, wait: float = 30) -> Lock:
        check_id(name, what="lock name")
        if not ttl > 0:
            raise InvalidArgumentError(f"the ttl of a lock must be above zero seconds, not {ttl!r}")
        return Lock(self._core, self._background, name, ttl=ttl, wait=wait)

    @property
    def cache(self) -> Cache:
        return self._cache

    async def rate_limit(
        self,
        key: str,
        limit: int,
        period: TTL,
        *,
        algorithm: RateAlgorithm = "fixed",
        cost: int = 1,
        burst: int | None = None,
    ) -> RateLimit:
        step = rate_step(key, limit, period, algorithm=algorithm, cost=cost, burst=burst)
        return await count_one(self._core, step)

    def rate_limited(
        self,
        limit: int,
        period: TTL,
        *,
        key: str | Callable[..., str] | None = None,
        algorithm: RateAlgorithm = "fixed",
        cost: int = 1,
        burst: int | None = None,
        wait: float = 0,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        return rate_limited(
            self._core,
            limit,
            period,
            key=key,
            algorithm=algorithm,
            cost=cost,
            burst=burst,
            wait=wait,
        )

    async def reset_rate_limit(self, key: str) -> None:
        check_id(key, what="rate limit key")
        core = self._core
        await core.ready()
        await core.retrying.attempt("rate_reset", key, lambda _: core.backend.rate_reset(key))

    # Running it

    async def health(self, *, deep: bool = False) -> Health:
        return await health(self._core, deep=deep)

    async def usage(
        self,
        user_id: str | None = None,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
    ) -> UsageReport:
        return await read_usage(self._core, user_id, since, until)

    async def stats(self) -> Stats:
        return await stats(self._core, self._cache_place)

    async def count_sessions(
        self,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        kind: str = "session",
        tags: Iterable[str] | Mapping[str, str] | None = None,
    ) -> int:
        return await count_sessions(self._core, user_id=user_id, agent=agent, kind=kind, tags=tags)

    async def count_expiring(self, within: TTL) -> int | None:
        seconds = parse_duration(within, what="within")
        await self._core.ready()
        backend = self._core.backend
        until_ms = backend.now_ms() + int(seconds * 1000)
        return await self._core.retrying.attempt(
            "count_expiring", "", lambda _: backend.count_expiring(until_ms)
        )

    async def sweep(self, *, progress: Callable[[int], None] | None = None) -> int:
        return await sweep(self._core, progress)

    def sweeper(self, *, every: TTL = 60, reconcile_every: TTL = "1d") -> Sweeper:
        return Sweeper(self, every=every, reconcile_every=reconcile_every)

    async def reconcile(self, *, progress: Callable[[int], None] | None = None) -> int:
        await self._core.ready()
        return await self._core.backend.reconcile(progress)

    async def repair(
        self,
        *,
        salvage: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> RepairReport:
        await self._core.ready()
        report = RepairReport()
        await self._core.backend.repair(report, salvage=salvage, dry_run=dry_run, progress=progress)
        return report

    async def reencrypt(
        self, *, dry_run: bool = False, progress: Callable[[Reencryption], None] | None = None
    ) -> Reencryption:
        return await Sweep(self._core, write=not dry_run, progress=progress).run()

    async def shred(self, session_id: str) -> bool:
        read = await self._core.read(ReadPlan(check_id(session_id), names=(ANCHOR,)))
        if read.record is not None:
            await forget_session(self._core, session_id, read)
        return await self._core.keys.destroy(session_id)

    # Tenants

    def tenant(
        self,
        name: str,
        *,
        limits: TenantLimits | None = None,
        keyring: Keyring | KeyProvider | None = None,
        **options: Any,
    ) -> Store:
        view = self._tenants.view(name, limits=limits, keyring=keyring, options=options)
        view._above = self
        return view

    async def tenants(self) -> builtins.list[str]:
        return await self._tenants.names()

    async def delete_tenant(
        self, name: str, *, nested: bool = False, progress: Callable[[TenantDeletion], None] | None = None
    ) -> TenantDeletion:
        return await self._tenants.delete(name, nested=nested, progress=progress)

    def _forget(self) -> None:
        """All that stood here may be gone."""
        self._collections.clear()
        self._core.keys.forget_all()

    def new_commit_id(self) -> str:
        return str(self._core.writer.fresh(self._core.backend.now_ms()))


def _expected(version: Version | None) -> Expected | None:
    if version is None:
        return None
    if isinstance(version, Session):
        return Expected(version.version, version.incarnation, version.token or None)
    check_count(version, "expected_version")
    return Expected(version)


def _fence(fence: int | Lease | None) -> Fence | None:
    if fence is None:
        return None
    if not isinstance(fence, Lease):
        return Fence(fence)
    if fence.lost:
        raise LockLostError(fence.name)
    return Fence(fence.fence)


def _opened_again(maker: ViewMaker, limits: TenantLimits | None) -> Store:
    return maker.again(limits)
