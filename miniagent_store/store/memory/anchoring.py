"""Which scopes hold memories of a session: it says so itself, so that whoever changes it finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from miniagent_store.backend import Expected, ReadPlan, ReadResult, Record
from miniagent_store.errors import SessionExistsError, SessionNotFoundError, VersionConflictError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.expiring import note
from miniagent_store.store.memory.followed import Followed
from miniagent_store.store.memory.layout import NewMemory
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.store.memory.sources import until

# The state value of a session: {"scopes": […]}, and of those in "expiring" […] something is to go when it
# expires.
ANCHOR = "agent.memory"
# Somebody else was faster: it is to be tried again with what stands then.
CONFLICTS = (VersionConflictError, SessionExistsError, SessionNotFoundError)


def scopes_in(core: StoreCore, session_id: str, result: ReadResult) -> list[str]:
    """The scopes that a session names, of a read of `ANCHOR`."""
    return _anchor_in(core, session_id, result)[0]


def has_notes(core: StoreCore, session_id: str, result: ReadResult) -> bool:
    """Whether it was noted that something is to go when a session expires, of a read of `ANCHOR`."""
    return bool(_anchor_in(core, session_id, result)[1])


def _anchor_in(core: StoreCore, session_id: str, result: ReadResult) -> tuple[list[str], list[str], int]:
    for each in result.values:
        if each.name == ANCHOR:
            value = core.coding.decode_value(session_id, each)
            return list(value["scopes"]), list(value.get("expiring", ())), each.version
    return [], [], 0


async def anchor(
    core: StoreCore, session_id: str, scope: str, *, forget_on_expiry: bool
) -> tuple[Record | None, bool]:
    """Have a session name a scope, before there is anything of it in there.

    Args:
        core: of the store.
        session_id, scope: which.
        forget_on_expiry: whether something in there is to go when the session expires.

    Returns:
        Its record, None if there is no such session; and whether it did not name the scope before.
    """
    is_new = False
    for attempt in range(ATTEMPTS):
        result = await core.read(ReadPlan(session_id, names=(ANCHOR,)))
        if result.record is None:
            return None, is_new
        scopes, expiring, version = _anchor_in(core, session_id, result)
        is_noted = not forget_on_expiry or scope in expiring
        if scope in scopes and is_noted:
            return result.record, is_new
        is_new = is_new or scope not in scopes
        if not is_noted:
            await note(core, session_id, scope)
            expiring.append(scope)
        value: dict[str, Any] = {"scopes": [*dict.fromkeys([*scopes, scope])]}
        if expiring:
            value["expiring"] = expiring
        batch = Batch(core, session_id, expected=Expected(incarnation=result.record.incarnation))
        batch.state.set(ANCHOR, value, if_version=version)
        try:
            await batch.commit("memory.anchor")
        except (VersionConflictError, SessionNotFoundError):
            await pause(attempt)
    raise VersionConflictError(session_id, expected=f"{ANCHOR} as it was read", actual="others change it")


@dataclass(frozen=True, slots=True)
class Anchored:
    """A session that names a scope to which memories of it are to be added.

    Attributes:
        record: the session's.
        followed: how far it was followed.
        version: of the state value that says so; 0 for none.
        is_new: whether it did not name the scope before.
    """

    record: Record
    followed: Followed
    version: int
    is_new: bool

    def write(self, batch: Batch, followed: Followed | None = None) -> None:
        """Have the commit of the memories fail where the session was changed or deleted meanwhile."""
        value = (followed or self.followed).to_dict()
        batch.state.set(layout.followed_name(self.record.session_id), value, if_version=self.version)

    async def is_gone(self, core: StoreCore, *, expired: bool = False) -> bool:
        """Whether it was deleted by somebody who did not see yet that it names the scope.

        To be asked when the memories stand. One that is missing before its time has been deleted.

        Args:
            core: of the store.
            expired: or whether it has expired.
        """
        record = (await core.read(ReadPlan(self.record.session_id))).record
        if record is not None or expired:
            return record is None
        expires = self.record.expires_ms
        return expires is None or core.backend.now_ms() < expires


async def anchor_sources(
    core: StoreCore, scope: str, record_id: str, sources: Mapping[str, Source]
) -> list[Anchored]:
    """Anchor the sessions of which memories are to be added; those that have expired are left out.

    Args:
        core: of the store.
        scope, record_id: where to.
        sources: what is said of them, by session.

    Raises:
        SessionNotFoundError: one was deleted a short time ago.
    """
    if not sources:
        return []
    records = {
        session_id: await anchor(core, session_id, scope, forget_on_expiry=source.forget_on_expiry)
        for session_id, source in sources.items()
    }
    names = tuple(map(layout.followed_name, sources))
    values = (await core.read(ReadPlan(record_id, names=names))).values
    there = {each.name: each for each in values}
    anchored = []
    for session_id, (record, is_new) in records.items():
        value = there.get(layout.followed_name(session_id))
        followed = None
        if value is not None:
            followed = Followed.from_dict(core.coding.decode_value(record_id, value))
            if followed.gone and (
                (record is None and sources[session_id].incarnation in (None, followed.incarnation))
                or (record is not None and record.incarnation == followed.incarnation)
            ):
                raise SessionNotFoundError(session_id)
        if record is not None:
            if followed is None or followed.gone:
                followed = Followed.of(record)
            version = 0 if value is None else value.version
            anchored.append(Anchored(record, followed, version, is_new))
    return anchored


@dataclass(frozen=True, slots=True)
class Source:
    """What is said of a session of which memories are added.

    Attributes:
        incarnation: its own; None for whichever stands.
        forget_on_expiry: whether any of them is to go when it expires.
    """

    incarnation: str | None
    forget_on_expiry: bool


def sources_of(new: Iterable[NewMemory]) -> dict[str, Source]:
    """The sessions that memories are of."""
    sources: dict[str, Source] = {}
    for each in new:
        if each.source is not None:
            known = sources.get(each.source.session_id)
            forget = each.forget_on_expiry or (known is not None and known.forget_on_expiry)
            sources[each.source.session_id] = Source(each.source.incarnation, forget)
    return sources


def alive(core: StoreCore, new: Iterable[NewMemory], anchored: Sequence[Anchored]) -> list[NewMemory]:
    """The same, with how long their sessions are sure to live."""
    times = {each.record.session_id: until(core, each.record) for each in anchored}
    return [
        each
        if each.source is None or each.source.session_id not in times
        else replace(each, source=replace(each.source, until_ms=times[each.source.session_id]))
        for each in new
    ]


async def check_sources(core: StoreCore, record_id: str, anchored: Sequence[Anchored]) -> None:
    """Take memories back whose session was deleted while they were added.

    Raises:
        SessionNotFoundError: one was.
    """
    from miniagent_store.store.memory.forgetting import forget_in_scope

    for each in anchored:
        if each.is_new and await each.is_gone(core):
            await forget_in_scope(core, record_id, each.record.session_id, each.record.incarnation)
            raise SessionNotFoundError(each.record.session_id)
