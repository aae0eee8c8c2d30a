"""In which session a run is: the contract looks runs up without their conversation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from miniagent_store import SessionStore
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.ids import join_id
from miniagent_store.integrations.recent import Recent
from miniagent_store.store.kv import KeyValue

PREFIX = "pydantic-ai.steps"
EVENTS = "events"
_COLLECTION, _SHARDS = "pydantic-ai.runs", 16
_REMEMBERED = 4096
_LONGEST = 80


@dataclass(frozen=True)
class RunPlace:
    """Where a run is.

    Attributes:
        session_id: of the conversation in which it was first seen, else its own.
        after: its events come after this sequence, in this incarnation of the session.
        incarnation: of the session; "" if it was not there.
    """

    session_id: str
    after: int = 0
    incarnation: str = ""


def session_id_of(conversation_id: str) -> str:
    """The session of the runs of a conversation."""
    return join_id(PREFIX, "conversation", conversation_id)


def short(foreign: str) -> str:
    """An id of a model's or a caller's as part of a name; some models' have thousands of characters."""
    if foreign.isascii() and len(foreign) <= _LONGEST:
        return foreign
    return f"sha256:{hashlib.sha256(foreign.encode('utf-8', 'surrogatepass')).hexdigest()}"


class RunPlaces:
    """Where runs are, noted when each is first seen, and kept for a while."""

    def __init__(self) -> None:
        self._known: Recent[str, RunPlace] = Recent(_REMEMBERED)

    async def find(self, store: SessionStore, run_id: str) -> RunPlace | None:
        """Where a run is; None if nothing was ever stored of it."""
        place = self._known.get(run_id)
        if place is None:
            noted = await _runs(store).get(join_id("at", run_id))
            if noted is None:
                return None
            place = RunPlace(*noted)
            self._known.put(run_id, place)
        return place

    async def take(self, store: SessionStore, run_id: str, conversation_id: str | None) -> RunPlace:
        """Where a run is; if nothing was stored of it yet, in its conversation from now on."""
        place = await self.find(store, run_id)
        while place is None:
            if conversation_id is None:
                wanted = RunPlace(join_id(PREFIX, "run", run_id))
            else:
                wanted = await _end_of(store, session_id_of(conversation_id))
            noted = [wanted.session_id, wanted.after, wanted.incarnation]
            # Whoever was faster has said where.
            await _runs(store).set_if_absent(join_id("at", run_id), noted)
            place = await self.find(store, run_id)
        return place

    async def note_parent(self, store: SessionStore, parent_run_id: str, run_id: str) -> None:
        """Note that a run has a parent."""
        await _runs(store).set(join_id("child", parent_run_id, run_id), run_id)

    async def children(self, store: SessionStore, parent_run_id: str) -> list[str]:
        """The runs that have this parent."""
        items = await _runs(store).scan(f"{join_id('child', parent_run_id)}/")
        return [item.value for item in items]

    async def all(self, store: SessionStore) -> set[str]:
        """The sessions of all runs."""
        return {item.value[0] for item in await _runs(store).scan("at/")}


def _runs(store: SessionStore) -> KeyValue:
    return store.kv(_COLLECTION, shards=_SHARDS)


async def _end_of(store: SessionStore, session_id: str) -> RunPlace:
    try:
        session = await store.get(session_id)
    except SessionNotFoundError:
        return RunPlace(session_id)
    return RunPlace(session_id, session.position.seq(EVENTS), session.incarnation)
