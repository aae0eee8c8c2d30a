"""Snapshots of runs: references to the messages of the conversation, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from miniagent_store import SessionStore
from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.known_messages import KnownMessages, Runs, read_texts
from miniagent_store.integrations.pydantic_ai.message_json import dump_message, load_messages
from miniagent_store.integrations.pydantic_ai.run_places import short
from miniagent_store.integrations.pydantic_ai.step_json import SNAPSHOT
from miniagent_store.integrations.recent import Recent

with requires("pydantic-ai-harness", extra="pydantic-ai-harness"):
    from pydantic_ai_harness.step_persistence import ContinuableSnapshot

_CONVERSATIONS, _RUNS = 64, 1024
_PAGE = 8
_COMPLETE = "complete"


@dataclass(frozen=True)
class Line:
    """What is known of a run's snapshots.

    Attributes:
        version: of the state value; 0 if there is none.
        next: the number of the next one.
        sequence: the highest sequence among their keys; None if there was none.
        keys: the keys of that sequence.
        kept: number and state of each that is kept, where their number is bounded; else None.
    """

    version: int = 0
    next: int = 0
    sequence: int | None = None
    keys: tuple[str, ...] = ()
    kept: tuple[tuple[int, str], ...] | None = ()

    def refuses(self, key: str | None) -> bool:
        """Whether this key's snapshot was stored before, or one that came later was."""
        sequence = sequence_of(key)
        if sequence is None or self.sequence is None:
            return False
        return sequence < self.sequence or (sequence == self.sequence and key in self.keys)

    def with_key(self, key: str | None) -> Line:
        """After a snapshot of this key."""
        sequence = sequence_of(key)
        if key is None or sequence is None:
            return self
        same = self.keys if sequence == self.sequence else ()
        return replace(self, sequence=sequence, keys=(*same, key))

    def dump(self) -> dict[str, Any]:
        """As it is stored."""
        kept = None if self.kept is None else [list(each) for each in self.kept]
        return {"next": self.next, "sequence": self.sequence, "keys": list(self.keys), "kept": kept}

    @classmethod
    def load(cls, version: int, value: dict[str, Any]) -> Line:
        """As it was stored."""
        kept = None if value["kept"] is None else tuple((n, state) for n, state in value["kept"])
        return cls(version, value["next"], value["sequence"], tuple(value["keys"]), kept)


def sequence_of(key: str | None) -> int | None:
    """The number before the colon of a key that step persistence has made; None of any other."""
    before, colon, _ = (key or "").partition(":")
    try:
        sequence = int(before) if colon else -1
    except ValueError:
        return None
    return sequence if sequence >= 0 else None


class Snapshots:
    """Saves and reads snapshots; what is stored of conversations is kept in memory between saves.

    Args:
        keep: how many of a run are kept, besides the newest that is complete; None for all.
    """

    def __init__(self, keep: int | None) -> None:
        self._keep = keep
        self._messages: Recent[str, KnownMessages] = Recent(_CONVERSATIONS)
        self._lines: Recent[tuple[str, str], Line] = Recent(_RUNS)

    async def save(
        self, store: SessionStore, session_id: str, snapshot: ContinuableSnapshot, texts: list[str]
    ) -> None:
        """Store a snapshot, and the messages that are new, in one commit; nothing if its key was there."""
        run_id, key = snapshot.run_id, snapshot.idempotency_key
        plain = SNAPSHOT.dump(replace(snapshot, messages=[]))
        messages = self._messages.get(session_id) or await KnownMessages.read(store, session_id)
        line = self._lines.get((session_id, run_id)) or await self._line(store, session_id, run_id)
        while not line.refuses(key):
            refused = await self._commit(store, session_id, plain, texts, messages, line)
            if not refused:
                return
            messages = await messages.newer(store, session_id)
            line = await self._line(store, session_id, run_id)
            if await _has_key(store, session_id, run_id, key):
                break
        self._messages.put(session_id, messages)

    async def _commit(
        self,
        store: SessionStore,
        session_id: str,
        plain: dict[str, Any],
        texts: list[str],
        messages: KnownMessages,
        line: Line,
    ) -> bool:
        """Whether it was refused, since someone else has changed what this goes by."""
        run_id, key, state = plain["run_id"], plain["idempotency_key"], plain["state"]
        runs, new = messages.refer(texts)
        batch = store.batch(
            session_id, create=True, expected_version=0 if messages.position is None else None
        )
        if messages.position is not None:
            batch.expect_tail(messages.position)
        batch.append(*({"message": text} for _, text in new.values()), dedupe=False)
        batch.state.set(_name(run_id, line.next), {**plain, "messages": runs})
        if key is not None and sequence_of(key) is None:
            batch.state.set_if_absent(join_id("key", run_id, short(key)), line.next, required=True)
        after = replace(line.with_key(key), next=line.next + 1, kept=None)
        if self._keep is not None:
            kept = line.kept if line.kept is not None else await _numbers(store, session_id, run_id)
            kept = (*kept, (line.next, state))
            retained = _retained(kept, self._keep)
            for number, _ in kept:
                if number not in retained:
                    batch.state.delete(_name(run_id, number))
            after = replace(after, kept=tuple(each for each in kept if each[0] in retained))
        batch.state.set(join_id("line", run_id), after.dump(), if_version=line.version)
        try:
            result = await batch.commit()
        except (VersionConflictError, SessionNotFoundError):
            return True
        self._messages.put(session_id, messages.with_new(result.position, new))
        self._lines.put((session_id, run_id), replace(after, version=result.session.version))
        return False

    async def _line(self, store: SessionStore, session_id: str, run_id: str) -> Line:
        try:
            item = await store.state(session_id).item(join_id("line", run_id))
        except SessionNotFoundError:
            return Line()
        return Line() if item is None else Line.load(item.version, item.value)

    async def latest(
        self, store: SessionStore, session_id: str, run_id: str, *, interrupted: bool
    ) -> ContinuableSnapshot | None:
        """The newest snapshot of a run, or the newest complete one; None if there is none."""
        prefix = f"{join_id('snapshot', run_id)}/"
        limit: int | None = 1 if interrupted else _PAGE
        while True:
            try:
                items = await store.state(session_id).scan(prefix, reverse=True, limit=limit)
            except SessionNotFoundError:
                return None
            for item in items:
                if interrupted or item.value["state"] == _COMPLETE:
                    return (await _load(store, session_id, [item.value]))[0]
            if limit is None or len(items) < limit:
                return None
            limit = None

    async def all(
        self, store: SessionStore, session_id: str, run_id: str, *, interrupted: bool
    ) -> list[ContinuableSnapshot]:
        """The snapshots of a run that are kept, in the order in which they came."""
        try:
            items = await store.state(session_id).scan(f"{join_id('snapshot', run_id)}/")
        except SessionNotFoundError:
            return []
        values = [item.value for item in items if interrupted or item.value["state"] == _COMPLETE]
        return await _load(store, session_id, values)


def texts_of(snapshot: ContinuableSnapshot) -> list[str]:
    """The JSON of its messages."""
    return [dump_message(message) for message in snapshot.messages]


async def _load(
    store: SessionStore, session_id: str, values: list[dict[str, Any]]
) -> list[ContinuableSnapshot]:
    histories: list[Runs] = [value["messages"] for value in values]
    texts = await read_texts(store, session_id, histories)
    return [
        replace(SNAPSHOT.load({**value, "messages": []}), messages=load_messages(some))
        for value, some in zip(values, texts, strict=True)
    ]


def _name(run_id: str, number: int) -> str:
    return join_id("snapshot", run_id, f"{number:012d}")


async def _numbers(store: SessionStore, session_id: str, run_id: str) -> tuple[tuple[int, str], ...]:
    try:
        items = await store.state(session_id).scan(f"{join_id('snapshot', run_id)}/")
    except SessionNotFoundError:
        return ()
    return tuple((int(item.name.rpartition("/")[2]), item.value["state"]) for item in items)


async def _has_key(store: SessionStore, session_id: str, run_id: str, key: str | None) -> bool:
    if key is None or sequence_of(key) is not None:
        return False
    try:
        return await store.state(session_id).item(join_id("key", run_id, short(key))) is not None
    except SessionNotFoundError:
        return False


def _retained(kept: tuple[tuple[int, str], ...], keep: int) -> set[int]:
    """The newest `keep`, and the newest complete one: what is resumed from by default stays."""
    numbers = [number for number, _ in kept]
    complete = [number for number, state in kept if state == _COMPLETE]
    return {*numbers[-keep:], *complete[-1:]}
