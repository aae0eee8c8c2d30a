"""How sessions lie in Redis, in the keys that `keys` names: what the scripts are given and give back."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_store.backend import (
    FORGET_WRITER_MS,
    KEPT_EPOCHS,
    OUTCOME_WINDOW,
    Append,
    Commit,
    CommitResult,
    Create,
    EntryRewrite,
    LogTail,
    NewEntry,
    Outcome,
    ReadPlan,
    Record,
    Redact,
    Rewind,
    Rewrite,
    StateAdd,
    StateDelete,
    StateDeletePrefix,
    StateScan,
    StateSet,
    StoredEntry,
    StoredValue,
    Trim,
    Truncate,
)

# version u32, flags u8, id, time u48
_HEAD = struct.Struct(">IB12sHI")
_HEAD_SIZE, _unpack_head, _new_entry = _HEAD.size, _HEAD.unpack_from, tuple.__new__
_VALUE = struct.Struct(">BIQ")
REDACTED, HAS_CALLER_ID, COUNTER = 1, 2, 1
# The end of the year 9999, after which there is no datetime.
LAST_TIME_MS = 253_402_300_799_999


def pack(value: Any) -> bytes:
    """For cmsgpack in a script, which knows one kind of string only."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def unpack(data: bytes) -> Any:
    """What `pack`, or cmsgpack in a script, wrote; texts as bytes."""
    return msgpack.unpackb(data, raw=True, strict_map_key=False)


def pairs_of(reply: list[Any]) -> list[tuple[bytes, int]]:
    """Members and scores: in turn in RESP2, as pairs in RESP3."""
    flat = [each for pair in reply for each in pair] if reply and isinstance(reply[0], list) else reply
    return [(flat[at], int(float(flat[at + 1]))) for at in range(0, len(flat), 2)]


def slack_ms(ttl_ms: int) -> int:
    """How much later than due a session may expire, so that not every commit renews it."""
    return min(ttl_ms // 10, 400)


# Entries and values


def element_of(
    entry: NewEntry | StoredEntry, *, version: int | None = None, redacted: bool = False
) -> bytes:
    """An element of a list; without its version, which the script sets, if that is None."""
    if version is not None and entry.caller_id is None and not redacted:
        # The same as below, as short as it can be: it is what most appends are made of.
        time_ms = entry.time_ms
        return _HEAD.pack(version, 0, entry.id, time_ms >> 32, time_ms & 0xFFFFFFFF) + entry.payload
    flags = (REDACTED if redacted else 0) | (HAS_CALLER_ID if entry.caller_id is not None else 0)
    head = _HEAD.pack(version or 0, flags, entry.id, entry.time_ms >> 32, entry.time_ms & 0xFFFFFFFF)
    caller = b""
    if entry.caller_id is not None:
        name, digest = entry.caller_id.encode(), entry.digest or b""
        caller = struct.pack(">H", len(name)) + name + bytes([len(digest)]) + digest
    return (head if version is not None else head[4:]) + caller + entry.payload


def entry_of(seq: int, element: bytes) -> StoredEntry:
    """The entry that an element holds."""
    version, flags, entry_id, time_high, time_low = _unpack_head(element)
    time_ms = time_high << 32 | time_low
    if time_ms > LAST_TIME_MS:
        raise ValueError("an entry of a time that there is not")
    if not flags:
        # The same as below, as short as it can be: long histories are many of these.
        return _new_entry(
            StoredEntry, (seq, version, entry_id, time_ms, element[_HEAD_SIZE:], False, None, None)
        )
    at, caller_id, digest = _HEAD_SIZE, None, None
    if flags & HAS_CALLER_ID:
        (size,) = struct.unpack_from(">H", element, at)
        caller_id = element[at + 2 : at + 2 + size].decode()
        at += 2 + size
        digest = element[at + 1 : at + 1 + element[at]] or None
        at += 1 + element[at]
    return StoredEntry(
        seq, version, entry_id, time_ms, element[at:], bool(flags & REDACTED), caller_id, digest
    )


def blob_of(value: StoredValue) -> bytes:
    """A state value as it lies in its hash; a counter's number lies apart."""
    flags = COUNTER if value.counter is not None else 0
    return _VALUE.pack(flags, value.version, value.expires_ms or 0) + (value.payload or b"")


def value_of(row: list[bytes]) -> StoredValue:
    """A state value from name, blob and counter."""
    name, blob, counter = row
    flags, version, expires_ms = _VALUE.unpack_from(blob)
    if flags & COUNTER:
        return StoredValue(name.decode(), version, None, int(counter), expires_ms or None)
    return StoredValue(name.decode(), version, blob[_VALUE.size :], None, expires_ms or None)


def id_field(log: str, caller_id: str) -> bytes:
    return f"{log}\0{caller_id}".encode()


# Commits


def pack_create(create: Create, incarnation: str) -> dict[str, Any]:
    return {
        "kind": create.kind,
        "user": _or_false(create.user_id),
        "agent": _or_false(create.agent),
        "tags": list(create.tags),
        "ttl": _or_false(create.ttl_ms),
        "sliding": create.sliding,
        "metadata": create.metadata,
        "keep": create.keep_existing,
        "incarnation": incarnation,
        "data_key": _or_false(create.data_key or None),
    }


def pack_commit(
    commit: Commit, keys: Mapping[str, str], token: bytes, incarnation: str, *, grace_ms: int = 0
) -> bytes:
    """What commit.lua is given."""
    expected, fence, create = commit.expected, commit.fence, commit.create
    identity = commit.identity
    return pack(
        {
            "keys": keys,
            "writer": identity.writer,
            "counter": identity.counter,
            "not_after": identity.not_after_ms,
            "time": commit.time_ms,
            "create": pack_create(create, incarnation) if create else False,
            "nothing": commit.changes_nothing,
            "expected": {
                "version": _or_false(expected.version),
                "incarnation": _or_false(expected.incarnation),
                "token": expected.token[:16] if expected.token else False,
            }
            if expected
            else False,
            "tails": [(each.log, each.incarnation, each.epoch, each.seq) for each in commit.expected_tails],
            "fence": (fence.fence, _or_false(fence.turn_owner)) if fence else False,
            "changes": [_pack_change(change) for change in commit.changes],
            "state": [_pack_state(change) for change in commit.state],
            "metadata": _or_false(commit.metadata),
            "tags": _or_false(None if commit.tags is None else list(commit.tags)),
            "active": _or_false(commit.last_activity_ms),
            "max_size": _or_false(commit.max_size),
            "retry": commit.retry,
            "token": token,
            "window": OUTCOME_WINDOW,
            "epochs": KEPT_EPOCHS,
            "forget": FORGET_WRITER_MS,
            "grace": grace_ms,
        }
    )


def _pack_change(change: Any) -> tuple[Any, ...]:
    match change:
        case Append(log, entries):
            rows = [
                (element_of(each), each.caller_id, each.digest)
                if each.caller_id is not None
                else (element_of(each),)
                for each in entries
            ]
            return ("A", log, rows)
        case Truncate(log, upto):
            return ("T", log, upto)
        case Trim(log, before):
            return ("B", log, before)
        case Redact(log, seq, entry_id, payload):
            return ("R", log, seq, entry_id, payload)
        case Rewind(to):
            return ("W", to)
        case _:
            return ("C",)


def _pack_state(change: Any) -> tuple[Any, ...]:
    match change:
        case StateSet(name, payload, ttl_ms, if_version, required):
            return ("S", name, payload, _or_false(ttl_ms), _or_false(if_version), required)
        case StateDelete(name, if_version, required):
            return ("D", name, _or_false(if_version), required)
        case StateDeletePrefix(prefix):
            return ("P", prefix)
        case StateAdd(name, delta):
            return ("+", name, str(delta))
    raise TypeError(type(change).__name__)


def _or_false(value: Any) -> Any:
    # A nil in a table ends it for Lua.
    return False if value is None else value


def outcome_of(packed: bytes) -> Outcome:
    """What a commit answered."""
    _, version, sequences, kept_out, counters = unpack(packed)
    return Outcome(
        version,
        tuple(sequences),
        tuple(name.decode() for name in kept_out),
        tuple(int(counter) for counter in counters),
    )


def result_of(session_id: str, reply: list[Any]) -> CommitResult:
    """What commit.lua or publish.lua answered, if it was OK."""
    _, token, packed, expires, fence, outcome, replayed, created = reply[:8]
    record = record_of(session_id, token, packed, expires, fence)
    return CommitResult(record, outcome_of(outcome), bool(replayed), bool(created))


def record_of(session_id: str, token: bytes, packed: bytes, expires: bytes, fence: int) -> Record:
    """The record from the fields of its hash."""
    return record_of_row(session_id, token, row_of(packed), expires, fence)


def row_of(packed: bytes) -> dict[bytes, Any]:
    """What a record's hash keeps packed."""
    row: dict[bytes, Any] = unpack(packed)
    return row


def record_of_row(
    session_id: str, token: bytes, row: Mapping[bytes, Any], expires: bytes, fence: int
) -> Record:
    """The record from the fields of its hash, one of them unpacked."""
    logs, tags, resets = row[b"logs"], row[b"tags"], row[b"resets"]
    return Record(
        session_id=session_id,
        kind=row[b"kind"].decode(),
        user_id=_text(row[b"user"]),
        agent=_text(row[b"agent"]),
        tags=tuple([tag.decode() for tag in tags]) if tags else (),
        created_ms=row[b"created"],
        last_activity_ms=row[b"active"],
        expires_ms=int(expires) if expires else None,
        ttl_ms=row[b"ttl"] or None,
        sliding=row[b"sliding"],
        version=row[b"version"],
        epoch=row[b"epoch"],
        incarnation=row[b"incarnation"].decode(),
        token=token,
        metadata=row[b"metadata"],
        logs={logs[at].decode(): LogTail(logs[at + 1], logs[at + 2]) for at in range(0, len(logs), 3)},
        size=row[b"size"],
        fence=fence,
        resets=tuple([_reset_of(*reset) for reset in resets]) if resets else (),
        state_version=row[b"state_version"],
        metadata_version=row[b"metadata_version"],
        data_key=row.get(b"data_key", b""),
        lock_fence=row.get(b"lock_fence", 0),
    )


def _reset_of(epoch: int, flat: Sequence[Any]) -> tuple[int, dict[str, int]]:
    return epoch, {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}


def _text(value: Any) -> str | None:
    return value.decode() if value else None


# Reads


def pack_plan(plan: ReadPlan, keys: Mapping[str, str]) -> bytes:
    """What read.lua is given."""
    return pack(
        {
            "keys": keys,
            "ranges": [
                (
                    each.log,
                    each.after,
                    _or_false(each.before),
                    _or_false(each.last),
                    _or_false(each.limit),
                    _or_false(each.not_before_ms),
                )
                for each in plan.ranges
            ],
            "names": list(plan.names),
            "scans": [_pack_scan(scan) for scan in plan.scans],
            "since": list(plan.since) if plan.since else False,
            "expired": plan.expired,
            "damaged": plan.damaged,
        }
    )


def _pack_scan(scan: StateScan) -> tuple[Any, ...]:
    # Bounds of ZRANGEBYLEX; no UTF-8 text holds the byte FF.
    prefix = scan.prefix.encode()
    low = b"[" + prefix if prefix else b"-"
    high = b"(" + prefix + b"\xff" if prefix else b"+"
    if scan.start is not None:
        start = scan.start.encode()
        if scan.reverse and (not prefix or start < prefix + b"\xff"):
            high = b"[" + start
        elif not scan.reverse and start > prefix:
            low = b"[" + start
    return (low, high, _or_false(scan.limit), scan.reverse)


# Rewrites


def pack_rewrite(rewrite: Rewrite, keys: Mapping[str, str], guard: bytes) -> bytes:
    """What rewrite.lua is given."""
    return pack(
        {
            "keys": keys,
            "incarnation": rewrite.incarnation,
            "guard": guard,
            "metadata": _or_false(rewrite.metadata),
            "data_key": _or_false(rewrite.data_key),
            "runs": _runs_of(rewrite.entries),
            "values": [(value.name, value.old, value.new) for value in rewrite.values],
        }
    )


def _runs_of(entries: Sequence[EntryRewrite]) -> list[tuple[str, int, list[tuple[bytes, ...]]]]:
    """Entries whose sequences follow each other together: to find one in a long list takes time."""
    runs: list[tuple[str, int, list[tuple[bytes, ...]]]] = []
    for entry in sorted(entries, key=lambda each: (each.log, each.seq)):
        part = (entry.entry_id, entry.old, entry.new)
        if runs and runs[-1][0] == entry.log and runs[-1][1] + len(runs[-1][2]) == entry.seq:
            runs[-1][2].append(part)
        else:
            runs.append((entry.log, entry.seq, [part]))
    return runs
