"""The values that callers see: messages, sessions, entries, snapshots, events."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from miniagent_store.errors import ConfigurationError, InvalidArgumentError, StoreError
from miniagent_store.message import Message as Message
from miniagent_store.message import from_ms as from_ms
from miniagent_store.message import to_ms as to_ms
from miniagent_store.quick_values import FilledLater

MESSAGES = "messages"
EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a session stands: one opaque value.

    A copy of the history taken at a position is still a prefix of the truth as long as
    (incarnation, epoch) stand. `str()` gives a text that `parse` takes back, good for SSE ids.
    """

    incarnation: str
    epoch: int
    version: int
    sequences: tuple[tuple[str, int], ...] = ()

    def seq(self, log: str = MESSAGES) -> int:
        """The last sequence of `log` at this position, 0 if it was empty."""
        return next((seq for name, seq in self.sequences if name == log), 0)

    def __str__(self) -> str:
        plain = [
            self.incarnation,
            self.epoch,
            self.version,
            [list(pair) for pair in self.sequences],
        ]
        return (
            base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")
        )

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that `str()` wrote.

        Raises:
            InvalidArgumentError: `text` is not a position.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            incarnation, epoch, version, pairs = json.loads(base64.urlsafe_b64decode(padded))
            return cls(
                str(incarnation),
                int(epoch),
                int(version),
                tuple((str(name), int(seq)) for name, seq in pairs),
            )
        except (ValueError, TypeError):
            bad = True
        assert bad
        raise InvalidArgumentError("not a position: pass a Position, or the text that str(position) gave")


@dataclass(frozen=True, slots=True)
class Session(FilledLater):
    """The record of a session at one moment.

    Attributes:
        id: the session's id.
        kind: "session" for conversations; other kinds carry other things.
        created_at, last_activity: aware UTC datetimes.
        expires_at: None if it never expires.
        ttl: seconds, None for never.
        version: how many commits it has seen.
        epoch: how many changes of its logs were not appends.
        incarnation: random, new when an id is created again.
        message_count: entries that stand in the log "messages", tombstones included.
        size: encoded bytes of entries, state and metadata.
        metadata: the user's own dict.
        tags: sorted short strings that listings can filter by.
        position: (incarnation, epoch, version, sequences), for `after=`, `expected_tail=`, `watch`.
        token: what `expected_version=session` compares besides the version.
    """

    id: str
    kind: str
    user_id: str | None
    agent: str | None
    created_at: datetime
    last_activity: datetime
    expires_at: datetime | None
    ttl: float | None
    version: int
    epoch: int
    incarnation: str
    message_count: int
    size: int
    metadata: dict[str, Any]
    tags: tuple[str, ...]
    position: Position
    token: bytes = field(default=b"", repr=False, compare=False)

    @property
    def session_id(self) -> str:
        """The same as `id`."""
        return self.id

    def to_dict(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601, the position as text."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("created_at", "last_activity", "expires_at"):
            plain[name] = plain[name] and plain[name].isoformat()
        plain["tags"] = list(self.tags)
        plain["metadata"] = dict(self.metadata)
        plain["position"] = str(self.position)
        plain["token"] = self.token.hex()
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Session:
        """The session that `to_dict` described."""
        values = dict(plain)
        for name in ("created_at", "last_activity", "expires_at"):
            values[name] = datetime.fromisoformat(values[name]) if values[name] else None
        values["tags"] = tuple(values["tags"])
        values["position"] = Position.parse(values["position"])
        values["token"] = bytes.fromhex(values.get("token", ""))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log.

    Attributes:
        seq: its sequence; the first of a log is 1.
        id: minted by the store, unique in the session, in hex.
        time: the caller's time, else the store's.
        version: of the commit that wrote it.
        log: the log it stands in.
        value: the mapping that was appended; of a tombstone, when and why it was redacted.
        redacted: whether it is a tombstone.
    """

    seq: int
    id: str
    time: datetime
    version: int
    log: str
    value: Mapping[str, Any]
    redacted: bool = False

    @property
    def message(self) -> Message:
        """The entry as a message."""
        return Message.from_dict(self.value, time=self.time)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the time in ISO 8601."""
        return {
            "seq": self.seq,
            "id": self.id,
            "time": self.time.isoformat(),
            "version": self.version,
            "log": self.log,
            "value": dict(self.value),
            "redacted": self.redacted,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Entry:
        """The entry that `to_dict` described."""
        return cls(**{**plain, "time": datetime.fromisoformat(plain["time"])})


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        items: the sessions.
        next_cursor: pass it as `cursor=` for the next page; None at the end.
        damaged: ids of the sessions that were left out, with `skip_damaged`.
    """

    items: list[Session]
    next_cursor: str | None = None
    damaged: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Session]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Where something was said.

    Attributes:
        session_id: in which session.
        seq: as which message; None for the session as a whole.
        entry_id: of the message; one that took its place has another.
        incarnation: of the session; one that took its place has another.
        until_ms: set by the store: milliseconds since 1970 until which a session that is missing must have
            been deleted, since it cannot have expired.
    """

    session_id: str
    seq: int | None = None
    entry_id: str | None = None
    incarnation: str | None = None
    until_ms: int | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "session_id": self.session_id,
            "seq": self.seq,
            "entry_id": self.entry_id,
            "incarnation": self.incarnation,
            **({} if self.until_ms is None else {"until_ms": self.until_ms}),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MemorySource:
        """The source that `to_dict` described."""
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that is remembered.

    Attributes:
        id: its own, within its scope.
        text: what it says.
        metadata: plain values, which filters look at.
        source: where it was said, if anywhere.
        time: when.
        expires_at: None for never.
        forget_on_expiry: whether it goes when the session of its source has expired.
        score: how well it fits what was searched: of meaning, the cosine, 1.0 for the same; of words and of
            both, higher is better and nothing more. None where nothing was searched.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    source: MemorySource | None
    time: datetime
    expires_at: datetime | None = None
    forget_on_expiry: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class MemoryPage:
    """One page of memories.

    Attributes:
        items: the memories.
        next_cursor: pass it as `cursor=` for the next page; None at the end.
    """

    items: list[Memory]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[Memory]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Record, tails of logs and state, read in one consistent step.

    Attributes:
        session: the record.
        logs: the entries read, by log.
        state: the values read, in order of their names.
        resets: where `after=` was a position from an older epoch: the first sequence of each log from
            which a copy is no longer true (the entries read start there). Empty if the copy still holds.
    """

    session: Session
    logs: dict[str, tuple[Entry, ...]]
    state: dict[str, Any]
    resets: dict[str, int] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        return self.session.position

    @property
    def history(self) -> list[Message]:
        """The entries of the log "messages" that were read, as messages."""
        return [entry.message for entry in self.logs.get(MESSAGES, ())]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "session": self.session.to_dict(),
            "logs": {log: [entry.to_dict() for entry in entries] for log, entries in self.logs.items()},
            "state": dict(self.state),
            "resets": dict(self.resets),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Snapshot:
        """The snapshot that `to_dict` described."""
        return cls(
            Session.from_dict(plain["session"]),
            {log: tuple(map(Entry.from_dict, entries)) for log, entries in plain["logs"].items()},
            dict(plain["state"]),
            dict(plain["resets"]),
        )


class StateItem(tuple[str, Any]):
    """A name and its value, as a pair that also knows its version and expiry."""

    version: int
    expires_at: datetime | None

    def __new__(cls, name: str, value: Any, version: int, expires_at: datetime | None) -> StateItem:
        self = super().__new__(cls, (name, value))
        self.version, self.expires_at = version, expires_at
        return self

    @property
    def name(self) -> str:
        return self[0]

    @property
    def value(self) -> Any:
        return self[1]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What one commit did.

    Attributes:
        session: the record afterwards.
        sequences: of the entries appended, in the order of the calls; for an entry whose id was there
            already, its own.
        kept_out: names of state values that their condition kept out.
        counters: the values of the counters added to, in the order of the calls.
        replayed: the commit had been applied before, and this is how it was answered then.
    """

    session: Session
    sequences: tuple[int, ...] = ()
    kept_out: tuple[str, ...] = ()
    counters: tuple[int, ...] = ()
    replayed: bool = False

    @property
    def position(self) -> Position:
        return self.session.position


EventType = Literal["appended", "reset", "state", "metadata", "expired", "deleted", "changed"]


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """Something happened to a session.

    Attributes:
        type: "appended", "reset", "state", "metadata", "expired", "deleted"; "changed" when watching a
            user or the store.
        session_id: the session.
        position: where the session stands; pass it as `after=` to go on from here. None where the
            session is gone, or when watching a user or the store.
        log: of "appended" and "reset".
        entries: of "appended".
        from_seq: of "reset": the first sequence that is no longer what it was.
        user_id: of the session, if known.
        version: of the session, if known.
    """

    type: EventType
    session_id: str
    position: Position | None = None
    log: str | None = None
    entries: tuple[Entry, ...] = ()
    from_seq: int | None = None
    user_id: str | None = None
    version: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the position as text."""
        return {
            "type": self.type,
            "session_id": self.session_id,
            "position": str(self.position) if self.position else None,
            "log": self.log,
            "entries": [entry.to_dict() for entry in self.entries],
            "from_seq": self.from_seq,
            "user_id": self.user_id,
            "version": self.version,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> SessionEvent:
        """The event that `to_dict` described."""
        values = dict(plain)
        values["position"] = Position.parse(values["position"]) if values["position"] else None
        values["entries"] = tuple(map(Entry.from_dict, values["entries"]))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Whether one more is allowed.

    Attributes:
        allowed: whether this one is; it was counted if so.
        remaining: how many more would be allowed now.
        retry_after: seconds until one more may be allowed; 0 if this one is.
        limit: so many a period.
        reset_after: seconds until all of it is free again, if nothing more is counted.
    """

    allowed: bool
    remaining: int
    retry_after: float
    limit: int
    reset_after: float

    def __bool__(self) -> bool:
        return self.allowed

    def headers(self) -> dict[str, str]:
        """HTTP header fields that tell a client, in whole seconds, rounded up.

        `Retry-After` (RFC 9110) only where it was refused; `RateLimit-Limit`, `-Remaining` and `-Reset` as
        draft-ietf-httpapi-ratelimit-headers had them up to version 06.
        """
        fields = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset_after)),
        }
        return fields if self.allowed else {**fields, "Retry-After": str(math.ceil(self.retry_after))}


NO_CURE = "nothing is to be done"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a look at the servers has shown.

    Attributes:
        level: "error" for what loses data or stops work, "warning" for what may, "info" for what to know.
        what: what was seen, and where.
        cure: what to do about it.
        check: what was looked at, in a word or two: "DNS", "persistence", "key ring".
    """

    level: Literal["info", "warning", "error"]
    what: str
    cure: str = NO_CURE
    check: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}"

    @classmethod
    def of(cls, error: StoreError, check: str) -> Finding:
        """What an error says: an "error" whose message is taken apart into what and cure."""
        what, _, cure = str(error).partition("; ")
        is_wrong = isinstance(error, ConfigurationError | InvalidArgumentError)
        otherwise = "mend the URL or the option" if is_wrong else "see whether the server is running"
        return cls("error", what, cure or otherwise, check)


@dataclass(frozen=True, slots=True)
class Health:
    """How a store is.

    Attributes:
        ok: whether it can read and write, and nothing threatens what is stored.
        backend: its name.
        latency: seconds of one round trip; None if there was none.
        problems: what is wrong, each with its cure: the errors among the findings.
        details: what the backend tells about itself.
        findings: all that was seen, good and bad.
    """

    ok: bool
    backend: str
    latency: float | None = None
    problems: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "problems": list(self.problems),
            "findings": [asdict(finding) for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an operation takes, retries included; within 5 %.

    Attributes:
        count: how many there were.
        p50, p95, p99: seconds that so many percent of them took at most.
        max: seconds of the longest one.
    """

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds.

    Attributes:
        sessions: live sessions, by kind.
        messages: entries in their logs "messages".
        size: encoded bytes.
        users: different users.
        agents: live sessions of kind "session" by agent.
        commits, retries: of this opened store.
        cache_hits, cache_misses: keys that this opened store looked for in the cache.
        problem: why the numbers are missing, if they are.
        latency: by operation, of this opened store, with ``measure=true``. What "turn.acquire" and
            "lock.acquire" took is the wait for turns and locks.
        retried: retries by operation, likewise.
    """

    sessions: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    size: int = 0
    users: int = 0
    agents: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    retries: int = 0
    problem: str | None = None
    cache_hits: int = 0
    cache_misses: int = 0
    latency: dict[str, Latency] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float:
        """The share of keys that were found in the cache; 0 where none was looked for."""
        looked_for = self.cache_hits + self.cache_misses
        return self.cache_hits / looked_for if looked_for else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "latency": {name: asdict(times) for name, times in self.latency.items()},
        }
