"""Reading and writing conversations in a store, with what was read lately kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from miniagent_store import SessionStore
from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.chains import link, read_chain, read_value
from miniagent_store.integrations.pydantic_ai.deletion import remove_record
from miniagent_store.integrations.pydantic_ai.entry_index import look_up, note_entries
from miniagent_store.integrations.pydantic_ai.families import (
    Family,
    Spot,
    find,
    log_of,
    make_room,
    record_name,
)
from miniagent_store.integrations.pydantic_ai.listing import tags_with
from miniagent_store.integrations.pydantic_ai.record_json import StoredRecord, load_record
from miniagent_store.integrations.recent import Recent

with requires("pydantic-ai-slim>=2.66", extra="pydantic-ai"):
    from pydantic_ai.conversation_store import ConversationConflict

_REMEMBERED = 1024
Values = Sequence[dict[str, Any]]


class ConversationLog:
    """What `MiniAgentConversationStore` does with a store, whichever one a call is given."""

    def __init__(self) -> None:
        # Both only save reads: a commit fails where they no longer hold.
        self._families: Recent[str, Family] = Recent(_REMEMBERED)
        self._spots: Recent[str, Spot] = Recent(4 * _REMEMBERED)

    # Reading

    async def read(self, store: SessionStore, conversation_id: str) -> StoredRecord | None:
        """What is stored of a conversation; None if nothing."""
        return self._remember(conversation_id, await self._find(store, conversation_id))

    async def entry(self, store: SessionStore, entry_id: str) -> Mapping[str, Any]:
        """An entry as it is stored.

        Raises:
            KeyError: it is not.
        """
        for spot in (self._spots.get(entry_id), await look_up(store, entry_id)):
            value = spot and await read_value(store, spot, entry_id)
            if value:
                return value
        raise KeyError(entry_id)

    async def chain(self, store: SessionStore, head_id: str, limit: int | None) -> list[Mapping[str, Any]]:
        """The entries up to a head, or the last of them, as they are stored.

        Raises:
            KeyError: one of them is not there.
        """
        spot = self._spots.get(head_id) or await look_up(store, head_id)
        if spot is None:
            raise KeyError(head_id)
        return await read_chain(store, spot, head_id, limit)

    async def _find(self, store: SessionStore, conversation_id: str) -> Family:
        known = self._families.get(conversation_id)
        return await find(store, conversation_id, known=known.session_id if known else None)

    def _remember(self, conversation_id: str, family: Family) -> StoredRecord | None:
        value = family.stored(conversation_id)
        if value is None:
            self._families.drop(conversation_id)
            return None
        self._families.put(conversation_id, family)
        stored = load_record(value)
        for entry_id, spot in stored.spots(family.session_id).items():
            self._spots.put(entry_id, spot)
        return stored

    # Changing

    async def write(
        self, store: SessionStore, written: StoredRecord, values: Values, expected_revision: str | None
    ) -> None:
        """Store a record and new entries in one commit.

        Raises:
            ConversationConflict: it is at another revision, or what it continues is gone.
        """
        conversation_id = written.conversation_id
        # As it was read right before, as a rule.
        family = self._families.get(conversation_id)
        while True:
            if family is None or _revision(family, conversation_id) != expected_revision:
                family = await self._find(store, conversation_id)
            if _revision(family, conversation_id) != expected_revision:
                raise ConversationConflict(conversation_id)
            try:
                family = await self._commit(store, family, written, values)
            except (VersionConflictError, SessionNotFoundError):
                # By a fork, perhaps: whether it concerns this conversation is seen when it is read again.
                family = None
                continue
            self._remember(conversation_id, family)
            return

    async def delete(self, store: SessionStore, conversation_id: str, expected_revision: str) -> None:
        """Delete a conversation, and the entries that nothing else reaches.

        Raises:
            ConversationConflict: it is at another revision, or not there.
        """
        known = self._families.get(conversation_id)
        self._families.drop(conversation_id)
        if not await remove_record(
            store, conversation_id, expected_revision, known=known.session_id if known else None
        ):
            raise ConversationConflict(conversation_id)

    async def _commit(
        self, store: SessionStore, family: Family, written: StoredRecord, values: Values
    ) -> Family:
        conversation_id = written.conversation_id
        stored = family.stored(conversation_id)
        before = None if stored is None else load_record(stored)
        spots = before.spots(family.session_id) if before else {}
        # The entry that what is written hangs on, which must be there.
        base_id = values[0]["parent"] if values else written.head_id
        base = None if base_id is None else spots.get(base_id) or await look_up(store, base_id)
        if before is None:
            if base_id is not None and base is None:
                raise ConversationConflict(conversation_id)
            room = await make_room(store, conversation_id, base.session_id if base else None)
            if room is None:
                raise ConversationConflict(conversation_id)
            family = room
        if base_id is not None and base_id not in spots:
            # Read after the family, which the commit expects as it is: what is there now stays until then.
            beside = base is not None and base.session_id == family.session_id
            if base is None or not beside or await read_value(store, base, base_id) is None:
                raise ConversationConflict(conversation_id)
            spots[base_id] = base

        log = log_of(conversation_id, family.session_id)
        first = family.last_seq(log) + 1
        new = {value["id"]: Spot(family.session_id, log, first + n) for n, value in enumerate(values)}
        spots.update(new)
        await note_entries(store, new)
        value = written.placed(spots, over=before)
        batch = store.batch(
            family.session_id, create=family.session is None, expected_version=family.session or 0
        )
        entries = [link(each, new[each["id"]], spots.get(each["parent"])) for each in values]
        batch.append(*entries, log=log, dedupe=False)
        batch.state.set(record_name(conversation_id), value)
        tags = family.session.tags if family.session else ()
        if (wanted := tags_with(tags, written.record.scope)) != tags:
            batch.tags = wanted
        if written.record.updated_at > datetime.now(UTC):
            # Listings go by it: no record may be newer than its session.
            batch.last_activity = written.record.updated_at
        result = await batch.commit()
        return Family(family.session_id, result.session, {record_name(conversation_id): value})


def _revision(family: Family, conversation_id: str) -> str | None:
    stored = family.stored(conversation_id)
    return None if stored is None else str(stored["revision"])
