"""Where a conversation is kept: one session for it and its forks, so that they change in one commit.

The session of a conversation's own name holds it, unless it began as a fork of another or was made again
after it was deleted. Then its metadata names where it lives: the first place is where it may be made, the
others are where it may have been made by someone who did not know of the move yet.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from miniagent_store import Session, SessionStore
from miniagent_store.errors import SessionExistsError, SessionNotFoundError, VersionConflictError
from miniagent_store.ids import join_id
from miniagent_store.store.batch import Batch
from miniagent_store.values import MESSAGES

PREFIX = "pydantic-ai"
RECORDS = "r/"
_PLACE_KIND = "pydantic-ai.place"
_LIVES, _CLOSED, _MOVED = "lives", "closed", "moved"


@dataclass(frozen=True)
class Spot:
    """Where an entry stands: a log of a session, and a sequence in it."""

    session_id: str
    log: str
    seq: int


@dataclass(frozen=True)
class Family:
    """A session as it was read, and some of its state.

    Attributes:
        session_id: of it, whether it is there or not.
        session: None if it is not there.
        state: the values that were asked for, by name.
    """

    session_id: str
    session: Session | None = None
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def lives(self) -> list[str]:
        """Where the conversation of this session's name lives instead; empty if nowhere else."""
        return list(self.session.metadata.get(_LIVES, ())) if self.session else []

    def stored(self, conversation_id: str) -> dict[str, Any] | None:
        """What is stored of a conversation here."""
        return self.state.get(record_name(conversation_id))

    def last_seq(self, log: str) -> int:
        """The last sequence of a log."""
        return self.session.position.seq(log) if self.session else 0


def session_id_of(conversation_id: str) -> str:
    """The session of a conversation's own name."""
    return join_id(PREFIX, conversation_id)


def record_name(conversation_id: str) -> str:
    """The name of the state value of a conversation."""
    return join_id("r", conversation_id)


def log_of(conversation_id: str, session_id: str) -> str:
    """The log of the entries that a conversation has added."""
    if session_id == session_id_of(conversation_id):
        return MESSAGES
    return join_id("fork", hashlib.sha256(conversation_id.encode()).hexdigest()[:32])


async def read_family(
    store: SessionStore, session_id: str, *names: str, all_records: bool = False
) -> Family:
    """A session with the named values, or with all records."""
    wanted = True if all_records else (*names, _CLOSED)
    try:
        read = await store.snapshot(session_id, logs=(), state=wanted)
    except SessionNotFoundError:
        return Family(session_id)
    if _CLOSED in read.state:
        # Whoever closed it may have died before this.
        await store.delete(session_id, incarnation=read.session.incarnation)
        return Family(session_id)
    return Family(session_id, read.session, read.state)


async def find(store: SessionStore, conversation_id: str, *, known: str | None = None) -> Family:
    """The session in which a conversation is; the one of its own name if it is nowhere.

    Args:
        store: where to look.
        conversation_id: which one.
        known: the session in which it was last.
    """
    name = record_name(conversation_id)
    own_id = session_id_of(conversation_id)
    if known is not None and known != own_id:
        family = await read_family(store, known, name)
        if name in family.state:
            return family
    own = await read_family(store, own_id, name)
    if name in own.state:
        return own
    for session_id in own.lives():
        if session_id != own_id:
            family = await read_family(store, session_id, name)
            if name in family.state:
                return family
    return own


async def make_room(store: SessionStore, conversation_id: str, beside: str | None) -> Family | None:
    """A session in which a new conversation may be made, by a commit that expects it as it was read here.

    Args:
        store: where.
        conversation_id: the new one.
        beside: the session of the entries that it continues; None if it begins with none.

    Returns:
        None if the conversation is there already.
    """
    name = record_name(conversation_id)
    own_id = session_id_of(conversation_id)
    while True:
        own = await read_family(store, own_id, name)
        lives = own.lives() or [own_id]
        target = beside or lives[0]
        family = await read_family(store, target, name)
        if beside is None and family.session is None and target != own_id:
            # What it was a fork of is gone. The new one is there before anything says so, for a commit to
            # expect it.
            target = join_id(PREFIX, conversation_id, secrets.token_hex(8))
            family = Family(target, await store.create(target))
        # Read after the family: who moves the conversation away marks the family afterwards, so a commit
        # that expects the family as it is here comes before that, and is seen, or fails.
        own = family if target == own_id else await read_family(store, own_id, name)
        lives = own.lives() or [own_id]
        if lives[0] != target:
            await _move(store, own, [target, *(each for each in lives if each != target)])
            continue
        for session_id in {own_id, target, *lives}:
            found = family if session_id == target else await read_family(store, session_id, name)
            if name in found.state:
                return None
        return family


async def _move(store: SessionStore, own: Family, lives: list[str]) -> None:
    """Say where a conversation will live; commits of those who thought it elsewhere fail from now on."""
    own_id = own.session_id
    metadata = {**(own.session.metadata if own.session else {}), _LIVES: lives}
    try:
        if own.session is None:
            # It must outlive all that lives elsewhere.
            await store.create(own_id, kind=_PLACE_KIND, metadata=metadata, ttl="never")
            return
        if own.session.expires_at is not None:
            await store.touch(own_id, "never")
        await store.update(own_id, metadata=metadata, expected_version=own.session)
    except (SessionExistsError, SessionNotFoundError, VersionConflictError):
        return  # someone else was faster: look again
    for session_id in lives[1:]:
        if session_id != own_id:
            try:
                await store.state(session_id).add(_MOVED)
            except SessionNotFoundError:
                pass


def empty(batch: Batch) -> None:
    """Let a commit take all out of a session."""
    batch.clear()
    batch.state.delete_prefix("")
    batch.tags = ()


def close(batch: Batch) -> None:
    """Let a commit say that nobody may write to a session from now on, since it is being deleted."""
    batch.state.set(_CLOSED, True)
