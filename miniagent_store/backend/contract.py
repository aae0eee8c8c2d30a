"""What keeps bytes: the contract of a backend. Each method is one atomic step.

The store above validates, encodes and mints ids; a backend is given bytes and plain values and knows
nothing of messages. All texts are printable, hold no NUL, and compare by their UTF-8 bytes. Times are
milliseconds since 1970 by the backend's own clock (`Backend.now_ms`), which is the server's where there is
one. What has expired is treated as if it were not there, with no sweeper running. Errors are raised as
subclasses of `StoreError`; a backend never guesses: where it cannot be known whether a commit was applied,
it raises `OutcomeUnknownError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.backend.caching import CacheItem
from miniagent_store.backend.commits import Commit, CommitResult
from miniagent_store.backend.events import ConnectionEvent
from miniagent_store.backend.leases import LeaseGrant, LeaseHeld, LeaseRequest
from miniagent_store.backend.rates import RateResult, RateStep
from miniagent_store.backend.reads import ListQuery, ListResult, ReadPlan, ReadResult
from miniagent_store.backend.records import Record
from miniagent_store.backend.rewriting import Rewrite, RewriteResult
from miniagent_store.backend.staging import StagePublish, StageWrite
from miniagent_store.backend.watching import Change, Expired, Subscription, Topic
from miniagent_store.repair_report import Damage, RepairReport
from miniagent_store.values import Finding


@dataclass(frozen=True, slots=True)
class BackendStats:
    """What a backend holds; see `Stats`."""

    sessions: Mapping[str, int]
    messages: int
    size: int
    users: int
    agents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, declared.

    Attributes:
        durable: what was committed survives a crash of the process.
        shared: other processes see the same sessions.
    """

    durable: bool
    shared: bool


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What a backend's factory is told besides the URL.

    Attributes:
        namespace: keeps stores in one place apart; "" for none.
        deadline: seconds that an operation may take, retries included.
        connect_timeout: seconds for the first connection.
        extra: the URL options and keyword arguments that the provider named in `Provider.options`.
        cache_max_size: bytes of keys and values that may be cached; None for no limit.
        grace_ms: how much longer than its session what it holds is kept, for a sweep to read, where it
            would vanish by itself.
    """

    namespace: str = ""
    deadline: float = 10.0
    connect_timeout: float = 2.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    cache_max_size: int | None = None
    grace_ms: int = 0


class Backend(ABC):
    """Where sessions are kept. Subclass it, and run `miniagent_store.testing`'s suite on it.

    An instance belongs to one event loop. Methods may be called at once by many tasks. After `close` they
    raise `StoreClosedError`, in another loop or after a fork `WrongLoopError`. A method answers within
    `BackendOptions.deadline`, or raises `BackendUnavailableError` or `OutcomeUnknownError`: the store above
    repeats what may be repeated, and waits for nothing by itself.
    """

    name: str
    capabilities: Capabilities
    # Called with what becomes of connections; set by the store before `open`.
    tell: Callable[[ConnectionEvent], None] = staticmethod(lambda event: None)

    @abstractmethod
    async def open(self) -> None:
        """Connect, or open files. Called once, before anything else.

        Raises:
            BackendUnavailableError, AccessDeniedError, ConfigurationError: says what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of all connections, files, threads and tasks. May be called twice."""

    @abstractmethod
    def now_ms(self) -> int:
        """The backend's clock, as well as it is known here; costs no round trip."""

    # Sessions

    @abstractmethod
    async def commit(self, commit: Commit) -> CommitResult:
        """Apply `commit` once and as a whole, or raise and change nothing.

        In this order: an identity whose outcome is remembered is answered with it; one below its
        writer's window, or past its not-after, is an `OutcomeUnknownError`; then existence; then
        expected, tails and fence; then each change; then the size. Commits without preconditions never
        conflict. An accepted commit raises the version by one, renews a sliding expiry, replaces the
        token, and wakes the subscribers of the session. A commit with `create.keep_existing` that
        `changes_nothing` on a session that is there changes nothing, not even the version.

        Raises:
            SessionNotFoundError, SessionExistsError: as `create` says. A `retry` with `create` that
                finds no session is an `OutcomeUnknownError`: it must not raise the dead.
            VersionConflictError: `expected`, `expected_tails` or a required state condition; where
                `expected.incarnation` is another, it is a `SessionReplacedError`.
            FencedError: the fence no longer stands.
            LockLostError: the turn is held by no one.
            IdempotencyConflictError: a caller's id stands with another digest; has that and the sequence.
            InvalidArgumentError: a position outside the log.
            SessionTooLargeError, StateTypeError, CapacityError, BackendUnavailableError,
            OutcomeUnknownError, SessionDamagedError.
        """

    @abstractmethod
    async def read(self, plan: ReadPlan) -> ReadResult:
        """Read what `plan` asks for, as of one moment. Renews nothing."""

    @abstractmethod
    async def touch(self, session_id: str, ttl_ms: int | None, keep_ttl: bool) -> Record:
        """Renew the expiry to now + TTL, with a new TTL unless `keep_ttl`. No new version.

        Raises:
            SessionNotFoundError: there is none.
        """

    @abstractmethod
    async def list(self, query: ListQuery) -> ListResult:
        """Records by last activity; ties by id. Renews nothing. No live session is missing."""

    @abstractmethod
    async def delete(self, session_id: str, incarnation: str | None = None) -> bool:
        """Remove the session with all its parts; whether it was there.

        With `incarnation`, only that one.
        """

    @abstractmethod
    async def stage(self, write: StageWrite) -> None:
        """Add to a stage. What was staged is invisible, and is dropped when its time is up."""

    @abstractmethod
    async def publish(self, publish: StagePublish) -> CommitResult:
        """Turn the stage into a session with a new incarnation, in one step; once for its identity.

        Raises:
            SessionExistsError: the id is taken; the stage is dropped.
            BackendUnavailableError: the stage is gone.
        """

    @abstractmethod
    async def discard(self, session_id: str, stage: str) -> None:
        """Drop a stage; nothing happens if there is none."""

    # Leases

    @abstractmethod
    async def acquire(self, request: LeaseRequest) -> LeaseGrant | LeaseHeld:
        """Take a lease if it is free or expired and nobody has a better claim, or if it is the owner's own.

        A new owner gets a fence above any before. For a turn, fence and a new guard are written into
        the record at once, so that a holder who lost it can no longer commit.

        Who asks with `line_until_ms` and does not get it has a place in line until then; asking again
        keeps the place. The first in line has the lease to itself for `rules.CLAIM_MS` after it became
        free, the first two for as long again, and so on: who does not come is passed over, and its place
        is gone.

        Raises:
            BackendUnavailableError: it came after its `not_after_ms`; nothing was changed.
        """

    @abstractmethod
    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        """Hold on for another `ttl_ms`; False if the lease is no longer this owner's."""

    @abstractmethod
    async def release(self, request: LeaseRequest, fence: int) -> bool:
        """Let go of the lease; whether it was this owner's. Wakes the first in line, and no one else.

        With fence 0, give up whatever this owner has: the lease, or its place in line.
        """

    # Cache and rate limits

    @abstractmethod
    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Values by key, None where there is none."""

    @abstractmethod
    async def cache_set(self, items: Sequence[CacheItem]) -> None:
        """Keep values, in the place of those that were there, tags included. May be evicted at any time.

        All that is cached together stays within `BackendOptions.cache_max_size`, or not much over it. What
        has expired goes first, then what was not used for longest; a hit may be noted now and then only.
        """

    @abstractmethod
    async def cache_delete(self, keys: Sequence[str]) -> int:
        """Remove keys; how many were there."""

    @abstractmethod
    async def cache_clear(self, prefix: str, tag: str | None = None) -> int:
        """Remove all keys that start with `prefix` and, with `tag`, have that tag; how many."""

    @abstractmethod
    async def rate_limit(self, step: RateStep) -> RateResult:
        """Count one more if the limit allows, by the backend's clock."""

    @abstractmethod
    async def rate_reset(self, key: str) -> None:
        """Forget what was counted under `key`, by every algorithm."""

    # Watching

    @abstractmethod
    async def subscribe(self, topic: Topic) -> Subscription:
        """Be woken when something happens to `topic`, or when it cannot be known that nothing did."""

    @abstractmethod
    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        """End a subscription."""

    @abstractmethod
    async def changes(self, after: str | None, limit: int) -> tuple[Sequence[Change], str]:
        """Sessions that changed after a cursor, oldest first, and the cursor after them.

        A session that changed several times comes once, with its latest. `after=None`: no changes, and
        the cursor of now.
        """

    # Writing stored bytes anew: rotation of keys, other formats

    @abstractmethod
    async def kinds(self) -> Sequence[str]:
        """All kinds that sessions here are of; there may be some of which none is left."""

    @abstractmethod
    async def session_ids(
        self, kind: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[str], str | None]:
        """Ids of all sessions of a kind, page by page, and the cursor of the next page; None at the end.

        Whatever is written meanwhile, each session that is there from the first page to the last comes
        at least once. (That is not so of `list`, even ascending: the last activity that a commit says may
        lie before the one that stands, and so before a cursor.) An id may come twice, its session may be
        gone, and a page may be empty, or longer than `limit` by a few hundred.

        A cursor holds as long as the server does. After a failover to another one, begin anew.
        """

    @abstractmethod
    async def rewrite(self, rewrite: Rewrite) -> RewriteResult:
        """Replace those parts of a session that are still as they were read, in one step.

        An entry is the same if its id and its payload are, metadata and values if their bytes are. A
        session that is missing, has expired or is of another incarnation is left alone.

        The session stays what it is: no new version, epoch, last activity or expiry, and nothing of an
        entry or value but its payload changes: redacted mark, time, version, caller's id, digest and own
        expiry stay, as do the outcomes that are remembered. Nobody is woken, no change is told. The size
        follows the new lengths, without regard to any limit. Only the guard of the token is replaced, so
        that no commit that was made ready before brings old metadata back.

        After an `OutcomeUnknownError` it may be repeated: what was replaced counts as kept then.
        """

    @abstractmethod
    async def cache_scan(
        self, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, bytes]], str | None]:
        """All that is cached, as (key, value), page by page; as `session_ids`."""

    @abstractmethod
    async def cache_replace(self, key: str, old: bytes, new: bytes) -> bool:
        """Put `new` in the place of a cached `old`, which keeps its TTL; False if it is not `old`."""

    # Tenants

    def within(self, namespace: str) -> Backend:
        """A backend over the same connections, threads and files in another namespace. No I/O.

        It is as one that was opened with that namespace, but that its `open` and `close` neither make nor
        end what is shared: closing it ends its own subscriptions only, and closing this one ends both.

        Raises:
            NotImplementedError: this backend cannot; another one of its URL is opened instead.
        """
        raise NotImplementedError

    def apart(self) -> Backend:
        """A backend on the same data and namespace for another event loop, sharing no connection. No I/O.

        For those whose data lives in the object, and no URL would find it again.

        Raises:
            NotImplementedError: the URL finds the data; another one of it is opened instead.
        """
        raise NotImplementedError

    async def settle(self) -> None:
        """Write what is held back for a moment, such as notes for listings. Nothing by default."""
        return

    async def erase(self, cursor: str | None, limit: int) -> tuple[Mapping[str, int], str | None]:
        """Remove some of all that stands in this namespace, whatever it is; nothing of any other.

        Called until the cursor is None. Others may write meanwhile: what was written before the last step
        may be left, what is written after it is new. A part of it that was done is not undone; beginning
        anew does the rest.

        Args:
            cursor: None at first, then as returned.
            limit: about how many items to remove.

        Returns:
            How many items of which sort were removed ("sessions" are records of all kinds), and the cursor
            to go on with; None when nothing is left.

        Raises:
            NotImplementedError: this backend cannot.
        """
        raise NotImplementedError

    async def namespaces(self, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        """Namespaces below this one that hold anything, page by page, and the cursor of the next page.

        Below "" are all others, below "prod" those that start with "prod.". A name may come twice, and a
        page may be empty. What has expired counts until it is swept.

        Raises:
            NotImplementedError: this backend cannot.
        """
        raise NotImplementedError

    # Running it

    @abstractmethod
    async def ping(self) -> dict[str, Any]:
        """One round trip that reads and writes nothing of anyone's; details for `Health`.

        Raises:
            StoreError: it is not well; says why.
        """

    async def findings(self) -> Sequence[Finding]:
        """What a look at the servers shows, for `Health`. A server that is ill is a finding, no error.

        With a finding of level "error" a store is not well (`Health.ok`).
        """
        return ()

    async def approach(self) -> Sequence[Finding]:
        """What is found on the way to the servers or files, for `doctor`: names, addresses, rights.

        Called before `open`, which is not called if an error is among what is found. Changes nothing, and
        raises nothing that it can tell as a finding. `close` is called afterwards in any case.
        """
        return ()

    async def examine(self, sample: int | None) -> Sequence[Finding]:
        """What `findings` tells, and what takes longer to see: for `doctor`, of a backend that is open.

        Args:
            sample: about how many sessions to look at, so that it takes seconds at most; None for all.
        """
        return await self.findings()

    @abstractmethod
    async def stats(self) -> BackendStats:
        """What is held. Should not take longer for more sessions."""

    @abstractmethod
    async def count(self, query: ListQuery) -> int:
        """How many live sessions `list` would show in all; cursor, order and limit are not looked at."""

    async def count_expiring(self, until_ms: int) -> int | None:
        """How many live sessions of kind "session" expire until then, as things are.

        None, as by default, where that is only to be known by looking at each.
        """
        return None

    # Cleaning up

    @abstractmethod
    async def claim_expired(self, limit: int, claim_ms: int) -> Sequence[Expired]:
        """Expired sessions, at most `limit`, for this caller alone.

        What is not finished within `claim_ms` may be claimed again. A claimed session can still be read
        with `ReadPlan.expired`, where it is kept. A session whose id was taken by a new one before a
        sweep came may be told here, or in `CommitResult.replaced`.
        """

    @abstractmethod
    async def finish_expired(self, expired: Sequence[Expired]) -> None:
        """Remove all that is left of claimed sessions, a turn that nobody holds included.

        A session that was made under the same id meanwhile is left alone. May be repeated.
        """

    async def reclaim(self) -> None:
        """Remove what else has expired (values, stages, leases, cached values), where it does not vanish
        by itself.
        """
        return

    async def reconcile(self, progress: Callable[[int], None] | None = None) -> int:
        """Put right what listings, counts and sweeps go by, from the records; how many places were wrong.

        Nothing to do where they are part of the same step as the records.

        Args:
            progress: called again and again with how many records have been looked at.
        """
        return 0

    async def repair(
        self,
        report: RepairReport,
        *,
        salvage: bool = False,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Find and mend what a crash, an eviction or somebody's hand left; see `SessionStore.repair`.

        Others may read and write meanwhile, and what they are about is no damage. By default, all that can
        be wrong is what `reconcile` puts right, which cannot be told without doing it.

        Args:
            report: takes what is found, as it is found.
            salvage: make sessions that lack a part readable again, with what is left of them.
            dry_run: only look.
            progress: called again and again with how many records have been looked at.
        """
        if not dry_run:
            wrong = await self.reconcile(progress)
            what = "what listings, counts or sweeps go by was wrong"
            report.add(Damage("index", "listings", what, mended=True), wrong)
