"""What an agent programs against: the contract of a session store, on one page."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from miniagent_store.options import TTL
from miniagent_store.reencryption import Reencryption
from miniagent_store.repair_report import RepairReport
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
    from miniagent_store.backend import RateAlgorithm
    from miniagent_store.codec.types import TypeRegistry
    from miniagent_store.embedder import Embedder
    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.keys.provider import KeyProvider
    from miniagent_store.store.batch import Batch
    from miniagent_store.store.cache import Cache
    from miniagent_store.store.inspection import Inspection
    from miniagent_store.store.kv import KeyValue
    from miniagent_store.store.leases import Lease, Lock
    from miniagent_store.store.memory.scope import MemoryScope
    from miniagent_store.store.state import StateHandle
    from miniagent_store.store.sweeper import Sweeper
    from miniagent_store.store.tenant_limits import TenantLimits
    from miniagent_store.store.tenants import TenantDeletion
    from miniagent_store.store.turn import Turn

P = ParamSpec("P")
R = TypeVar("R")
Messages = Mapping[str, Any]
Version = int | Session


class SessionStore(ABC):
    """Sessions that survive restarts, are shared, expire, and never lose or interleave a message.

    Made by `open_store`. Belongs to one event loop. Every changing call is one atomic commit with an
    identity: the store repeats it after a lost reply and it is stored once. Where it cannot be known
    whether it was, that is an `OutcomeUnknownError`, whose `commit_id` may be given to the same call
    again, in another process too.

    All calls may raise `StoreClosedError`, `WrongLoopError`, `BackendUnavailableError`,
    `InvalidArgumentError` and, where values are read or written, `SerializationError`; those that need a
    session, `SessionNotFoundError`. What else is raised stands with each call.
    """

    # Life cycle

    @abstractmethod
    async def open(self) -> Self:
        """Connect now; otherwise the first call does."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; calls afterwards raise `StoreClosedError`. May be called twice."""

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL, with secrets as ``***``."""

    @property
    @abstractmethod
    def types(self) -> TypeRegistry:
        """Where classes of yours are registered by stable names, to be stored as values."""

    # Sessions

    @abstractmethod
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
        """Make a session.

        Args:
            session_id: 1 to 512 bytes, printable, no braces; random unless given.
            user_id: whose it is; listings filter by it.
            agent: which agent's; listings filter by it.
            metadata: a dict of the caller's.
            tags: a few short texts, or a mapping (name=value); listings filter by them.
            ttl: seconds, or "1h", or "never"; the store's own unless given.
            kind: what it carries; listings and limits see kind "session".
            exist_ok: return the session as it is if it is there.
            commit_id: ask again under this identity.

        Raises:
            SessionExistsError: it is there.
        """

    @abstractmethod
    async def get(self, session_id: str, *, touch: bool = False) -> Session:
        """The record. Reading does not renew the TTL unless `touch`."""

    @abstractmethod
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
        """A page of sessions, newest activity first. Never renews a TTL.

        Args:
            user_id, agent: only theirs.
            kind: only of this kind.
            tags: only with all of these.
            order: "-last_activity", or "last_activity" for the oldest first.
            cursor: `Page.next_cursor` of the page before.
            limit: at most so many, up to 1,000.
            metadata: without, it is empty in all of them and nothing is decoded: a session whose metadata
                cannot be read, for want of its key, is listed like the others.
            skip_damaged: leave out sessions whose record cannot be understood, and name them in
                `Page.damaged`; otherwise one of them makes the page a `SessionDamagedError`.
        """

    @abstractmethod
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
        """Replace metadata or tags.

        Args:
            metadata: the new dict, as a whole.
            tags: the new tags, all of them.
            expected_version: a number, or a `Session` as it was read.
            fence: a lock's, to be checked.
            commit_id: ask again under this identity.

        Raises:
            VersionConflictError: the session is not at `expected_version`.
        """

    @abstractmethod
    async def touch(self, session_id: str, ttl: TTL | None = None) -> Session:
        """Renew the expiry, with a new TTL if one is given. No new version, no activity."""

    @abstractmethod
    async def delete(
        self, session_id: str, *, incarnation: str | None = None, commit_id: str | None = None
    ) -> bool:
        """Remove a session with all its parts; whether it was there.

        Args:
            session_id: the session.
            incarnation: only this life of it (`Session.incarnation`), none that was created since.
            commit_id: ask again under this identity.
        """

    # Messages

    @abstractmethod
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
        """Append messages, or any mappings, in one commit. No messages: nothing happens.

        Args:
            session_id: the session.
            *messages: a text under "id" is the caller's identity of an entry: stored once in its log.
            log: "messages", "events", or any other name.
            expected_version: a number, or a `Session` as it was read.
            create: make the session if it is missing.
            fence: a lock's, to be checked.
            commit_id: ask again under this identity.

        Raises:
            SessionTooLargeError, VersionConflictError, IdempotencyConflictError, FencedError.
        """

    @abstractmethod
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
        """Any number of changes in one commit at the end of an ``async with``; no lock.

        Args:
            session_id: the session.
            expected_version: a number, or a `Session` as it was read.
            create: make the session if it is missing, with the store's own TTL.
            kind: what a session that is made carries; listings and limits see kind "session".
            fence: a lock's, to be checked.
            commit_id: ask again under this identity.
        """

    @abstractmethod
    def turn(
        self,
        session_id: str,
        *,
        wait: float = 30,
        last: int | None = None,
        create: bool = False,
        commit_id: str | None = None,
    ) -> Turn:
        """A batch under the session's lock, with its history; one writer at a time.

        Args:
            session_id: the session.
            wait: seconds to wait for the one before; 0 fails at once.
            last: read only the last so many messages.
            create: make the session with the commit if it is missing.
            commit_id: ask again under this identity.

        Raises:
            LockTimeoutError: someone else kept it; LockLostError, FencedError: it was lost meanwhile.
        """

    @abstractmethod
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
        """Record, tails of logs and state in one consistent read.

        Args:
            session_id: the session.
            last: only the last so many entries of each log.
            after: only what follows a sequence or a position. Where a position no longer holds,
                `Snapshot.resets` says from where on, and the entries start there.
            after_time: only entries of this time or later.
            logs: which logs.
            state: names of values, or one text: a prefix, or True: all.
        """

    @abstractmethod
    async def history(
        self,
        session_id: str,
        *,
        last: int | None = None,
        after: int | Position | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> builtins.list[Message]:
        """Messages in order.

        Args:
            session_id: the session.
            last: only the last so many; 0 is none.
            after, before: only between these sequences, both exclusive.
            limit: only the first so many of what is left.

        Raises:
            VersionConflictError: `after` is a position that no longer holds.
        """

    @abstractmethod
    def replay(self, session_id: str, after: int | Position = 0) -> AsyncIterator[Message]:
        """All messages after a sequence, read page by page.

        Raises:
            VersionConflictError: what was told already was changed on the way.
        """

    @abstractmethod
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
        """Entries of any log, with sequence, id, time and version; arguments as `history`."""

    @abstractmethod
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
        """How a session is stored, and what of it cannot be read: for people who look after it.

        Entries and values that are damaged, or whose key is missing, stand there with their errors; all
        other calls raise these.

        Args:
            session_id: the session.
            log, last, after, before, limit: which entries, as `entries` takes them.
            values: at most so many values of its state, in order of their names.
            values_from: the name of the first value.

        Raises:
            SessionDamagedError: nothing of it can be read.
        """

    @abstractmethod
    async def count(self, session_id: str, *, log: str = MESSAGES, after: int = 0) -> int:
        """How many entries stand in a log after a sequence."""

    @abstractmethod
    async def pop(
        self, session_id: str, n: int = 1, *, log: str = MESSAGES, commit_id: str | None = None
    ) -> builtins.list[Message]:
        """Remove the last entries and return them, in order; atomic. A new epoch."""

    @abstractmethod
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
        """Write a log anew from a sequence on. A new epoch.

        Args:
            session_id: the session.
            entries: what is to stand there.
            from_seq: the first sequence to be replaced.
            expected_tail: only if nothing was added to the log, and no log changed, since.
            log: the log.
            commit_id: ask again under this identity.

        Raises:
            VersionConflictError: something was.
        """

    @abstractmethod
    async def redact(
        self,
        session_id: str,
        seq: int,
        *,
        reason: str,
        log: str = MESSAGES,
        commit_id: str | None = None,
    ) -> Session:
        """Put a tombstone, which says when and why, in the place of an entry. A new epoch."""

    @abstractmethod
    async def trim(
        self, session_id: str, *, before: int, log: str = MESSAGES, commit_id: str | None = None
    ) -> Session:
        """Remove the entries below sequence `before`. A new epoch; sequences stay."""

    @abstractmethod
    async def clear(self, session_id: str, *, commit_id: str | None = None) -> Session:
        """Empty all logs; state and metadata stay, sequences go on. A new epoch."""

    @abstractmethod
    async def rewind(self, session_id: str, *, to: int, commit_id: str | None = None) -> Session:
        """Go back to message `to` (inclusive; 0: before the first), other logs with it. A new epoch."""

    @abstractmethod
    async def fork(
        self,
        session_id: str,
        *,
        upto: int | None = None,
        new_id: str | None = None,
        commit_id: str | None = None,
    ) -> Session:
        """Copy a session up to a message (inclusive); it appears whole or not at all.

        Raises:
            SessionExistsError: `new_id` is taken.
        """

    # State

    @abstractmethod
    def state(self, session_id: str) -> StateHandle:
        """Named values of a session."""

    @abstractmethod
    def kv(self, collection: str, *, shards: int = 1) -> KeyValue:
        """Keys and values apart from any conversation."""

    @abstractmethod
    def user(self, user_id: str) -> KeyValue:
        """Keys and values of a user."""

    @abstractmethod
    def memory(
        self,
        scope: str,
        *,
        embedder: str | Embedder = "hash",
        index: str = "auto",
        plain_vectors: bool = False,
    ) -> MemoryScope:
        """What is remembered apart from any conversation, and found by meaning.

        Args:
            scope: whose or what: a user's id, or several parts by `join_id`.
            embedder: makes vectors of texts: a name such as "hash" or "openai:text-embedding-3-small", or
                an object.
            index: how vectors are looked for: "auto", or a name such as "exact" or "vector-set".
            plain_vectors: of a store that encrypts, allow an index on the server, which keeps vectors as
                they are; whoever reads those can tell what the texts say.

        Raises:
            ConfigurationError: no plugin brings one of these, or the index needs `plain_vectors`.
        """

    # Coordination

    @abstractmethod
    def watch(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        after: Position | None = None,
        entries: bool = True,
    ) -> AsyncIterator[SessionEvent]:
        """What happens, as it happens.

        A session: its entries once each and in order within an epoch, from `after` (or now) on; a
        "reset" a log where an epoch changed; state and metadata at their latest; ends with "deleted" or
        "expired". A user, or the whole store: which sessions changed, at least once each.

        Nothing is kept for who is slow: the next event is read from the log when it is asked for. While
        the backend is away the watch waits, says so in the log, and goes on where it stopped.

        Args:
            session_id, user_id: what to watch; neither for the whole store.
            after: of a session: from where on; `SessionEvent.position` of the last event goes on after it.
            entries: whether "appended" carries the entries; without, it says in which log some came.
        """

    @abstractmethod
    def lock(self, name: str, *, ttl: float = 10, wait: float = 30) -> Lock:
        """A lock by name, renewed while held.

        Args:
            name: any id.
            ttl: seconds until others may take it if this process dies.
            wait: seconds to wait for it; 0 fails at once.

        Raises:
            LockTimeoutError: someone else kept it.
        """

    @property
    @abstractmethod
    def cache(self) -> Cache:
        """Values that may be evicted: tool results, model answers."""

    @abstractmethod
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
        """Count one more, if the limit allows.

        Args:
            key: what is limited, such as "user:ada". Each algorithm counts for itself.
            limit: so many a period.
            period: seconds, or "1m".
            algorithm: "fixed": windows, of which the first begins with the first one; up to twice the limit
                around the end of a window. "sliding": never more than the limit in any span of one period.
                "bucket": tokens that come back evenly; a burst and what comes back in one period together,
                so up to twice the limit with the default `burst`.
            cost: how many this one counts.
            burst: what a bucket holds, and so how many are allowed at once; `limit` by default.

        Raises:
            InvalidArgumentError: an argument is wrong, or the cost can never be allowed.
        """

    @abstractmethod
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
        """Decorate a function, such as a tool: it runs only as often as the limit allows.

        Beyond the limit a call raises `RateLimitedError`, which says when to try again. A function that is
        not async runs in a thread.

        Args:
            limit, period, algorithm, cost, burst: as `rate_limit` takes them.
            key: a text, or a function of the arguments; by default the function's name.
            wait: seconds that a call may wait until it is allowed.

        Raises:
            InvalidArgumentError: an argument is wrong.
        """

    @abstractmethod
    async def reset_rate_limit(self, key: str) -> None:
        """Forget what was counted under a key, by every algorithm."""

    # Running it

    @abstractmethod
    async def health(self, *, deep: bool = False) -> Health:
        """How the store is; never raises for a sick server.

        Args:
            deep: look also at what takes a few seconds: whether a sample of what is stored can be read with
                these keys, indexes, clocks, free space. `miniagent_store.doctor` also looks at the way to a
                store that cannot be opened.
        """

    @abstractmethod
    async def usage(
        self,
        user_id: str | None = None,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
    ) -> UsageReport:
        """What was used a day, as stores with ``analytics=true`` have counted it.

        What this store has counted itself is written first. Days are UTC, and kept for 400.

        Args:
            user_id: of this user only; "" for sessions without a user; None for all.
            since, until: first and last day, as dates or as "2030-01-31".
        """

    @abstractmethod
    async def stats(self) -> Stats:
        """What the store holds; never raises for a sick server."""

    @abstractmethod
    async def count_sessions(
        self,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        kind: str = "session",
        tags: Iterable[str] | Mapping[str, str] | None = None,
    ) -> int:
        """How many live sessions `list` would show in all; fast where there is one filter at most."""

    @abstractmethod
    async def count_expiring(self, within: TTL) -> int | None:
        """How many live sessions expire within this time, if nothing renews them.

        Args:
            within: seconds, or "1h".

        Returns:
            None where the backend could only tell by looking at each session.
        """

    @abstractmethod
    async def sweep(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Reclaim what expired; how many sessions. What expired is never shown, swept or not.

        Several may sweep at once: each session is taken by one of them, which gives it to the hook
        `session_archive` where there is one, and tells `session_expired`. One whose sweep dies in the
        middle, or whose archive fails, comes again after half a minute.

        Args:
            progress: called again and again with how many have been reclaimed.
        """

    @abstractmethod
    def sweeper(self, *, every: TTL = 60, reconcile_every: TTL = "1d") -> Sweeper:
        """Sweep in the background: ``async with store.sweeper(): …``, or its `start` and `stop`.

        However many instances do so, one of them sweeps, and another takes over when that one ends.

        Args:
            every: seconds between two sweeps, or "1m".
            reconcile_every: seconds between two calls of `reconcile`, or "1d", or "never".
        """

    @abstractmethod
    async def reconcile(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Put right what listings, counts and sweeps go by, from all that is stored.

        A crash, a failover or an eviction may have left it wrong on Redis; on other backends nothing can
        be. It looks at every session: once a day is often.

        Args:
            progress: called again and again with how many sessions have been looked at.

        Returns:
            How many places were wrong.
        """

    @abstractmethod
    async def repair(
        self,
        *,
        salvage: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> RepairReport:
        """Find and mend what a crash, an eviction or somebody's hand left wrong.

        It is `reconcile` and more: parts that would vanish before their session, or never; what can be
        made anew from a session's other parts; parts of no session, which nobody can read any more and
        which are removed; copies that were cut short. It looks at every session and every part. Others may
        read and write meanwhile. What was cut short is finished by calling it again.

        A session that lacks messages or values is only told of, and raises `SessionDamagedError` as before,
        unless `salvage`: then what is left stands in it as its last, with a new version and a new epoch.
        Sessions of a store with a backup are better restored.

        Args:
            salvage: make sessions that lack a part readable again, with what is left of them.
            dry_run: only tell what is wrong.
            progress: called again and again with how many sessions have been looked at.

        Raises:
            BackendUnavailableError: it was cut short.
        """

    @abstractmethod
    async def reencrypt(
        self, *, dry_run: bool = False, progress: Callable[[Reencryption], None] | None = None
    ) -> Reencryption:
        """Write all that is stored anew with this store's serializer and primary key, where it is not yet.

        For the rotation of keys, for turning encryption on, and for other formats. Others may read and
        write meanwhile. No version, activity, expiry or event changes. What was cut short is finished
        by calling it again. When the result's `in_use` tells of no old key, that key may be removed.

        Args:
            dry_run: only tell what is written with what.
            progress: called again and again with what was done so far.

        Raises:
            BackendUnavailableError, KeyProviderError: it was cut short.
        """

    @abstractmethod
    async def shred(self, session_id: str) -> bool:
        """Destroy a session's data key (``shred=true``): what the session holds can never be read again.

        What was written before the session had a data key is not shredded; `reencrypt` gives it to all.

        Returns:
            Whether it had one.

        Raises:
            SessionNotFoundError: there is no such session.
        """

    # Tenants

    @abstractmethod
    def tenant(
        self,
        name: str,
        *,
        limits: TenantLimits | None = None,
        keyring: Keyring | KeyProvider | None = None,
        **options: Any,
    ) -> SessionStore:
        """A view of one tenant: its own sessions, collections, cache, locks, limits and notifications.

        It shares this store's connections and threads, and is made without I/O. On a store without a
        namespace it is what ``open_store(url, namespace=name)`` is; inside a namespace it is nested, and no
        namespace that can be given meets it. Asked for again in the same way it is the same view. It ends
        with this store; `close` ends what is its own (who watches, what runs in the background), while
        leaving an ``async with`` ends nothing, since others may have the same view.

        Args:
            name: 1 to 64 letters, digits, "_" and "-".
            limits: what it may hold and do through this view.
            keyring: keys of its own. Once they are destroyed, nothing that it holds can be read again.
            **options: as of `open_store`, instead of this store's; all but those of connections.

        Raises:
            InvalidArgumentError: the name cannot be one.
            ConfigurationError: an option is unknown or cannot be used.
        """

    @abstractmethod
    async def tenants(self) -> builtins.list[str]:
        """Names of the tenants that hold anything, or whose own tenants do, in order.

        What has expired counts until it is swept. On Redis this walks over the names of all keys.

        Raises:
            ConfigurationError: the backend cannot say.
        """

    @abstractmethod
    async def delete_tenant(
        self, name: str, *, nested: bool = False, progress: Callable[[TenantDeletion], None] | None = None
    ) -> TenantDeletion:
        """Remove all that a tenant holds, whatever it is, and nothing of any other.

        Stop its writers first: what is written to it meanwhile may go or be left, and what is written
        afterwards, through a view that is still open, is new. Other tenants go on. What was cut short is
        finished by calling it again.

        Args:
            name: the tenant's.
            nested: the tenants of this tenant too.
            progress: called again and again with what was done so far.

        Raises:
            BackendUnavailableError: it was cut short.
            TenantInUseError: it was written to all the time; some of it may be left.
            ConfigurationError: the backend cannot.
        """

    @abstractmethod
    def new_commit_id(self) -> str:
        """An identity for one changing call, good for 30 seconds, in any process."""
