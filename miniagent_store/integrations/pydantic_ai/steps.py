"""The harness's `StepStore` on any of our stores.

The runs of a conversation share one session. Its log "messages" has each message once; a snapshot refers
to them; events stand in its log "events", runs and tools' effects in its state.
"""

from __future__ import annotations

from typing import Any

from miniagent_store import SessionStore
from miniagent_store.errors import IdempotencyConflictError, SessionNotFoundError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.run_places import EVENTS, RunPlaces, session_id_of, short
from miniagent_store.integrations.pydantic_ai.snapshots import Snapshots, texts_of
from miniagent_store.integrations.pydantic_ai.step_json import EFFECT, EVENT, RUN
from miniagent_store.url import StoreURL

with requires("pydantic-ai-harness", extra="pydantic-ai-harness"):
    from pydantic_ai_harness.step_persistence import (
        ContinuableSnapshot,
        RunRecord,
        StepEvent,
        ToolEffectRecord,
    )


class MiniAgentStepStore:
    """Steps of runs that survive, are shared by instances, and are stored once.

    Any event loop and thread may call it. No I/O when it is made.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`; by default as `open_store`.
        max_snapshots_per_run: how many snapshots of a run are kept, besides the newest complete one; None
            for all. Messages stay with their conversation.
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        max_snapshots_per_run: int | None = None,
    ) -> None:
        keep = max_snapshots_per_run
        if keep is not None and (keep < 1 or keep != int(keep)):
            raise ValueError("max_snapshots_per_run must be a whole number of at least 1, or None")
        self._is_lent = isinstance(store, StoreHandle)
        self._handle = handle_of(store)
        self._keep = keep
        self._places = RunPlaces()
        self._snapshots = Snapshots(keep)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._handle, self._keep)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._handle.url}>"

    async def aclose(self) -> None:
        """Let go of what was opened here; a store or handle that was given stays open. Else at exit."""
        if not self._is_lent:
            await self._handle.aclose()

    # Runs

    async def register_run(self, record: RunRecord) -> None:
        """Store a run; one that was registered by the same registration is left as it is.

        Raises:
            ValueError: another registration has taken its id.
        """
        plain = RUN.dump(record)

        async def work(store: SessionStore) -> None:
            place = await self._places.take(store, record.run_id, record.conversation_id)
            name = join_id("run", record.run_id)
            if record.parent_run_id is not None:
                await self._places.note_parent(store, record.parent_run_id, record.run_id)
            if record.conversation_id is not None:
                home = session_id_of(record.conversation_id)
                if home != place.session_id:
                    # Something of it was stored before its conversation was known.
                    async with store.batch(home, create=True) as elsewhere:
                        elsewhere.state.set(join_id("elsewhere", record.run_id), record.run_id)
            batch = store.batch(place.session_id, create=True)
            batch.state.set_if_absent(name, plain, required=True)
            try:
                await batch.commit()
            except VersionConflictError:
                there = await store.state(place.session_id).get(name)
                registration_id = record.registration_id
                if registration_id is None or there["registration_id"] != registration_id:
                    raise ValueError(f"run_id {record.run_id!r} is already in the store") from None

        await self._handle.run_to_end(work)

    async def get_run(self, *, run_id: str) -> RunRecord | None:
        """A run, or None."""
        plain = await self._handle.run(lambda store: self._value(store, run_id, "run", run_id))
        return None if plain is None else RUN.load(plain)

    async def list_runs(
        self, *, parent_run_id: str | None = None, conversation_id: str | None = None
    ) -> list[RunRecord]:
        """The runs of a conversation, of a parent, or all, by the time at which they began."""

        async def work(store: SessionStore) -> list[dict[str, Any] | None]:
            if conversation_id is not None:
                home = session_id_of(conversation_id)
                elsewhere = await _scan(store, home, "elsewhere/")
                return [
                    *await _scan(store, home, "run/"),
                    *[await self._value(store, run_id, "run", run_id) for run_id in elsewhere],
                ]
            if parent_run_id is not None:
                children = await self._places.children(store, parent_run_id)
                return [await self._value(store, run_id, "run", run_id) for run_id in children]
            sessions = await self._places.all(store)
            return [plain for session_id in sessions for plain in await _scan(store, session_id, "run/")]

        records = [RUN.load(plain) for plain in await self._handle.run(work) if plain is not None]
        found = [
            record
            for record in records
            if (parent_run_id is None or record.parent_run_id == parent_run_id)
            and (conversation_id is None or record.conversation_id == conversation_id)
        ]
        return sorted(found, key=lambda record: record.started_at)

    # Events

    async def append_event(self, event: StepEvent) -> None:
        """Append an event; one whose key its run has already is left out."""
        value: dict[str, Any] = {"event": EVENT.dump(event)}
        if event.idempotency_key is not None:
            value["id"] = join_id(event.run_id, short(event.idempotency_key))
        run_id, conversation_id = event.run_id, event.conversation_id

        async def work(store: SessionStore) -> None:
            place = await self._places.take(store, run_id, conversation_id)
            try:
                await store.append(place.session_id, value, log=EVENTS, create=True)
            except IdempotencyConflictError:
                pass  # a retry, which has another time in it

        await self._handle.run_to_end(work)

    async def list_events(self, *, run_id: str) -> list[StepEvent]:
        """The events of a run, in order."""

        async def work(store: SessionStore) -> list[dict[str, Any]]:
            place = await self._places.find(store, run_id)
            if place is None:
                return []
            try:
                read = await store.snapshot(place.session_id, after=place.after, logs=(EVENTS,))
                if place.after and read.session.incarnation != place.incarnation:
                    read = await store.snapshot(place.session_id, logs=(EVENTS,))
            except SessionNotFoundError:
                return []
            events = [entry.value["event"] for entry in read.logs[EVENTS] if not entry.redacted]
            return [event for event in events if event["run_id"] == run_id]

        return [EVENT.load(event) for event in await self._handle.run(work)]

    # Snapshots

    async def save_snapshot(self, snapshot: ContinuableSnapshot) -> None:
        """Store a snapshot, and the messages that its conversation has not stored yet, in one commit.

        One whose key was stored before, or begins with a lower number than one that was, is left out, also
        when that one is no longer kept.
        """
        # Before anything is awaited: it belongs to the caller, who may change it.
        texts = texts_of(snapshot)
        run_id, conversation_id = snapshot.run_id, snapshot.conversation_id

        async def work(store: SessionStore) -> None:
            place = await self._places.take(store, run_id, conversation_id)
            await self._snapshots.save(store, place.session_id, snapshot, texts)

        await self._handle.run_to_end(work)

    async def latest_snapshot(
        self, *, run_id: str, include_interrupted: bool = False
    ) -> ContinuableSnapshot | None:
        """The newest complete snapshot of a run, or the newest one; None if there is none."""

        async def work(store: SessionStore) -> ContinuableSnapshot | None:
            place = await self._places.find(store, run_id)
            if place is None:
                return None
            return await self._snapshots.latest(
                store, place.session_id, run_id, interrupted=include_interrupted
            )

        return await self._handle.run(work)

    async def list_snapshots(
        self, *, run_id: str, include_interrupted: bool = False
    ) -> list[ContinuableSnapshot]:
        """The snapshots of a run that are kept, in the order in which they came."""

        async def work(store: SessionStore) -> list[ContinuableSnapshot]:
            place = await self._places.find(store, run_id)
            if place is None:
                return []
            return await self._snapshots.all(
                store, place.session_id, run_id, interrupted=include_interrupted
            )

        return await self._handle.run(work)

    # Effects of tools

    async def record_tool_effect(self, record: ToolEffectRecord) -> None:
        """Store what is known of a call of a tool, over what was known before."""
        plain = EFFECT.dump(record)
        run_id, call_id = record.run_id, record.tool_call_id

        async def work(store: SessionStore) -> None:
            place = await self._places.take(store, run_id, None)
            async with store.batch(place.session_id, create=True) as batch:
                batch.state.set(join_id("effect", run_id, short(call_id)), plain)

        await self._handle.run_to_end(work)

    async def get_tool_effect(self, *, run_id: str, tool_call_id: str) -> ToolEffectRecord | None:
        """What is known of a call of a tool; None if nothing."""
        plain = await self._handle.run(
            lambda store: self._value(store, run_id, "effect", run_id, short(tool_call_id))
        )
        return None if plain is None else EFFECT.load(plain)

    async def list_unresolved_tool_effects(self, *, run_id: str) -> list[ToolEffectRecord]:
        """The calls of a run that have begun and are not known to have ended, in order."""

        async def work(store: SessionStore) -> list[dict[str, Any]]:
            place = await self._places.find(store, run_id)
            if place is None:
                return []
            return await _scan(store, place.session_id, f"{join_id('effect', run_id)}/")

        effects = [EFFECT.load(plain) for plain in await self._handle.run(work)]
        unresolved = [effect for effect in effects if effect.status == "started"]
        return sorted(unresolved, key=lambda effect: effect.started_at)

    async def _value(self, store: SessionStore, run_id: str, *name: str) -> dict[str, Any] | None:
        place = await self._places.find(store, run_id)
        if place is None:
            return None
        try:
            value: dict[str, Any] | None = await store.state(place.session_id).get(join_id(*name))
        except SessionNotFoundError:
            return None
        return value


async def _scan(store: SessionStore, session_id: str, prefix: str) -> list[Any]:
    try:
        return [item.value for item in await store.state(session_id).scan(prefix)]
    except SessionNotFoundError:
        return []


def _unpickled(
    cls: type[MiniAgentStepStore], handle: StoreHandle, max_snapshots_per_run: int | None
) -> MiniAgentStepStore:
    return cls(handle, max_snapshots_per_run=max_snapshots_per_run)
