"""Reading checkpoints: two round trips for one that is not remembered, however long the thread is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from miniagent_store.errors import SessionDamagedError, SessionNotFoundError
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.blobs import Blob, Part, from_plain
from miniagent_store.integrations.langgraph.memory import Life, Memory, Seen
from miniagent_store.integrations.langgraph.names import Version
from miniagent_store.integrations.langgraph.rows import Found, Row, Write
from miniagent_store.store.protocol import SessionStore

ATTEMPTS = 10
PAGE = 500


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a thread.

    Attributes:
        store: where it is.
        session_id: the session that holds it.
        memory: what is remembered of threads.
        serde: for what checkpoints say of themselves; values are not looked into.
    """

    store: SessionStore
    session_id: str
    memory: Memory
    serde: SerializerProtocol

    async def one(self, namespace: str, checkpoint_id: str | None) -> Found | None:
        """A checkpoint, the newest one by default; None if there is none."""
        for _ in range(ATTEMPTS):
            row = await self.row(namespace, checkpoint_id)
            if row is None:
                return None
            found = await self.whole([row])
            if found:
                return found[0]
            # It was removed while it was read.
        raise SessionDamagedError(self.session_id, part="a checkpoint", problem="cannot be read")

    async def row(self, namespace: str, checkpoint_id: str | None) -> Row | None:
        """A checkpoint as it is stored, the newest one by default."""
        state = self.store.state(self.session_id)
        try:
            if checkpoint_id:
                plain = await state.get(names.checkpoint(namespace, checkpoint_id))
                return None if plain is None else Row.from_plain(plain)
            items = await state.scan(names.checkpoints(namespace), reverse=True, limit=1)
        except SessionNotFoundError:
            return None
        return Row.from_plain(items[0].value) if items else None

    async def rows(
        self, namespace: str | None, *, start: str | None = None, limit: int | None = None
    ) -> list[Row]:
        """Checkpoints in the order of their names from the last one down, or from `start` (a name)."""
        state = self.store.state(self.session_id)
        found: list[Row] = []
        while True:
            size = PAGE if limit is None else limit
            try:
                items = await state.scan(
                    names.checkpoints(namespace), start=start, reverse=True, limit=size
                )
            except SessionNotFoundError:
                return found
            # What a page starts with is what the one before ended with.
            fresh = items[1:] if found else items
            found += [Row.from_plain(item.value) for item in fresh]
            if limit is not None or len(items) < size:
                return found
            start = items[-1].name

    async def whole(self, rows: Sequence[Row]) -> list[Found]:
        """Checkpoints with their writes and the values of their channels.

        Those that were removed since `rows` were read are left out.
        """
        loaded = [self.loaded(row) for row in rows]
        wanted: dict[str, Version] = {}
        for row, checkpoint in zip(rows, loaded, strict=True):
            for channel, version in checkpoint["channel_versions"].items():
                wanted[names.blob(row.namespace, channel, version)] = version
            for channel, versions in row.parts.items():
                wanted.update((names.blob(row.namespace, channel, each), each) for each in versions)
        life = self.memory.life(self.session_id)
        blobs = self.memory.blobs(self.session_id, life, wanted)
        missing = [name for name in wanted if name not in blobs]
        try:
            snapshot, writes = await asyncio.gather(
                self.store.snapshot(self.session_id, logs=(), state=missing),
                asyncio.gather(*(self._writes(row) for row in rows)),
            )
            blobs.update(_decoded(snapshot.state))
            if Life.at(snapshot.position) != life:
                # Something was removed since: what is remembered may be gone.
                blobs.update(await self.blobs([name for name in wanted if name not in missing], fresh=True))
            await self.complete(blobs, rows, loaded)
            if any(name not in blobs for name in wanted):
                rows_left = await self._left(rows)
            else:
                rows_left = set(range(len(rows)))
        except SessionNotFoundError:
            return []
        lasting = {name: blob for name, blob in blobs.items() if isinstance(wanted.get(name), str)}
        found: list[Found] = []
        for index, (row, checkpoint) in enumerate(zip(rows, loaded, strict=True)):
            if index not in rows_left:
                continue
            versions = checkpoint["channel_versions"]
            seen = Seen(snapshot.position, versions, parts_of(blobs, row.namespace, versions))
            self.memory.note(self.session_id, row.namespace, row.checkpoint_id, seen, lasting)
            found.append(Found(row, checkpoint, writes[index], blobs))
        return found

    def loaded(self, row: Row) -> dict[str, Any]:
        """What a checkpoint says, without the values of its channels."""
        checkpoint: dict[str, Any] = self.serde.loads_typed(row.checkpoint)
        return checkpoint

    async def blobs(self, wanted: Iterable[str], *, fresh: bool = False) -> dict[str, Blob]:
        """Values by name, as far as they are there."""
        wanted = list(wanted)
        life = None if fresh else self.memory.life(self.session_id)
        found = self.memory.blobs(self.session_id, life, wanted)
        missing = [name for name in wanted if name not in found]
        if missing:
            found.update(_decoded(await self.store.state(self.session_id).get_many(missing)))
        return found

    async def complete(
        self, blobs: dict[str, Blob], rows: Sequence[Row], loaded: Sequence[Mapping[str, Any]]
    ) -> None:
        """Read those parts of lists that a checkpoint did not name."""
        lacking: set[str] = set()
        for row, checkpoint in zip(rows, loaded, strict=True):
            for channel, version in checkpoint["channel_versions"].items():
                blob = blobs.get(names.blob(row.namespace, channel, version))
                if isinstance(blob, Part):
                    parts = {names.blob(row.namespace, channel, each) for each, _ in blob.before}
                    lacking |= parts - blobs.keys()
        if lacking:
            blobs.update(_decoded(await self.store.state(self.session_id).get_many(lacking)))

    async def _writes(self, row: Row) -> list[Write]:
        items = await self.store.state(self.session_id).scan(names.writes(row.namespace, row.checkpoint_id))
        return sorted((Write.from_plain(item.value) for item in items), key=lambda write: write.order)

    async def _left(self, rows: Sequence[Row]) -> set[int]:
        """Which of the checkpoints still stand."""
        by_name = {names.checkpoint(row.namespace, row.checkpoint_id): n for n, row in enumerate(rows)}
        there = await self.store.state(self.session_id).get_many(by_name)
        return {by_name[name] for name in there}


def parts_of(
    blobs: Mapping[str, Blob], namespace: str, versions: Mapping[str, Version]
) -> dict[str, list[Version]]:
    """For each list among channels that begins in earlier versions: which."""
    found: dict[str, list[Version]] = {}
    for channel, version in versions.items():
        blob = blobs.get(names.blob(namespace, channel, version))
        if isinstance(blob, Part) and blob.before:
            found[channel] = [earlier for earlier, _ in blob.before]
    return found


def _decoded(state: Mapping[str, Any]) -> dict[str, Blob]:
    return {name: from_plain(plain) for name, plain in state.items()}
