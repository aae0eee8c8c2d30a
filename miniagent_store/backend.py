"""What keeps bytes: the contract of a backend. Each method is one atomic step.

The store above validates, encodes and mints ids; a backend is given bytes and plain values and knows
nothing of messages. Times are milliseconds since 1970 by the backend's own clock (`Backend.now_ms`),
which is the server's where there is one. What has expired is treated as if it were not there, with no
sweeper running. Errors are raised as subclasses of `StoreError`; a backend never guesses: where it
cannot be known whether a commit was applied, it raises `OutcomeUnknownError`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.values import MESSAGES, Position

# A writer may have so many commits unanswered on one session, and so many outcomes are remembered.
OUTCOME_WINDOW = 32
# A commit may be valid for so long, and a writer is forgotten so long after its last one.
MAX_NOT_AFTER_MS = 30_000
FORGET_WRITER_MS = 60_000
# The record keeps the lowest changed sequences of so many epochs.
KEPT_EPOCHS = 16


# -- what is stored ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogTail:
    """The extent of a log: sequences base + 1 … base + count stand."""

    base: int = 0
    count: int = 0

    @property
    def last(self) -> int:
        return self.base + self.count


@dataclass(frozen=True, slots=True)
class Record:
    """A session's record, as a backend keeps it.

    Attributes:
        ttl_ms: None for never.
        sliding: whether commits renew the expiry.
        token: 24 bytes: of the last commit (16), and a guard (8) that touching and turns replace too.
        metadata: encoded by the store.
        logs: extent of each log that was ever written.
        size: encoded bytes of entries, state values and metadata.
        fence: of the newest turn or lock that was proved to this record.
        resets: for each of the last `KEPT_EPOCHS` epochs, the lowest changed sequence of each log.
        state_version, metadata_version: of the last commit that changed state, or metadata or tags.
    """

    session_id: str
    kind: str
    user_id: str | None
    agent: str | None
    tags: tuple[str, ...]
    created_ms: int
    last_activity_ms: int
    expires_ms: int | None
    ttl_ms: int | None
    sliding: bool
    version: int
    epoch: int
    incarnation: str
    token: bytes
    metadata: bytes
    logs: Mapping[str, LogTail]
    size: int
    fence: int
    resets: tuple[tuple[int, Mapping[str, int]], ...] = ()
    state_version: int = 0
    metadata_version: int = 0

    @property
    def message_count(self) -> int:
        return self.logs[MESSAGES].count if MESSAGES in self.logs else 0

    @property
    def position(self) -> Position:
        tails = tuple((log, tail.last) for log, tail in self.logs.items())
        return Position(self.incarnation, self.epoch, self.version, tails)

    def tail(self, log: str) -> LogTail:
        """The extent of `log`; empty if it was never written."""
        return self.logs.get(log, EMPTY_LOG)

    def changed_since(self, incarnation: str, epoch: int) -> dict[str, int]:
        """The first sequence of each log from which a copy taken at (incarnation, epoch) is not true.

        Empty if the copy still holds. Further behind than the record remembers, or of another
        incarnation: every log from its start.
        """
        if incarnation != self.incarnation or epoch > self.epoch or self.epoch - epoch > len(self.resets):
            return {log: tail.base + 1 for log, tail in self.logs.items()}
        changed: dict[str, int] = {}
        for at, lowest in self.resets:
            if at > epoch:
                for log, seq in lowest.items():
                    changed[log] = min(seq, changed.get(log, seq))
        return changed


EMPTY_LOG = LogTail()


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to append.

    Attributes:
        id: minted by the store: 12 random bytes.
        time_ms: the caller's time, else the store's.
        payload: encoded by the store.
        caller_id: the caller's id, if one was given.
        digest: of the fields that the caller gave; what is compared when `caller_id` comes again.
    """

    id: bytes
    time_ms: int
    payload: bytes
    caller_id: str | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it stands in a log. Its size in the session is that of its payload."""

    seq: int
    version: int
    id: bytes
    time_ms: int
    payload: bytes
    redacted: bool = False
    caller_id: str | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A state value: either `payload` or `counter` is set.

    Attributes:
        version: of the commit that set it.
        expires_ms: its own expiry, None for none. What has expired is absent.
    """

    name: str
    version: int
    payload: bytes | None
    counter: int | None = None
    expires_ms: int | None = None


# -- commits -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommitIdentity:
    """Who commits, and which of its commits it is.

    Attributes:
        writer: random id of an opened store.
        counter: rises with each commit of that writer.
        not_after_ms: the backend refuses the commit later than this.
    """

    writer: str
    counter: int
    not_after_ms: int

    def __str__(self) -> str:
        return f"{self.writer}-{self.counter:x}-{self.not_after_ms:x}"

    @classmethod
    def parse(cls, text: str) -> CommitIdentity:
        """The identity that `str()` wrote.

        Raises:
            InvalidArgumentError: `text` is not a commit id.
        """
        parts = text.split("-") if isinstance(text, str) else []
        if len(parts) == 3 and 0 < len(parts[0]) <= 64 and parts[0].isalnum():
            try:
                return cls(parts[0], int(parts[1], 16), int(parts[2], 16))
            except ValueError:
                pass
        raise InvalidArgumentError(
            "not a commit id: pass the commit_id of an error, or one of store.new_commit_id()"
        )


@dataclass(frozen=True, slots=True)
class Create:
    """Make the session if it is missing.

    Attributes:
        keep_existing: if it is there, go on with it as it is; otherwise that is a `SessionExistsError`.
    """

    kind: str = "session"
    user_id: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    ttl_ms: int | None = None
    sliding: bool = True
    metadata: bytes = b""
    keep_existing: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """Preconditions on the record; None means any.

    Attributes:
        version: it must be at.
        incarnation: it must have.
        token: its commit token (the first 16 bytes) must be.
    """

    version: int | None = None
    incarnation: str | None = None
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class ExpectedTail:
    """Precondition: nothing was added to `log`, and no log was changed, since."""

    log: str
    incarnation: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of a lock.

    Attributes:
        fence: the number that came with the lock.
        turn_owner: for the session's own turn: its holder. The fence must then be the turn's own, and the
            turn is released by this commit. None for a named lock: no newer fence may have been proved.
    """

    fence: int
    turn_owner: str | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Append `entries` to `log`. One whose caller's id stands there already is not stored again."""

    log: str
    entries: tuple[NewEntry, ...]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Drop what is above sequence `upto`. It must be within the log, or just below its first entry."""

    log: str
    upto: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Drop what is below sequence `before`; at most everything."""

    log: str
    before: int


@dataclass(frozen=True, slots=True)
class Redact:
    """Put a tombstone in the place of entry `seq`: id, time, version and caller's id stay.

    Attributes:
        id: the entry must have this id, else it is a `VersionConflictError`.
    """

    log: str
    seq: int
    id: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Rewind:
    """Drop messages above `to`, and of all other logs what was committed after message `to`."""

    to: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty all logs; sequences go on."""


LogChange = Append | Truncate | Trim | Redact | Rewind | Clear


@dataclass(frozen=True, slots=True)
class StateSet:
    """Set `name` to `payload`.

    Attributes:
        ttl_ms: the value's own, None for none.
        if_version: it must be at this version; 0: it must be absent.
        required: whether a condition that does not hold refuses the whole commit
            (`VersionConflictError`) instead of keeping this one change out.
    """

    name: str
    payload: bytes
    ttl_ms: int | None = None
    if_version: int | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class StateDelete:
    """Remove `name`. If it is absent nothing happens, and `Outcome.kept_out` names it."""

    name: str
    if_version: int | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class StateDeletePrefix:
    """Remove all names that start with `prefix`; "" is all."""

    prefix: str


@dataclass(frozen=True, slots=True)
class StateAdd:
    """Add `delta` to the counter `name`, 0 if absent; its own type, int64.

    Raises:
        StateTypeError: another kind of value stands there, or the counter would overflow.
    """

    name: str
    delta: int


StateChange = StateSet | StateDelete | StateDeletePrefix | StateAdd


@dataclass(frozen=True, slots=True)
class Commit:
    """All that changes a session goes through one of these: all or nothing, once.

    Attributes:
        time_ms: the store's, for `last_activity`, unless `last_activity_ms` is given.
        changes: of logs, applied in their order.
        state: changes of state, applied in their order.
        metadata, tags: new ones; None leaves them.
        max_size: refuse with `SessionTooLargeError` if a record of kind "session" grew and would be over
            it, in bytes.
        retry: an earlier try with the same identity is in doubt.
    """

    session_id: str
    identity: CommitIdentity
    time_ms: int
    create: Create | None = None
    expected: Expected | None = None
    expected_tails: tuple[ExpectedTail, ...] = ()
    fence: Fence | None = None
    changes: tuple[LogChange, ...] = ()
    state: tuple[StateChange, ...] = ()
    metadata: bytes | None = None
    tags: tuple[str, ...] | None = None
    last_activity_ms: int | None = None
    max_size: int | None = None
    retry: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether it asks for no more than that the session exist."""
        return (
            not self.changes
            and not self.state
            and self.metadata is None
            and self.tags is None
            and self.last_activity_ms is None
            and self.fence is None
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit answered; remembered for its identity.

    Attributes:
        version: the session's after it.
        sequences: of appended entries, in order; of one whose caller's id stood already, its own.
        kept_out: names of the state changes that their condition kept out, and of deletes that found
            nothing.
        counters: values of the counters added to, in order.
    """

    version: int
    sequences: tuple[int, ...] = ()
    kept_out: tuple[str, ...] = ()
    counters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The record as it is now, and what the commit answered.

    Attributes:
        replayed: the identity had been seen; `outcome` is the first answer.
        created: the session was made by this commit.
    """

    record: Record
    outcome: Outcome
    replayed: bool = False
    created: bool = False


# -- reads -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogRange:
    """Entries of `log` with after < seq < before; of these the last `last`; of these the first `limit`.

    Attributes:
        not_before_ms: leave out what is older, before `last` and `limit` count.
    """

    log: str
    after: int = 0
    before: int | None = None
    last: int | None = None
    limit: int | None = None
    not_before_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StateScan:
    """Names that start with `prefix`, in order of their UTF-8 bytes.

    Attributes:
        start: the first name to consider (inclusive); with `reverse`, the highest.
        limit: at most so many; None for all.
        reverse: from the highest name down.
    """

    prefix: str = ""
    start: str | None = None
    limit: int | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to read in one consistent step.

    Attributes:
        since: (incarnation, epoch) of the caller's copy. If it no longer holds, each range starts at the
            first changed sequence instead of its `after`, where that is lower.
    """

    session_id: str
    ranges: tuple[LogRange, ...] = ()
    names: tuple[str, ...] = ()
    scans: tuple[StateScan, ...] = ()
    since: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What a `ReadPlan` asked for; `record` is None, and the rest empty, if there is no session.

    Attributes:
        entries: one tuple a range.
        values: of `names`, those that are there.
        scans: one tuple a scan.
        resets: `Record.changed_since` of the plan's `since`.
    """

    record: Record | None
    entries: tuple[tuple[StoredEntry, ...], ...] = ()
    values: tuple[StoredValue, ...] = ()
    scans: tuple[tuple[StoredValue, ...], ...] = ()
    resets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Sessions of one kind by last activity.

    Attributes:
        tags: all of them must be on the session.
        ascending: oldest activity first.
        cursor: (last activity, id) of the last record of the page before.
    """

    kind: str = "session"
    user_id: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    ascending: bool = False
    cursor: tuple[int, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ListResult:
    """A page; `next_cursor` is None at the end."""

    records: tuple[Record, ...]
    next_cursor: tuple[int, str] | None


# -- leases ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Ask for a session's turn, or for a named lock.

    Attributes:
        scope: "turn" (`name` is a session id) or "lock" (any name).
        owner: random token of the holder; the same owner re-acquires with the same fence.
        ttl_ms: how long it holds unless renewed.
        holder: for people: who it is; shown to those who wait.
        plan: read this in the same step, once granted.
        must_exist: for a turn: grant it only if the session is there.
    """

    scope: Literal["turn", "lock"]
    name: str
    owner: str
    ttl_ms: int
    holder: str = ""
    plan: ReadPlan | None = None
    must_exist: bool = False


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """It is yours.

    Attributes:
        fence: higher than any before for this name.
        read: what the request's plan asked for. With `must_exist` and no session there is no record in it,
            and nothing is held.
    """

    fence: int
    expires_ms: int
    read: ReadResult | None = None


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Someone else has it, for `remaining_ms` more unless renewed."""

    holder: str
    remaining_ms: int


# -- staged writes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StageWrite:
    """A part of a session that is being put together out of sight (a fork, an import).

    Attributes:
        stage: random token of the staging.
        entries: to add to logs, with sequence, version and time as they are to stand; in order, no holes.
        values: state values to set as they are.
        ttl_ms: the stage is dropped so long after its last write.
    """

    session_id: str
    stage: str
    entries: tuple[tuple[str, tuple[StoredEntry, ...]], ...] = ()
    values: tuple[StoredValue, ...] = ()
    ttl_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class StagePublish:
    """Make what was staged a session, in one step, if its id is free.

    Attributes:
        create: the record's fields (`keep_existing` is not looked at).
        version: the session's version to start with; entries and values of it are not above it.
        bases: base of each log, for logs whose first entries are gone, and for empty ones.
    """

    session_id: str
    stage: str
    identity: CommitIdentity
    time_ms: int
    create: Create
    version: int
    bases: Mapping[str, int] = field(default_factory=dict)
    max_size: int | None = None
    retry: bool = False


# -- the rest ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RateStep:
    """Count one more under `key`, if the limit allows.

    Attributes:
        algorithm: "fixed" window (counted from the first), "sliding" window (two windows, weighted), or
            token "bucket" (refilled evenly).
        limit: so many a period.
        cost: how many this one counts.
    """

    key: str
    algorithm: Literal["fixed", "sliding", "bucket"]
    limit: int
    period_ms: int
    cost: int = 1


@dataclass(frozen=True, slots=True)
class RateResult:
    """Whether it was allowed (and counted), what remains, and when to try again."""

    allowed: bool
    remaining: int
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """A session changed; `deleted` where it is gone."""

    session_id: str
    kind: str
    user_id: str | None
    version: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    """A session that a sweep removed."""

    session_id: str
    kind: str
    user_id: str | None


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
    """

    namespace: str = ""
    deadline: float = 10.0
    connect_timeout: float = 2.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a subscription is woken by.

    Attributes:
        scope: "session" (it changed, or its turn was released), "lock" (it was released), or "store" (any
            session changed).
        name: session id or lock; "" for the store.
    """

    scope: Literal["session", "lock", "store"]
    name: str = ""


class Subscription:
    """A bounded wake-up: who waits is told that something happened, not what.

    The log is the truth, so several notifications may melt into one.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Tell the one who waits. In the event loop of the subscription only."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until woken, at most `timeout` seconds; whether it was."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Backend(ABC):
    """Where sessions are kept. Subclass it, and run `miniagent_store.testing`'s suite on it.

    An instance belongs to one event loop. Methods may be called at once by many tasks.
    """

    name: str
    capabilities: Capabilities

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
            VersionConflictError: `expected`, `expected_tails` or a required state condition.
            FencedError: the fence no longer stands.
            LockLostError: the turn is held by no one.
            IdempotencyConflictError: a caller's id stands with another digest.
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
        """Take a lease if it is free, expired, or the owner's own.

        A new owner gets a fence above any before. For a turn, fence and a new guard are written into
        the record at once, so that a holder who lost it can no longer commit.
        """

    @abstractmethod
    async def renew(self, request: LeaseRequest, fence: int) -> bool:
        """Hold on for another `ttl_ms`; False if the lease is no longer this owner's."""

    @abstractmethod
    async def release(self, request: LeaseRequest, fence: int) -> bool:
        """Let go; whether it was this owner's. Wakes who waits."""

    # Cache and rate limits

    @abstractmethod
    async def cache_get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Values by key, None where there is none."""

    @abstractmethod
    async def cache_set(self, items: Sequence[tuple[str, bytes, int | None]]) -> None:
        """Set (key, value, TTL in ms or None). May be evicted at any time."""

    @abstractmethod
    async def cache_delete(self, keys: Sequence[str]) -> int:
        """Remove keys; how many were there."""

    @abstractmethod
    async def cache_clear(self, prefix: str) -> int:
        """Remove all keys that start with `prefix`; how many."""

    @abstractmethod
    async def rate_limit(self, step: RateStep) -> RateResult:
        """Count one more if the limit allows, by the backend's clock."""

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

    # Running it

    @abstractmethod
    async def ping(self) -> dict[str, Any]:
        """One round trip that reads and writes nothing of anyone's; details for `Health`.

        Raises:
            StoreError: it is not well; says why.
        """

    @abstractmethod
    async def stats(self) -> BackendStats:
        """What is held."""

    @abstractmethod
    async def sweep(self, limit: int) -> Sequence[Expired]:
        """Reclaim what has expired, at most `limit` sessions; each is told to one caller only."""
