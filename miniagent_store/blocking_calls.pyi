"""What a blocking store can do, for editors: derived by tests/store/blocking_stub.py."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from miniagent_store.backend import RateAlgorithm
from miniagent_store.blocking import BlockingFace
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.embedder import Embedder
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.provider import KeyProvider
from miniagent_store.options import TTL
from miniagent_store.reencryption import Reencryption
from miniagent_store.repair_report import RepairReport
from miniagent_store.store.inspection import Inspection
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.tenant_limits import TenantLimits
from miniagent_store.store.tenants import TenantDeletion
from miniagent_store.usage_report import UsageReport
from miniagent_store.values import (
    MESSAGES,
    BatchResult,
    Entry,
    Health,
    Message,
    Page,
    Position,
    RateLimit,
    Session,
    SessionEvent,
    Snapshot,
    StateItem,
    Stats,
)

P = ParamSpec("P")
R = TypeVar("R")
DEFAULT_NAMESPACE = "default"
JITTER = 0.1
Messages = Mapping[str, Any]
Version = int | Session

class BatchState:
    """The state's part of a batch; nothing happens before the batch commits."""

    def set(self, name: str, value: Any, *, ttl: TTL | None = None, if_version: int | None = None) -> None:
        """Set a value.

        Args:
            name: printable text.
            value: anything of the value model.
            ttl: the value's own, in seconds or as "1h".
            if_version: the value must be at this version (0: absent), or the commit is a conflict.
        """

    def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, required: bool = False
    ) -> None:
        """Set a value unless there is one, which then stands in `BatchResult.kept_out`.

        Args:
            name: printable text.
            value: anything of the value model.
            ttl: the value's own.
            required: whether a value that is there makes the whole commit a conflict.
        """

    def delete(self, name: str, *, if_version: int | None = None) -> None:
        """Remove a value; one that is not there stands in `BatchResult.kept_out`."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove all values whose names start with `prefix`; "" is all."""

    def add(self, name: str, delta: int = 1) -> None:
        """Add to a counter; its value afterwards stands in `BatchResult.counters`."""

class BlockingBatch(BlockingFace):
    """Collects changes; one commit at the end of its ``with``, nothing after an exception.

    Attributes:
        state: changes of state.
        result: what the commit did; None until then, and if there was nothing to commit.
    """

    state: BatchState
    result: BatchResult | None

    @property
    def session_id(self) -> str: ...
    def append(
        self,
        *messages: Mapping[str, Any],
        log: str = MESSAGES,
        time: datetime | None = None,
        dedupe: bool = True,
    ) -> None:
        """Append messages, or any mappings, to a log.

        Args:
            *messages: in order.
            log: the log.
            time: of all of them, instead of the store's.
            dedupe: whether a text under "id" is the caller's identity of the entry.
        """

    def replace(
        self,
        entries: Iterable[Mapping[str, Any]],
        *,
        from_seq: int = 1,
        expected_tail: Position | None = None,
        log: str = MESSAGES,
    ) -> None:
        """Write a log anew from a sequence on; `expected_tail`: only if nothing happened since."""

    def redact(self, seq: int, *, reason: str, log: str = MESSAGES) -> None:
        """Put a tombstone in the place of an entry."""

    def trim(self, *, before: int, log: str = MESSAGES) -> None:
        """Remove the entries below sequence `before`."""

    def clear(self) -> None:
        """Empty all logs; state and metadata stay."""

    def rewind(self, *, to: int) -> None:
        """Go back to message `to` (inclusive); other logs with it."""

    def expect_tail(self, position: Position, *, log: str = MESSAGES) -> None:
        """Commit only if nothing was added to `log`, and no log was changed, since `position`."""

    @property
    def metadata(self) -> dict[str, Any] | None:
        """New metadata; assigning replaces the whole dict. None: leave it as it is."""

    @metadata.setter
    def metadata(self, metadata: Mapping[str, Any]) -> None: ...
    @property
    def tags(self) -> tuple[str, ...] | None:
        """New tags; assigning replaces all. None: leave them as they are."""

    @tags.setter
    def tags(self, tags: Iterable[str] | Mapping[str, str]) -> None: ...
    @property
    def last_activity(self) -> datetime | None:
        """What to show as last activity instead of the time of the commit; an aware datetime."""

    @last_activity.setter
    def last_activity(self, time: datetime) -> None: ...
    def commit(self, operation: str = "batch") -> BatchResult:
        """Commit now; what ``with`` does at its end."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class BlockingTurn(BlockingBatch):
    """One writer at a time, one atomic commit at the end; nothing after an exception.

    Attributes:
        session: the record when the turn was taken; None if there was none (`create=True`).
        snapshot: all that was read then; None if there was no session.
        history: the messages read then.
    """

    session: Session | None
    snapshot: Snapshot | None
    history: list[Message]

    @property
    def lease(self) -> BlockingLease:
        """The lock; `turn.lease.lost` tells when to stop."""

    def __enter__(self) -> Self: ...
    def commit(self, operation: str = "turn") -> BatchResult:
        """Commit what was collected and give the turn back; at most once.

        Raises:
            LockLostError: the turn was lost; nothing was stored.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class BlockingLease(BlockingFace):
    """A lock that is held; renewed every third of its TTL until released.

    Attributes:
        name: the lock, or the session whose turn it is.
        fence: higher than any before; pass the lease as ``fence=`` to protect a commit with it.
    """

    name: str
    fence: int

    @property
    def lost(self) -> bool:
        """Whether it is no longer certain that the lock is held; true before it expires."""

    def wait_lost(self) -> None:
        """Wait until the lock is lost."""

class BlockingLock(BlockingFace):
    """``with store.lock(name) as lease``: any name, apart from turns."""

    def __enter__(self) -> BlockingLease: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class BlockingStateHandle(BlockingFace):
    """An ordered map of named values: read by name, by many names, or by prefix in order.

    Values are anything of the value model. A missing name is not None: `get` takes a default. Changes
    are commits of the session.

    Args:
        core: of the store.
        session_id: whose state.
        create: make the record with the first change, and read as empty before.
    """

    def item(self, name: str) -> StateItem | None:
        """A value with its version and expiry; None if it is absent."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or `default` if it is absent.

        Raises:
            SessionNotFoundError: there is no session.
        """

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values that are there, by name, in one round trip."""

    def scan(
        self, prefix: str = "", *, start: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[StateItem]:
        """Names that start with `prefix`, in order, as (name, value) pairs that know their version.

        Args:
            prefix: "" for all.
            start: the first name to look at (inclusive); with `reverse`, the highest.
            limit: at most so many.
            reverse: from the highest name down.
        """

    def set(
        self,
        name: str,
        value: Any,
        *,
        ttl: TTL | None = None,
        if_version: int | None = None,
        commit_id: str | None = None,
    ) -> int:
        """Set a value; returns its new version.

        Args:
            name: printable text, at most 1,024 bytes.
            value: anything of the value model.
            ttl: the value's own; without one it lives as long as the session.
            if_version: it must be at this version; 0: absent.
            commit_id: ask again under this identity.

        Raises:
            VersionConflictError: it is not at `if_version`.
        """

    def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, commit_id: str | None = None
    ) -> bool:
        """Set a value unless there is one; whether it was set."""

    def delete(self, name: str, *, if_version: int | None = None, commit_id: str | None = None) -> bool:
        """Remove a value; whether it was there.

        Raises:
            VersionConflictError: it is not at `if_version`.
        """

    def delete_prefix(self, prefix: str, *, commit_id: str | None = None) -> None:
        """Remove all values whose names start with `prefix`; "" is all."""

    def add(self, name: str, delta: int = 1, *, commit_id: str | None = None) -> int:
        """Add to a counter (int64, 0 at first); its value afterwards.

        Raises:
            StateTypeError: another kind of value stands there, or the counter would overflow.
        """

class BlockingKeyValue(BlockingFace):
    """A collection of keys and values: what a user prefers, an application's settings.

    It is the state of records of kind "kv": made by the first write, without a TTL of its own. Each value
    may have one, and versions make compare-and-set.

    Args:
        core: of the store.
        record_id: of the collection's first record.
        shards: over how many records (and so slots) to spread a big collection; fixed by the first write.
    """

    def item(self, name: str) -> StateItem | None:
        """A value with its version and expiry; None if it is absent."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or `default` if it is absent."""

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values that are there, by name; one round trip a shard, all at once."""

    def scan(
        self, prefix: str = "", *, start: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[StateItem]:
        """Names that start with `prefix`, in order, over all shards; see `StateHandle.scan`."""

    def ttl(self, name: str) -> float | None:
        """Seconds until a value expires; None if it is absent or never does."""

    def set(
        self,
        name: str,
        value: Any,
        *,
        ttl: TTL | None = None,
        if_version: int | None = None,
        commit_id: str | None = None,
    ) -> int:
        """Set a value; its new version. See `StateHandle.set`."""

    def set_many(self, values: Mapping[str, Any], *, ttl: TTL | None = None) -> None:
        """Set several values; atomic within a shard."""

    @contextmanager
    def batch(self) -> Iterator[BlockingBatch]:
        """Any number of changes of a collection in one commit at the end of a ``with``.

        Raises:
            ConfigurationError: the collection is spread over shards, which no commit spans.
        """

    def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, commit_id: str | None = None
    ) -> bool:
        """Set a value unless there is one; whether it was set."""

    def delete(self, name: str, *, if_version: int | None = None, commit_id: str | None = None) -> bool:
        """Remove a value; whether it was there."""

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it; `default` if it is absent. One caller gets it."""

    def add(self, name: str, delta: int = 1, *, commit_id: str | None = None) -> int:
        """Add to a counter; its value afterwards. See `StateHandle.add`."""

    def clear(self) -> None:
        """Remove all values; one commit a shard that is there."""

class BlockingCache(BlockingFace):
    """Values of the value model by key, in namespaces that can be cleared as a whole.

    A cache that cannot be reached takes nobody down: `get` finds nothing, `set` keeps nothing, functions
    that are `cached` compute, and a warning is logged once a minute. `delete` and `clear` raise, since
    what they were to remove may still be there.
    """

    @property
    def hits(self) -> int:
        """How many keys that this opened store looked for were there."""

    @property
    def misses(self) -> int:
        """How many were not."""

    def key(self, *parts: Any) -> str:
        """A key out of anything: a digest of values of the value model, keyed where values are encrypted.

        It is the same in every process that has the store's keys, and says nothing about the values.
        """

    def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """A value, or `default` if there is none."""

    def get_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """The values that are there, by key, in one round trip."""

    def set(
        self,
        key: str,
        value: Any,
        *,
        ttl: TTL | None = 300,
        jitter: float = JITTER,
        tags: Iterable[str] = (),
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """Keep a value.

        Args:
            key: printable, no braces, at most 512 bytes.
            value: anything of the value model. One that is larger than a sixteenth of ``cache_max_size``
                is not kept.
            ttl: seconds, or a text such as "5m"; "never" or None for no expiry.
            jitter: up to such a share of the TTL a value expires earlier, each by another, so that what
                was set together is not missing, and computed, all at once; 0 for exactly the TTL.
            tags: what `clear` can clear it by.
            namespace: what `clear` clears.
        """

    def set_many(
        self,
        values: Mapping[str, Any],
        *,
        ttl: TTL | None = 300,
        jitter: float = JITTER,
        tags: Iterable[str] = (),
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        """Keep several values in one round trip, each as `set` does."""

    def delete(self, *keys: str, namespace: str = DEFAULT_NAMESPACE) -> bool:
        """Remove keys; whether any was there."""

    def delete_many(self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE) -> int:
        """Remove keys in one round trip; how many were there.

        Raises:
            BackendUnavailableError: the cache cannot be reached; they may still be there.
        """

    def clear(self, namespace: str | None = None, *, tag: str | None = None) -> int:
        """Remove all that is in a namespace, or has a tag, or both; how many there were.

        Args:
            namespace: with neither this nor `tag`, "default"; with `tag` alone, all namespaces.
            tag: as given to `set`.

        Raises:
            BackendUnavailableError: the cache cannot be reached; they may still be there.
        """

    def cached(
        self,
        ttl: TTL | None = 300,
        key: str | Callable[..., str] | None = None,
        *,
        jitter: float = JITTER,
        tags: Iterable[str] | Callable[..., Iterable[str]] = (),
        negative_ttl: TTL | None = None,
        negative: type[Exception] | tuple[type[Exception], ...] = (),
        lease: float = 10,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function: one caller computes, all instances share the result.

        A function that is not async runs in a thread. One that raises raises for its own caller alone;
        those who wait compute for themselves. Where the cache cannot be reached, everyone computes.

        Args:
            ttl, jitter, namespace: as `set` takes them.
            key: a text, or a function of the arguments; by default the function's name and a digest of the
                arguments, which must then be of the value model.
            tags: as `set` takes them, or a function of the arguments.
            negative_ttl: how long None is kept, and the errors of `negative`; None for as long as others.
            negative: errors that are results: they are kept, and raised again for those who find them, as
                the class that is named here and with their arguments, if these are of the value model.
            lease: seconds that the others wait for one that computes and dies; while it lives they wait
                for as long as it takes.
        """

class BlockingSweeper(BlockingFace):
    """Sweeps again and again while it holds a lock that all instances ask for.

    ``with store.sweeper(every="5m"): …``, or `start` and `stop`.
    """

    @property
    def is_elected(self) -> bool:
        """Whether it is this instance that sweeps."""

    def start(self) -> None:
        """Begin, unless begun."""

    def stop(self) -> None:
        """End, and wait until it has ended; another instance takes over when it looks again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class StoreCalls(BlockingFace):
    """Sessions that survive restarts, are shared, expire, and never lose or interleave a message.

    Made by `open_store`. Belongs to one event loop. Every changing call is one atomic commit with an
    identity: the store repeats it after a lost reply and it is stored once. Where it cannot be known
    whether it was, that is an `OutcomeUnknownError`, whose `commit_id` may be given to the same call
    again, in another process too.

    All calls may raise `StoreClosedError`, `WrongLoopError`, `BackendUnavailableError`,
    `InvalidArgumentError` and, where values are read or written, `SerializationError`; those that need a
    session, `SessionNotFoundError`. What else is raised stands with each call.
    """

    def open(self) -> Self:
        """Connect now; otherwise the first call does."""

    def close(self) -> None:
        """Let go of everything; calls afterwards raise `StoreClosedError`. May be called twice."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @property
    def url(self) -> str:
        """The URL, with secrets as ``***``."""

    @property
    def types(self) -> TypeRegistry:
        """Where classes of yours are registered by stable names, to be stored as values."""

    def create(
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

    def get(self, session_id: str, *, touch: bool = False) -> Session:
        """The record. Reading does not renew the TTL unless `touch`."""

    def list(
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

    def update(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | Mapping[str, str] | None = None,
        expected_version: Version | None = None,
        fence: int | BlockingLease | None = None,
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

    def touch(self, session_id: str, ttl: TTL | None = None) -> Session:
        """Renew the expiry, with a new TTL if one is given. No new version, no activity."""

    def delete(
        self, session_id: str, *, incarnation: str | None = None, commit_id: str | None = None
    ) -> bool:
        """Remove a session with all its parts; whether it was there.

        Args:
            session_id: the session.
            incarnation: only this life of it (`Session.incarnation`), none that was created since.
            commit_id: ask again under this identity.
        """

    def append(
        self,
        session_id: str,
        *messages: Messages,
        log: str = MESSAGES,
        expected_version: Version | None = None,
        create: bool = False,
        fence: int | BlockingLease | None = None,
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

    def batch(
        self,
        session_id: str,
        *,
        expected_version: Version | None = None,
        create: bool = False,
        kind: str = "session",
        fence: int | BlockingLease | None = None,
        commit_id: str | None = None,
    ) -> BlockingBatch:
        """Any number of changes in one commit at the end of a ``with``; no lock.

        Args:
            session_id: the session.
            expected_version: a number, or a `Session` as it was read.
            create: make the session if it is missing, with the store's own TTL.
            kind: what a session that is made carries; listings and limits see kind "session".
            fence: a lock's, to be checked.
            commit_id: ask again under this identity.
        """

    def turn(
        self,
        session_id: str,
        *,
        wait: float = 30,
        last: int | None = None,
        create: bool = False,
        commit_id: str | None = None,
    ) -> BlockingTurn:
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

    def snapshot(
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

    def history(
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

    def replay(self, session_id: str, after: int | Position = 0) -> Iterator[Message]:
        """All messages after a sequence, read page by page.

        Raises:
            VersionConflictError: what was told already was changed on the way.
        """

    def entries(
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

    def inspect(
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

    def count(self, session_id: str, *, log: str = MESSAGES, after: int = 0) -> int:
        """How many entries stand in a log after a sequence."""

    def pop(
        self, session_id: str, n: int = 1, *, log: str = MESSAGES, commit_id: str | None = None
    ) -> builtins.list[Message]:
        """Remove the last entries and return them, in order; atomic. A new epoch."""

    def replace(
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

    def redact(
        self, session_id: str, seq: int, *, reason: str, log: str = MESSAGES, commit_id: str | None = None
    ) -> Session:
        """Put a tombstone, which says when and why, in the place of an entry. A new epoch."""

    def trim(
        self, session_id: str, *, before: int, log: str = MESSAGES, commit_id: str | None = None
    ) -> Session:
        """Remove the entries below sequence `before`. A new epoch; sequences stay."""

    def clear(self, session_id: str, *, commit_id: str | None = None) -> Session:
        """Empty all logs; state and metadata stay, sequences go on. A new epoch."""

    def rewind(self, session_id: str, *, to: int, commit_id: str | None = None) -> Session:
        """Go back to message `to` (inclusive; 0: before the first), other logs with it. A new epoch."""

    def fork(
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

    def state(self, session_id: str) -> BlockingStateHandle:
        """Named values of a session."""

    def kv(self, collection: str, *, shards: int = 1) -> BlockingKeyValue:
        """Keys and values apart from any conversation."""

    def user(self, user_id: str) -> BlockingKeyValue:
        """Keys and values of a user."""

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

    def watch(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        after: Position | None = None,
        entries: bool = True,
    ) -> Iterator[SessionEvent]:
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

    def lock(self, name: str, *, ttl: float = 10, wait: float = 30) -> BlockingLock:
        """A lock by name, renewed while held.

        Args:
            name: any id.
            ttl: seconds until others may take it if this process dies.
            wait: seconds to wait for it; 0 fails at once.

        Raises:
            LockTimeoutError: someone else kept it.
        """

    @property
    def cache(self) -> BlockingCache:
        """Values that may be evicted: tool results, model answers."""

    def rate_limit(
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
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
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

    def reset_rate_limit(self, key: str) -> None:
        """Forget what was counted under a key, by every algorithm."""

    def health(self, *, deep: bool = False) -> Health:
        """How the store is; never raises for a sick server.

        Args:
            deep: look also at what takes a few seconds: whether a sample of what is stored can be read with
                these keys, indexes, clocks, free space. `miniagent_store.doctor` also looks at the way to a
                store that cannot be opened.
        """

    def usage(
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

    def stats(self) -> Stats:
        """What the store holds; never raises for a sick server."""

    def count_sessions(
        self,
        *,
        user_id: str | None = None,
        agent: str | None = None,
        kind: str = "session",
        tags: Iterable[str] | Mapping[str, str] | None = None,
    ) -> int:
        """How many live sessions `list` would show in all; fast where there is one filter at most."""

    def count_expiring(self, within: TTL) -> int | None:
        """How many live sessions expire within this time, if nothing renews them.

        Args:
            within: seconds, or "1h".

        Returns:
            None where the backend could only tell by looking at each session.
        """

    def sweep(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Reclaim what expired; how many sessions. What expired is never shown, swept or not.

        Several may sweep at once: each session is taken by one of them, which gives it to the hook
        `session_archive` where there is one, and tells `session_expired`. One whose sweep dies in the
        middle, or whose archive fails, comes again after half a minute.

        Args:
            progress: called again and again with how many have been reclaimed.
        """

    def sweeper(self, *, every: TTL = 60, reconcile_every: TTL = "1d") -> BlockingSweeper:
        """Sweep in the background: ``with store.sweeper(): …``, or its `start` and `stop`.

        However many instances do so, one of them sweeps, and another takes over when that one ends.

        Args:
            every: seconds between two sweeps, or "1m".
            reconcile_every: seconds between two calls of `reconcile`, or "1d", or "never".
        """

    def reconcile(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Put right what listings, counts and sweeps go by, from all that is stored.

        A crash, a failover or an eviction may have left it wrong on Redis; on other backends nothing can
        be. It looks at every session: once a day is often.

        Args:
            progress: called again and again with how many sessions have been looked at.

        Returns:
            How many places were wrong.
        """

    def repair(
        self, *, salvage: bool = False, dry_run: bool = False, progress: Callable[[int], None] | None = None
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

    def reencrypt(
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

    def shred(self, session_id: str) -> bool:
        """Destroy a session's data key (``shred=true``): what the session holds can never be read again.

        What was written before the session had a data key is not shredded; `reencrypt` gives it to all.

        Returns:
            Whether it had one.

        Raises:
            SessionNotFoundError: there is no such session.
        """

    def tenant(
        self,
        name: str,
        *,
        limits: TenantLimits | None = None,
        keyring: Keyring | KeyProvider | None = None,
        **options: Any,
    ) -> StoreCalls:
        """A view of one tenant: its own sessions, collections, cache, locks, limits and notifications.

        It shares this store's connections and threads, and is made without I/O. On a store without a
        namespace it is what ``open_store(url, namespace=name)`` is; inside a namespace it is nested, and no
        namespace that can be given meets it. Asked for again in the same way it is the same view. It ends
        with this store; `close` ends what is its own (who watches, what runs in the background), while
        leaving a ``with`` ends nothing, since others may have the same view.

        Args:
            name: 1 to 64 letters, digits, "_" and "-".
            limits: what it may hold and do through this view.
            keyring: keys of its own. Once they are destroyed, nothing that it holds can be read again.
            **options: as of `open_store`, instead of this store's; all but those of connections.

        Raises:
            InvalidArgumentError: the name cannot be one.
            ConfigurationError: an option is unknown or cannot be used.
        """

    def tenants(self) -> builtins.list[str]:
        """Names of the tenants that hold anything, or whose own tenants do, in order.

        What has expired counts until it is swept. On Redis this walks over the names of all keys.

        Raises:
            ConfigurationError: the backend cannot say.
        """

    def delete_tenant(
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

    def new_commit_id(self) -> str:
        """An identity for one changing call, good for 30 seconds, in any process."""
