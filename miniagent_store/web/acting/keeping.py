"""Copies of sessions, kept aside for some minutes, by which an act is undone.

A copy is a session of a kind of its own, which no listing of sessions shows; it expires by itself. It has
all of the session's parts with their ids, sequences, versions and times: what comes back is what went.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from miniagent_store.backend import LogTail, Record, StoredValue
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.whole import WholeSession, core_of, read_whole
from miniagent_store.moving.writing import SessionWriter
from miniagent_store.store.core import StoreCore
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session
from miniagent_store.web.acting.audit import LOG, Act

KIND = "viewer-undo"
LASTS = timedelta(minutes=15)
# The value of the copy's state that says what it is a copy of.
ABOUT = "miniagent-viewer.undo"


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy.

    Attributes:
        name: its id.
        act: what it was made for.
        version: of the session, when it was made.
        until: when it goes.
    """

    name: str
    act: Act
    version: int
    until: datetime


async def keep(store: SessionStore, act: Act) -> Kept:
    """Copy the session that an act is about to change.

    Raises:
        SessionNotFoundError: there is none.
        SerializationError: a part of it cannot be read with this store's keys, and so not be copied.
    """
    core = core_of(store)
    await core.ready()
    whole = await read_whole(core, act.session_id)
    if whole is None:
        raise SessionNotFoundError(act.session_id)
    whole = _unbound(core, whole.at(core.backend.now_ms()))
    record, name, time = whole.record, f"{KIND}/{secrets.token_hex(16)}", datetime.now(UTC)
    until = time + LASTS
    about = {
        "act": replace(act, kept=name, until=until).value(),
        "time": time.isoformat(),
        "kind": record.kind,
        "user": record.user_id,
        "agent": record.agent,
        "tags": list(record.tags),
        "ttl": record.ttl_ms,
        "sliding": record.sliding,
        "expires": record.expires_ms,
    }
    lasts = int(LASTS.total_seconds() * 1000)
    aside = replace(
        record,
        session_id=name,
        kind=KIND,
        user_id=None,
        agent=None,
        tags=(_tag(act.session_id),),
        ttl_ms=lasts,
        sliding=False,
        expires_ms=core.backend.now_ms() + lasts,
    )
    value = StoredValue(ABOUT, record.version, _value(core, name, about, plain=whole.plain), None, None)
    await _writer(core).write(replace(whole, record=aside, values=(*whole.values, value)))
    return Kept(name, replace(act, kept=name, until=until), record.version, until)


async def kept(store: SessionStore, name: str) -> Kept:
    """What a copy is of.

    Raises:
        SessionNotFoundError: it has expired, was used, or never was.
    """
    session = await store.get(name)
    about = await store.state(name).get(ABOUT) if session.kind == KIND else None
    if about is None or session.expires_at is None:
        raise SessionNotFoundError(name, hint="it is no copy that was kept aside")
    return Kept(name, _act(about), session.version, session.expires_at)


async def restore(
    store: SessionStore, copy: Kept, session_id: str, *, instead_of: Session | None = None
) -> None:
    """Make a session what a copy holds.

    Args:
        store: of both.
        copy: which.
        session_id: whose id is free, unless:
        instead_of: it stands as it was read here; its log "audit" stays. It is removed once all else is
            ready, just before what comes instead is shown.

    Raises:
        SessionNotFoundError: the copy has expired.
        SessionExistsError: the id is taken.
    """
    core = core_of(store)
    await core.ready()
    whole = await read_whole(core, copy.name)
    if whole is None:
        raise SessionNotFoundError(copy.name)
    whole = _unbound(core, whole)
    about = await store.state(copy.name).get(ABOUT)
    whole = replace(whole, values=tuple(each for each in whole.values if each.name != ABOUT))
    whole = replace(whole, record=_as_it_was(whole.record, session_id, about, core.backend.now_ms()))
    if instead_of is None:
        await _writer(core).write(whole)
        return
    there = await read_whole(core, session_id)
    if there is None or there.record.incarnation != instead_of.incarnation:
        raise SessionNotFoundError(session_id)
    whole = _followed(whole, _unbound(core, there, plain=whole.plain))

    async def make_room() -> None:
        await store.delete(session_id, incarnation=instead_of.incarnation)

    await _writer(core).write(whole, once_staged=make_room)


async def drop(store: SessionStore, session_id: str) -> None:
    """Remove all copies of a session."""
    while page := (await store.list(kind=KIND, tags=[_tag(session_id)], limit=100)).items:
        for each in page:
            await store.delete(each.id)


def _tag(session_id: str) -> str:
    # An id may be longer than a tag.
    return "of=" + hashlib.sha256(session_id.encode()).hexdigest()


def _act(about: Any) -> Act:
    act = about["act"]
    return Act(
        act["what"],
        act["session"],
        act["who"],
        act["where"],
        act["told"],
        kept=act["kept"],
        until=datetime.fromisoformat(act["until"]),
        time=datetime.fromisoformat(about["time"]),
    )


def _writer(core: StoreCore) -> SessionWriter:
    return SessionWriter(core, core.options.namespace)


def _value(core: StoreCore, name: str, value: Any, *, plain: bool) -> bytes:
    if plain:
        return PlainValues(core).json_of(value)
    return core.coding.encode_value(name, ABOUT, value)


def _unbound(core: StoreCore, whole: WholeSession, *, plain: bool = False) -> WholeSession:
    """With values that mean the same under another id: opened, if encryption bound them to this one."""
    codec, record = core.coding.codec, whole.record
    bound = codec.bound or bool(record.data_key) or any(map(codec.check_readable, _payloads(whole)))
    return PlainValues(core).opened(whole) if bound or plain else whole


def _payloads(whole: WholeSession) -> list[bytes]:
    found = [entry.payload for entries in whole.logs.values() for entry in entries]
    found += [value.payload for value in whole.values if value.payload is not None]
    return [*found, whole.record.metadata] if whole.record.metadata else found


def _as_it_was(record: Record, session_id: str, about: Any, now_ms: int) -> Record:
    expires_ms, ttl_ms = about["expires"], about["ttl"]
    if expires_ms is not None and expires_ms <= now_ms:
        # It would have expired since. Who puts it back wants to have it.
        expires_ms = now_ms + (ttl_ms or int(LASTS.total_seconds() * 1000))
    return replace(
        record,
        session_id=session_id,
        kind=about["kind"],
        user_id=about["user"],
        agent=about["agent"],
        tags=tuple(about["tags"]),
        ttl_ms=ttl_ms,
        sliding=about["sliding"],
        expires_ms=expires_ms,
    )


def _followed(whole: WholeSession, there: WholeSession) -> WholeSession:
    """As what comes after `there`: with a later version and epoch, and its log of acts."""
    logs, tails = dict(whole.logs), dict(whole.record.logs)
    if LOG in there.logs:
        logs[LOG], tails[LOG] = there.logs[LOG], there.record.logs[LOG]
    else:
        logs.pop(LOG, None)
        tails.pop(LOG, LogTail())
    record = replace(
        whole.record, version=there.record.version + 1, epoch=there.record.epoch + 1, logs=tails
    )
    return replace(whole, record=record, logs=logs)
