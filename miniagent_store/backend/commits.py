"""A commit: who makes it, on what conditions, what it changes, and what it answers.

All of these are values that nobody changes. Those that every append makes are not declared frozen, which
makes them three times as slow to make.
"""

from __future__ import annotations

from dataclasses import dataclass

from miniagent_store.backend.records import NewEntry, Record
from miniagent_store.backend.watching import Expired
from miniagent_store.errors import InvalidArgumentError

# A writer may have so many commits unanswered on one session, and so many outcomes are remembered.
OUTCOME_WINDOW = 32
# A commit may be valid for so long, and a writer is forgotten so long after its last one.
MAX_NOT_AFTER_MS = 30_000
FORGET_WRITER_MS = 60_000


@dataclass(slots=True, unsafe_hash=True)
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
        data_key: for `Record.data_key`.
    """

    kind: str = "session"
    user_id: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    ttl_ms: int | None = None
    sliding: bool = True
    metadata: bytes = b""
    keep_existing: bool = False
    data_key: bytes = b""


@dataclass(frozen=True, slots=True)
class Expected:
    """Preconditions on the record; None means any.

    Attributes:
        version: it must be at.
        incarnation: it must have, and so it must be there; else it is a `SessionReplacedError`. Alone, it
            is the condition of who encrypts with a key of this session only.
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


@dataclass(slots=True, unsafe_hash=True)
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


@dataclass(slots=True, unsafe_hash=True)
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


@dataclass(slots=True, unsafe_hash=True)
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


@dataclass(slots=True, unsafe_hash=True)
class CommitResult:
    """The record as it is now, and what the commit answered.

    Attributes:
        replayed: the identity had been seen; `outcome` is the first answer.
        created: the session was made by this commit.
        replaced: an expired session of the same id that it took the place of, if no sweep had claimed it.
    """

    record: Record
    outcome: Outcome
    replayed: bool = False
    created: bool = False
    replaced: Expired | None = None
