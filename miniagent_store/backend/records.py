"""What a backend keeps of a session: its record, entries and state values.

All of these are values that nobody changes. Those that every append makes are not declared frozen, which
makes them three times as slow to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from miniagent_store.values import MESSAGES, Position

# The record keeps the lowest changed sequences of so many epochs.
KEPT_EPOCHS = 16


@dataclass(slots=True, unsafe_hash=True)
class LogTail:
    """The extent of a log: sequences base + 1 … base + count stand."""

    base: int = 0
    count: int = 0

    @property
    def last(self) -> int:
        return self.base + self.count


@dataclass(slots=True, unsafe_hash=True)
class Record:
    """A session's record, as a backend keeps it.

    Attributes:
        ttl_ms: None for never.
        sliding: whether commits renew the expiry.
        token: 24 bytes: of the last commit (16), and a guard (8) that touching and turns replace too.
        metadata: encoded by the store.
        logs: extent of each log that was ever written.
        size: encoded bytes of entries, state values and metadata.
        fence: of the newest turn.
        resets: for each of the last `KEPT_EPOCHS` epochs, the lowest changed sequence of each log.
        state_version, metadata_version: of the last commit that changed state, or metadata or tags.
        data_key: how the store keeps the session's data key; b"" for none. Set at creation, changed by
            rewriting only, and not counted in `size`.
        lock_fence: the highest of a named lock that was proved to this record.
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
    data_key: bytes = b""
    lock_fence: int = 0

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
            # Also below what still stands: a copy may hold what was trimmed since.
            return dict.fromkeys(self.logs, 1)
        changed: dict[str, int] = {}
        for at, lowest in self.resets:
            if at > epoch:
                for log, seq in lowest.items():
                    changed[log] = min(seq, changed.get(log, seq))
        return changed


EMPTY_LOG = LogTail()


@dataclass(slots=True, unsafe_hash=True)
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


class StoredEntry(NamedTuple):
    """An entry as it stands in a log. Its size in the session is that of its payload.

    A tuple, since long histories are many of them.
    """

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
