"""Who did what: written to the log "audit" of a session, and of a session of the viewer's own.

The viewer's own has all of them, before they are done: also of sessions that are gone, and whatever
becomes of a session's own log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from miniagent_store.errors import SerializationError, SessionNotFoundError
from miniagent_store.store.batch import Batch
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry

LOG = "audit"
KIND = "viewer"
VIEWER = "viewer/audit"
# Others may have a log of this name; our entries say whose they are.
BY = "viewer"
# So many of a session's own stay with it when its logs are emptied.
STAY = 500


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did.

    Attributes:
        what: the name of a `Kind`.
        session_id: to which session.
        who: as the entrance names them.
        where: the address they came from.
        told: what it did, in words.
        kept: the copy by which it can be undone.
        until: when that goes.
        failed: why it was not done after all.
        time: when; None before it is written.
        seq, version: of its entry.
    """

    what: str
    session_id: str
    who: str
    where: str
    told: str
    kept: str | None = None
    until: datetime | None = None
    failed: str | None = None
    time: datetime | None = None
    seq: int = 0
    version: int = 0

    @property
    def can_be_undone(self) -> bool:
        """Whether its copy is still kept, unless somebody has used it."""
        return self.kept is not None and self.until is not None and self.until > datetime.now(UTC)

    def value(self) -> dict[str, Any]:
        """As a log holds it."""
        plain: dict[str, Any] = {
            "by": BY,
            "what": self.what,
            "session": self.session_id,
            "who": self.who,
            "where": self.where,
            "told": self.told,
        }
        if self.kept is not None and self.until is not None:
            plain |= {"kept": self.kept, "until": self.until.isoformat()}
        if self.failed is not None:
            plain["failed"] = self.failed
        return plain

    @classmethod
    def of(cls, entry: Entry) -> Act | None:
        """The act of an entry; None for what others wrote."""
        value = entry.value
        if entry.redacted or value.get("by") != BY:
            return None
        kept, failed = value.get("kept"), value.get("failed")
        return cls(
            str(value.get("what", "")),
            str(value.get("session", "")),
            str(value.get("who", "")),
            str(value.get("where", "")),
            str(value.get("told", "")),
            kept=kept if isinstance(kept, str) else None,
            until=_moment(value.get("until")),
            failed=failed if isinstance(failed, str) else None,
            time=entry.time,
            seq=entry.seq,
            version=entry.version,
        )


def _moment(text: object) -> datetime | None:
    """A time in an entry; None for what is none: whoever writes to a session may have made it."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


async def record(store: SessionStore, act: Act) -> None:
    """Write to the viewer's own log, which never expires."""
    await store.create(VIEWER, kind=KIND, ttl="never", exist_ok=True)
    await store.append(VIEWER, act.value(), log=LOG)


async def note(store: SessionStore, session_id: str, *acts: Act) -> None:
    """Write to a session's own log. Whoever looks after sessions is no activity of them."""
    session = await store.get(session_id)
    batch = store.batch(session_id)
    add_to(batch, *acts)
    batch.last_activity = session.last_activity
    await batch.commit("append")


def add_to(batch: Batch, *acts: Act) -> None:
    """The same, with a commit that does what they tell of."""
    for act in acts:
        batch.append(act.value(), log=LOG, time=act.time, dedupe=False)


async def acts_of(store: SessionStore, session_id: str, last: int = STAY) -> list[Act]:
    """The last acts that stand in a session's own log, oldest first.

    Raises:
        SessionNotFoundError: it is gone; `recorded` still knows.
        SerializationError: one cannot be read.
    """
    entries = await store.entries(session_id, log=LOG, last=last)
    return [act for act in map(Act.of, entries) if act is not None]


async def recorded(store: SessionStore, *, before: int | None = None, limit: int = 100) -> list[Act]:
    """Acts of the viewer's own log, newest first. One that failed stands there once.

    Args:
        store: whose sessions.
        before: only those before this sequence.
        limit: at most so many.
    """
    low = None if before is None else max(0, before - 1 - limit)
    try:
        if low is None:
            entries = await store.entries(VIEWER, log=LOG, last=limit)
        else:
            entries = await store.entries(VIEWER, log=LOG, after=low, before=before)
    except (SessionNotFoundError, SerializationError):
        return []
    acts: list[Act] = []
    failed: list[tuple[str, str, str]] = []
    for act in filter(None, map(Act.of, reversed(entries))):
        what = act.what, act.session_id, act.told
        if act.failed is not None:
            failed.append(what)
        elif what in failed:
            # It was written before it was tried.
            failed.remove(what)
            continue
        acts.append(act)
    return acts
