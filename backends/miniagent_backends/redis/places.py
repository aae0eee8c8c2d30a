"""A session's place in listings, counts and sweeps: what is kept of it in its bucket, and the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from miniagent_backends.redis.keys import Keys, bucket_of
from miniagent_backends.redis.routing.executor import call
from miniagent_backends.redis.schema import pack, unpack
from miniagent_backends.redis.wire.connection import Arg, Command
from miniagent_store.backend import Record

# How long it can be told which sessions changed.
KEPT_CHANGES_MS = 60_000
# Between a session and its incarnation, where the session's id has been used again since.
PAST = "\0"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of a session beside it, for who finds it gone.

    Attributes:
        incarnation: "" before it was made.
        expires_ms: 0 for never.
    """

    version: int
    incarnation: str
    user_id: str | None
    agent: str | None
    tags: tuple[str, ...]
    messages: int
    size: int
    active_ms: int
    expires_ms: int

    @classmethod
    def of(cls, record: Record) -> Facts:
        return cls(
            record.version,
            record.incarnation,
            record.user_id,
            record.agent,
            record.tags,
            record.message_count,
            record.size,
            record.last_activity_ms,
            record.expires_ms or 0,
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Facts:
        version, incarnation, user, agent, tags, messages, size, active_ms, expires_ms = unpack(packed)
        return cls(
            version,
            incarnation.decode(),
            user.decode() or None,
            agent.decode() or None,
            tuple(tag.decode() for tag in tags),
            messages,
            size,
            active_ms,
            expires_ms,
        )

    def pack(self) -> bytes:
        return pack(
            (
                self.version,
                self.incarnation,
                self.user_id or "",
                self.agent or "",
                self.tags,
                self.messages,
                self.size,
                self.active_ms,
                self.expires_ms,
            )
        )

    def filters(self) -> Iterator[str]:
        """The names of the indexes that it stands in besides its bucket's."""
        if self.user_id is not None:
            yield f"user:{self.user_id}"
        if self.agent is not None:
            yield f"agent:{self.agent}"
        for tag in self.tags:
            yield f"tag:{tag}"


@lru_cache(maxsize=1024)
def _packed_bucket(keys: Keys, kind: str, bucket: int) -> bytes:
    return pack(keys.bucket(kind, bucket))


def index_of(keys: Keys, kind: str, bucket: int) -> str:
    """The index of a bucket, whose slot its other keys are in."""
    return keys.index(kind, f"index:{{{bucket}}}")


def on_bucket(keys: Keys, script: str, kind: str, bucket: int, what: str, *args: Arg) -> Command:
    """A script on a bucket's keys."""
    return call(script, [index_of(keys, kind, bucket)], what, pack(keys.bucket(kind, bucket)), *args)


def place_command(
    keys: Keys,
    what: str,
    session_id: str,
    kind: str,
    facts: Facts,
    *,
    seen: bytes = b"",
    change: bool = False,
) -> Command:
    """index.lua for a session."""
    bucket = bucket_of(session_id)
    member = json.dumps([session_id, kind, facts.user_id]) if change else ""
    return call(
        "index",
        [index_of(keys, kind, bucket)],
        what,
        session_id,
        _packed_bucket(keys, kind, bucket),
        facts.pack(),
        seen,
        member,
        keys.store_channel(bucket),
        KEPT_CHANGES_MS * 1000,
    )


def filter_commands(
    keys: Keys, session_id: str, kind: str, facts: Facts, *, new: bool
) -> Iterator[tuple[Arg, ...]]:
    """What puts a session into the indexes of its user, agent and tags.

    Args:
        new: it may be their first: make them known. One that is there already keeps its activity.
    """
    for name in facts.filters():
        key = keys.index(kind, name)
        yield ("ZADD", key, *(("NX",) if new else ()), facts.active_ms, session_id)
    if new:
        yield from known_commands(keys, kind, facts)


def known_commands(keys: Keys, kind: str, facts: Facts) -> Iterator[tuple[Arg, ...]]:
    """What makes a session's user, agent and kind known."""
    if facts.user_id is not None:
        yield ("SADD", keys.users(kind, facts.user_id), facts.user_id)
    if facts.agent is not None:
        yield ("SADD", keys.agents(kind), facts.agent)
    if kind != "session":
        yield ("SADD", keys.kinds(), kind)


def commands_before(keys: Keys, record: Record, ttl_ms: int | None, *, active_ms: int) -> Iterator[Command]:
    """What gives a session its places before it is made, so that it is never missing, whenever we crash."""
    facts = Facts(
        0, "", record.user_id, record.agent, record.tags, 0, 0, active_ms, 0 if ttl_ms is None else ttl_ms
    )
    yield place_command(keys, "before", record.session_id, record.kind, facts)
    yield from filter_commands(keys, record.session_id, record.kind, facts, new=True)


def member_of(session_id: str, incarnation: str) -> str:
    """Under what a session stands whose id has been used again since."""
    return f"{session_id}{PAST}{incarnation}"


def split_member(member: str) -> tuple[str, str | None]:
    """A session, and its incarnation, if its id has been used again since."""
    session_id, past, incarnation = member.partition(PAST)
    return session_id, incarnation if past else None


def facts_of(place: Any) -> Facts | None:
    """The facts of a reply; None where there are none."""
    return Facts.unpack(place) if place else None


def facts_without_filters(facts: Facts) -> Facts:
    """The facts of a session that stands in no index but its bucket's."""
    return replace(facts, user_id=None, agent=None, tags=())
