"""Writing checkpoints: one commit each, with what changed since the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.base import SerializerProtocol

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.blobs import EMPTY, Blob, Part, Whole, part_after
from miniagent_store.integrations.langgraph.memory import Life, Memory, Seen, known_list
from miniagent_store.integrations.langgraph.names import Version
from miniagent_store.integrations.langgraph.reading import parts_of
from miniagent_store.integrations.langgraph.rows import Row, Write
from miniagent_store.store.protocol import SessionStore


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A checkpoint as it is stored.

    Attributes:
        row: the checkpoint.
        blobs: the values of channels that are written with it, by name.
        parent: what it goes on from; None where it stands for itself.
    """

    row: Row
    blobs: Mapping[str, Blob]
    parent: Seen | None


class CheckpointCommit:
    """A checkpoint on its way into the store; encoded when this is made, in the caller's thread.

    Args:
        session_id: the session that holds the thread.
        memory, serde: of the saver.
        namespace, parent_id: where it belongs, and what it follows.
        checkpoint: with the values of its channels.
        metadata: of it.
        new_versions: the channels that changed.
        fence: of the thread's turn.
    """

    def __init__(
        self,
        session_id: str,
        memory: Memory,
        serde: SerializerProtocol,
        *,
        namespace: str,
        parent_id: str | None,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
        new_versions: Mapping[str, Version],
        fence: int | None = None,
    ) -> None:
        self._session_id, self._memory, self._serde = session_id, memory, serde
        self._namespace, self._parent_id, self._fence = namespace, parent_id, fence
        self._checkpoint, self._metadata, self._new_versions = checkpoint, metadata, new_versions
        self._values: Mapping[str, Any] = checkpoint["channel_values"]
        self._versions: dict[str, Version] = {**checkpoint["channel_versions"], **new_versions}
        self._encoded = self._encode(memory.seen(session_id, namespace, parent_id), new_versions)

    async def run(self, store: SessionStore) -> None:
        """Commit it.

        Raises:
            VersionConflictError: the thread was deleted, or what this checkpoint follows was removed, and
                the checkpoint tells only what changed since.
        """
        try:
            await self._commit(store, self._encoded)
        except VersionConflictError:
            if self._encoded.parent is None:
                raise
            # Parts of what it goes on from may be gone: nothing is taken for granted.
            self._memory.forget(self._session_id)
            if self._needs_parent() and not await self._parent_stands(store):
                raise
            stated = [each for each in self._versions if each in self._values or each in self._new_versions]
            await self._commit(store, self._encode(None, stated))

    def _encode(self, parent: Seen | None, channels: Iterable[str]) -> _Encoded:
        blobs = {
            channel: self._blob(channel, parent) if channel in self._values else EMPTY
            for channel in channels
        }
        by_name = {
            names.blob(self._namespace, channel, self._versions[channel]): blob
            for channel, blob in blobs.items()
        }
        # Where lists that did not change begin is known from the checkpoint before.
        parts = {} if parent is None else {c: each for c, each in parent.parts.items() if c not in blobs}
        parts.update(parts_of(by_name, self._namespace, self._versions))
        checkpoint = {key: value for key, value in self._checkpoint.items() if key != "channel_values"}
        row = Row(
            self._namespace,
            self._checkpoint["id"],
            self._parent_id,
            self._serde.dumps_typed(checkpoint),
            self._serde.dumps_typed(self._metadata),
            parts,
            complete=parent is not None or blobs.keys() >= self._versions.keys(),
        )
        return _Encoded(row, by_name, parent)

    def _blob(self, channel: str, parent: Seen | None) -> Blob:
        value, version = self._values[channel], self._versions[channel]
        if type(value) is not list:
            return Whole(self._serde.dumps_typed(value))
        items = [self._serde.dumps_typed(item) for item in value]
        before = None if parent is None else parent.versions.get(channel)
        if parent is None or not isinstance(version, str) or not isinstance(before, str):
            return Part((), tuple(items))
        wanted = [names.blob(self._namespace, channel, each) for each in parent.parts.get(channel, ())]
        wanted.append(names.blob(self._namespace, channel, before))
        known = self._memory.blobs(self._session_id, Life.at(parent.position), wanted)
        base = known_list(known, self._namespace, channel, before)
        if base is not None and any(each == version for each, _ in base.parts):
            base = None
        return part_after(base, items)

    async def _commit(self, store: SessionStore, encoded: _Encoded) -> None:
        row, parent = encoded.row, encoded.parent
        async with store.batch(self._session_id, create=True, kind=names.KIND, fence=self._fence) as batch:
            if parent is not None:
                batch.expect_tail(parent.position, log=names.REMOVALS)
            for name, blob in encoded.blobs.items():
                batch.state.set(name, blob.plain())
            batch.state.set(names.checkpoint(row.namespace, row.checkpoint_id), row.plain())
            if run_id := self._metadata.get("run_id"):
                made = names.made_by(str(run_id), row.namespace, row.checkpoint_id)
                batch.state.set(made, [row.namespace, row.checkpoint_id])
        assert batch.result is not None
        seen = Seen(batch.result.position, dict(self._versions), row.parts)
        # A version that is a number may come again with another value.
        lasting = all(isinstance(version, str) for version in self._new_versions.values())
        blobs = encoded.blobs if lasting else {}
        self._memory.note(self._session_id, row.namespace, row.checkpoint_id, seen, blobs)

    def _needs_parent(self) -> bool:
        """Whether there are channels of which checkpoints only tell what was written to them."""
        counters = self._metadata.get("counters_since_delta_snapshot") or {}
        return any(channel not in self._values for channel in counters)

    async def _parent_stands(self, store: SessionStore) -> bool:
        if self._parent_id is None:
            return True
        name = names.checkpoint(self._namespace, self._parent_id)
        try:
            return await store.state(self._session_id).get(name) is not None
        except SessionNotFoundError:
            return False


def writes_by_name(
    serde: SerializerProtocol,
    namespace: str,
    checkpoint_id: str,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> dict[str, Write]:
    """The writes of a task, by the names under which they are stored."""
    found: dict[str, Write] = {}
    for position, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel, position)
        name = names.write(namespace, checkpoint_id, task_id, index)
        found[name] = Write(task_id, index, task_path, channel, serde.dumps_typed(value))
    return found


async def commit_writes(
    store: SessionStore, session_id: str, writes: Mapping[str, Write], fence: int | None
) -> None:
    """Store what a task wrote; what it wrote before stands, but for errors and interrupts."""
    async with store.batch(session_id, create=True, kind=names.KIND, fence=fence) as batch:
        for name, write in writes.items():
            if write.index >= 0:
                batch.state.set_if_absent(name, write.plain())
            else:
                batch.state.set(name, write.plain())
