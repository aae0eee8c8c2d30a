"""The sessions that this store has just committed to: the next append needs no arithmetic in Lua."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from miniagent_backends.redis.schema import Keys, element_of, pack, slack_ms, unpack
from miniagent_backends.redis.wire.connection import Arg
from miniagent_store.backend import (
    MAX_NOT_AFTER_MS,
    OUTCOME_WINDOW,
    Append,
    Commit,
    CommitResult,
    Expected,
    LogTail,
    Outcome,
    Record,
)

MOST_KNOWN = 10_000
# A push of more than this goes the general way, which takes it in parts.
MOST_ELEMENTS = 500
# A session that expires later than this will not have when what is sent now arrives.
NEAR_MS = 60_000


@dataclass(slots=True)
class _Known:
    """What is expected to lie in the server.

    Attributes:
        record: as a value, and
        row: as it is packed.
        windows: outcomes by writer, as they are packed: stamp, then one outcome each.
    """

    record: Record
    row: dict[bytes, Any]
    windows: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class FastAppend:
    """A commit that is ready for append.lua: its keys and arguments, and the answer if it is applied."""

    keys: tuple[str, ...]
    arguments: tuple[Arg, ...]
    result: CommitResult


class KnownSessions:
    """Bounded; the last used stay. Being wrong costs a miss, never a wrong commit: the token decides.

    Args:
        keys: names of keys.
        grace_ms: how much longer than its session what it holds is kept.
        among: those of other namespaces, with which these are bounded together.
    """

    def __init__(self, keys: Keys, grace_ms: int = 0, among: KnownSessions | None = None) -> None:
        self._keys, self._grace_ms = keys, grace_ms
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict() if among is None else among._known

    def learn(self, writer: str, record: Record, packed: bytes, window: bytes) -> None:
        """Remember what a commit on the general path has left."""
        # Of this writer only: others may have committed elsewhere since we last heard of them.
        self._put(record.session_id, _Known(record, unpack(packed), {writer: unpack(window)}))

    def forget(self, session_id: str) -> None:
        """Something else may lie there now."""
        self._known.pop((self._keys.namespace, session_id), None)

    def prepare(self, commit: Commit, now_ms: int) -> FastAppend | None:
        """`commit` for the fast path, and take it as applied; None where it cannot go there."""
        known = self._known.get((self._keys.namespace, commit.session_id))
        if known is None or not _is_plain_append(commit):
            return None
        identity, record = commit.identity, known.record
        if commit.expected and commit.expected.incarnation != record.incarnation:
            return None
        window = known.windows.get(identity.writer)
        if window is None or (len(window) > 1 and identity.counter <= window[-1][0]):
            return None
        if not now_ms <= identity.not_after_ms <= now_ms + MAX_NOT_AFTER_MS:
            return None
        change = commit.changes[0]
        assert isinstance(change, Append)
        tail = record.logs.get(change.log)
        size = record.size + sum(len(entry.payload) for entry in change.entries)
        too_large = commit.max_size is not None and record.kind == "session" and size > commit.max_size
        # A log's first push makes a key, which needs an expiry.
        if tail is None or not tail.count or too_large:
            return None

        version = record.version + 1
        sequences = tuple(range(tail.last + 1, tail.last + 1 + len(change.entries)))
        longer = LogTail(tail.base, tail.count + len(sequences))
        expires_ms, renewed = record.expires_ms, False
        if record.sliding and record.ttl_ms and expires_ms and expires_ms - now_ms < record.ttl_ms:
            expires_ms, renewed = now_ms + record.ttl_ms + slack_ms(record.ttl_ms), True
        is_near = record.expires_ms is not None and record.expires_ms - now_ms < NEAR_MS
        active_ms = commit.time_ms if commit.last_activity_ms is None else commit.last_activity_ms
        after = replace(
            record,
            version=version,
            size=size,
            last_activity_ms=active_ms,
            expires_ms=expires_ms,
            token=os.urandom(24),
            logs={**record.logs, change.log: longer},
        )
        row = {
            **known.row,
            b"version": version,
            b"size": size,
            b"active": active_ms,
            b"logs": [part for log, each in after.logs.items() for part in (log, each.base, each.count)],
        }
        outcome = (identity.counter, version, sequences, (), ())
        window = [max(window[0], identity.not_after_ms), *window[1:][1 - OUTCOME_WINDOW :], outcome]
        known.windows[identity.writer] = window
        keys, channel = self._parts(after, change.log, row)
        self._put(commit.session_id, _Known(after, row, known.windows))
        return FastAppend(
            keys,
            (
                record.token,
                after.token,
                pack(row),
                f"w:{identity.writer}",
                pack(window),
                longer.count,
                str(expires_ms) if renewed else "",
                channel,
                version,
                str(record.expires_ms) if is_near else "",
                str((expires_ms or 0) + self._grace_ms) if renewed else "",
                *(element_of(entry, version=version) for entry in change.entries),
            ),
            CommitResult(after, Outcome(version, sequences)),
        )

    def _parts(self, record: Record, log: str, row: dict[bytes, Any]) -> tuple[tuple[str, ...], str]:
        """The record, the list, and the other parts that are there; and the channel."""
        parts = self._keys.parts(record.session_id)
        lists = {"messages": parts["thread"], "events": parts["events"]}
        keys = [self._keys.record(record.session_id), lists.get(log) or parts["log"] + log]
        keys += [
            lists.get(name) or parts["log"] + name
            for name, tail in record.logs.items()
            if tail.count and name != log
        ]
        if row[b"values"]:
            keys += [parts["state"], parts["names"]]
        if row[b"counters"]:
            keys.append(parts["count"])
        if row[b"ids"]:
            keys.append(parts["ids"])
        return tuple(keys), parts["notify"]

    def _put(self, session_id: str, known: _Known) -> None:
        place = (self._keys.namespace, session_id)
        self._known[place] = known
        self._known.move_to_end(place)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _is_plain_append(commit: Commit) -> bool:
    """Whether it only appends to one log, under no condition, and is not in doubt."""
    if len(commit.changes) != 1 or not isinstance(commit.changes[0], Append):
        return False
    if commit.create is not None and not commit.create.keep_existing:
        return False
    entries = commit.changes[0].entries
    # Of what is expected, the incarnation needs no look: the token is of no other one.
    expected = commit.expected and replace(commit.expected, incarnation=None) != Expected()
    conditions = expected or commit.expected_tails or commit.fence or commit.retry
    others = commit.state or commit.metadata is not None or commit.tags is not None
    return (
        not conditions
        and not others
        and 0 < len(entries) <= MOST_ELEMENTS
        and all(entry.caller_id is None for entry in entries)
    )
