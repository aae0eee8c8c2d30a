"""The sessions that this store has just committed to: the next append needs no arithmetic in Lua."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import msgpack  # type: ignore[import-untyped]

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.routing.executor import call
from miniagent_backends.redis.schema import element_of, pack, slack_ms, unpack
from miniagent_backends.redis.wire.template import template_of
from miniagent_store.backend import (
    MAX_NOT_AFTER_MS,
    OUTCOME_WINDOW,
    Append,
    Commit,
    CommitResult,
    LogTail,
    Outcome,
    Record,
)
from miniagent_store.random_bytes import RandomBytes

MOST_KNOWN = 10_000
# A push of more than this goes the general way, which takes it in parts.
MOST_ELEMENTS = 500
# A session that expires later than this will not have when what is sent now arrives.
NEAR_MS = 60_000
# The fields of a packed record that an append changes.
CHANGING = (b"version", b"size", b"active", b"logs")


class _Window:
    """A writer's last outcomes, as they are packed: a stamp, then one outcome each."""

    __slots__ = ("lengths", "newest", "outcomes", "stamp")

    def __init__(self, packed: bytes) -> None:
        self.stamp, *outcomes = unpack(packed)
        self.newest: int = outcomes[-1][0] if outcomes else 0
        each = [pack(outcome) for outcome in outcomes]
        self.outcomes, self.lengths = b"".join(each), list(map(len, each))

    def add(self, counter: int, not_after_ms: int, version: int, sequences: tuple[int, ...]) -> bytes:
        """Take in an outcome; how the window is packed then."""
        self.newest, self.stamp = counter, max(self.stamp, not_after_ms)
        outcome, lengths = _pack((counter, version, sequences, (), ())), self.lengths
        start = lengths.pop(0) if len(lengths) == OUTCOME_WINDOW else 0
        lengths.append(len(outcome))
        self.outcomes = self.outcomes[start:] + outcome
        packed: bytes = _pack_array_header(len(lengths) + 1) + _pack(self.stamp) + self.outcomes
        return packed


@dataclass(slots=True)
class _Known:
    """What is expected to lie in the server.

    Attributes:
        record: as a value,
        key: its key, and
        parts: how many values, counters and callers' ids the session has.
        constant: of its packed fields, those that no append changes, with the header of all.
        windows: outcomes by writer.
        templates: by log, writer and number of entries, the call of an append.
    """

    record: Record
    key: str
    parts: tuple[int, int, int]
    constant: bytes
    windows: dict[str, _Window]
    templates: dict[tuple[str, str, int], bytes]


class _Learned(NamedTuple):
    """What is to be known of a session when the next append comes, as the server answered it."""

    writer: str
    record: Record
    packed: bytes
    window: bytes


@dataclass(slots=True)
class FastAppend:
    """A packed call of append.lua, the key that says where to, and the answer if it is applied."""

    key: str
    command: bytes
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
        self._random = RandomBytes()
        self._known: OrderedDict[tuple[str, str], _Known | _Learned] = (
            OrderedDict() if among is None else among._known
        )

    def learn(self, writer: str, record: Record, packed: bytes, window: bytes) -> None:
        """Remember what a commit on the general path has left."""
        place = (self._keys.namespace, record.session_id)
        self._known[place] = _Learned(writer, record, packed, window)
        self._known.move_to_end(place)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _know(self, learned: _Learned) -> _Known:
        row = unpack(learned.packed)
        others = {name: value for name, value in row.items() if name not in CHANGING}
        pairs = b"".join([pack(name) + pack(value) for name, value in others.items()])
        constant = _pack_map_header(len(others) + len(CHANGING)) + pairs
        # Of this writer only: others may have committed elsewhere since we last heard of them.
        windows = {learned.writer: _Window(learned.window)}
        parts = (row[b"values"], row[b"counters"], row[b"ids"])
        key = self._keys.record(learned.record.session_id)
        return _Known(learned.record, key, parts, constant, windows, {})

    def forget(self, session_id: str) -> None:
        """Something else may lie there now."""
        self._known.pop((self._keys.namespace, session_id), None)

    def prepare(self, commit: Commit, now_ms: int) -> FastAppend | None:
        """`commit` for the fast path, and take it as applied; None where it cannot go there."""
        place = (self._keys.namespace, commit.session_id)
        known = self._known.get(place)
        if known is None:
            return None
        if isinstance(known, _Learned):
            if _only_append(commit, known.record) is None:
                return None
            known = self._known[place] = self._know(known)
        identity, record = commit.identity, known.record
        change, window = _only_append(commit, record), known.windows.get(identity.writer)
        if change is None or window is None or identity.counter <= window.newest:
            return None
        if not now_ms <= identity.not_after_ms <= now_ms + MAX_NOT_AFTER_MS:
            return None
        log, entries = change.log, change.entries
        tail = record.logs.get(log)
        size = record.size
        for entry in entries:
            size += len(entry.payload)
        too_large = commit.max_size is not None and record.kind == "session" and size > commit.max_size
        # A log's first push makes a key, which needs an expiry.
        if tail is None or not tail.count or too_large:
            return None

        version, last, count = record.version + 1, tail.base + tail.count, tail.count + len(entries)
        sequences = tuple(range(last + 1, last + 1 + len(entries)))
        logs = {**record.logs, log: LogTail(tail.base, count)}
        expires_ms, expires, until = record.expires_ms, b"", b""
        if record.sliding and record.ttl_ms and expires_ms and expires_ms - now_ms < record.ttl_ms:
            expires_ms = now_ms + record.ttl_ms + slack_ms(record.ttl_ms)
            expires, until = b"%d" % expires_ms, b"%d" % (expires_ms + self._grace_ms)
        near = b""
        if record.expires_ms is not None and record.expires_ms - now_ms < NEAR_MS:
            near = b"%d" % record.expires_ms
        active_ms = commit.time_ms if commit.last_activity_ms is None else commit.last_activity_ms
        token = self._random.take(24)
        known.record = after = _with(record, token, version, size, active_ms, expires_ms, logs)
        extents: list[str | int] = []
        for name, each in logs.items():
            extents += (name, each.base, each.count)
        changing = _pack({"version": version, "size": size, "active": active_ms, "logs": extents})
        shape = (log, identity.writer, len(entries))
        template = known.templates.get(shape)
        if template is None:
            template = known.templates[shape] = self._template(after, known.parts, *shape)
        # Without its header, which counts these fields alone.
        row = known.constant + changing[1:]
        outcomes = window.add(identity.counter, identity.not_after_ms, version, sequences)
        length, number = b"%d" % count, b"%d" % version
        words = [len(record.token), record.token, len(token), token, len(row), row, len(outcomes), outcomes]
        words += [len(length), length, len(expires), expires, len(number), number]
        words += [len(near), near, len(until), until]
        for entry in entries:
            element = element_of(entry, version=version)
            words += (len(element), element)
        self._known.move_to_end(place)
        result = CommitResult(after, Outcome(version, sequences))
        return FastAppend(known.key, template % tuple(words), result)

    def _template(
        self, record: Record, held: tuple[int, int, int], log: str, writer: str, count: int
    ) -> bytes:
        """The call of append.lua without what each append gives it: see there."""
        begun = call("append", self._keys_of(record, log, held))
        channel = self._keys.parts(record.session_id)["notify"]
        after_tokens = (None, None, None, f"w:{writer}", None, None, None, channel, None, None, None)
        return template_of((*begun, *after_tokens, *[None] * count))

    def _keys_of(self, record: Record, log: str, held: tuple[int, int, int]) -> tuple[str, ...]:
        """The record, the list, and the other parts that are there."""
        parts, (values, counters, ids) = self._keys.parts(record.session_id), held
        lists = {"messages": parts["thread"], "events": parts["events"]}
        keys = [self._keys.record(record.session_id), lists.get(log) or parts["log"] + log]
        keys += [
            lists.get(name) or parts["log"] + name
            for name, tail in record.logs.items()
            if tail.count and name != log
        ]
        if values:
            keys += [parts["state"], parts["names"]]
        if counters:
            keys.append(parts["count"])
        if ids:
            keys.append(parts["ids"])
        return tuple(keys)


# One for all threads: it is given plain values only, so no other code runs while it packs.
_packer = msgpack.Packer(use_bin_type=False)
_pack = _packer.pack


def _pack_array_header(size: int) -> bytes:
    packed: bytes = _packer.pack_array_header(size)
    return packed


def _pack_map_header(size: int) -> bytes:
    packed: bytes = _packer.pack_map_header(size)
    return packed


def _with(
    record: Record,
    token: bytes,
    version: int,
    size: int,
    active_ms: int,
    expires_ms: int | None,
    logs: dict[str, LogTail],
) -> Record:
    """A record after an append; `dataclasses.replace` would take six times as long."""
    return Record(
        record.session_id,
        record.kind,
        record.user_id,
        record.agent,
        record.tags,
        record.created_ms,
        active_ms,
        expires_ms,
        record.ttl_ms,
        record.sliding,
        version,
        record.epoch,
        record.incarnation,
        token,
        record.metadata,
        logs,
        size,
        record.fence,
        record.resets,
        record.state_version,
        record.metadata_version,
        record.data_key,
        record.lock_fence,
    )


def _only_append(commit: Commit, record: Record) -> Append | None:
    """The one change of a commit that only appends, under no condition, and is not in doubt."""
    changes = commit.changes
    if len(changes) != 1 or commit.retry or commit.fence or commit.expected_tails or commit.state:
        return None
    change, expected, create = changes[0], commit.expected, commit.create
    if not isinstance(change, Append) or not 0 < len(change.entries) <= MOST_ELEMENTS:
        return None
    if commit.metadata is not None or commit.tags is not None:
        return None
    if create is not None and not create.keep_existing:
        return None
    # Of what is expected, the incarnation needs no look by the server: the token is of no other one.
    if expected is not None and (
        expected.version is not None or expected.token or expected.incarnation != record.incarnation
    ):
        return None
    for entry in change.entries:
        if entry.caller_id is not None:
            return None
    return change
