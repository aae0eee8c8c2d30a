"""A checkpoint and a write as they are stored, and what LangGraph makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from miniagent_store.errors import SessionDamagedError
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.blobs import EMPTY, Blob, Typed, Whole
from miniagent_store.integrations.langgraph.memory import known_list
from miniagent_store.integrations.langgraph.names import Version


@dataclass(frozen=True, slots=True)
class Row:
    """A checkpoint as it is stored.

    Attributes:
        namespace, checkpoint_id, parent_id: which, and what it follows.
        checkpoint, metadata: made by the serializer; the former without the values of channels.
        parts: of each list among the channels, the versions in which it begins.
        complete: whether `parts` tells of all channels; else those that did not change are left out.
    """

    namespace: str
    checkpoint_id: str
    parent_id: str | None
    checkpoint: Typed
    metadata: Typed
    parts: Mapping[str, list[Version]]
    complete: bool

    def plain(self) -> dict[str, Any]:
        return {
            "ns": self.namespace,
            "id": self.checkpoint_id,
            "parent": self.parent_id,
            "checkpoint": list(self.checkpoint),
            "metadata": list(self.metadata),
            "parts": dict(self.parts),
            "complete": self.complete,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Row:
        checkpoint, metadata = plain["checkpoint"], plain["metadata"]
        return cls(
            plain["ns"],
            plain["id"],
            plain["parent"],
            (checkpoint[0], checkpoint[1]),
            (metadata[0], metadata[1]),
            plain["parts"],
            plain["complete"],
        )


@dataclass(frozen=True, slots=True)
class Write:
    """What a task has written to a channel.

    Attributes:
        task_id, index, task_path: which task, its how manieth write, and the path of the task.
        channel, value: what it wrote.
    """

    task_id: str
    index: int
    task_path: str
    channel: str
    value: Typed

    def plain(self) -> list[Any]:
        return [self.task_id, self.index, self.task_path, self.channel, *self.value]

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Write:
        task_id, index, task_path, channel, kind, data = plain
        return cls(task_id, index, task_path, channel, (kind, data))

    @property
    def order(self) -> tuple[str, str, int]:
        """The order in which a run applies writes; theirs is `writes_sort_key`, in newer releases."""
        return self.task_path, self.task_id, self.index


@dataclass(frozen=True, slots=True)
class Found:
    """All that was read of a checkpoint.

    Attributes:
        row: the checkpoint.
        loaded: what the serializer made of `row.checkpoint`.
        writes: on it, in order.
        blobs: the values of its channels, by name.
    """

    row: Row
    loaded: dict[str, Any]
    writes: Sequence[Write]
    blobs: Mapping[str, Blob]


def config_of(thread_id: Any, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """What LangGraph names a checkpoint by."""
    named = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    return {"configurable": named}


def tuple_of(
    found: Found, serde: SerializerProtocol, thread_id: Any, config: RunnableConfig | None = None
) -> CheckpointTuple:
    """What LangGraph is given of a checkpoint.

    Raises:
        SessionDamagedError: a part of a list is missing.
    """
    row = found.row
    values: dict[str, Any] = {}
    for channel, version in found.loaded["channel_versions"].items():
        blob = found.blobs.get(names.blob(row.namespace, channel, version))
        if blob is not None and blob != EMPTY:
            values[channel] = value_of(found.blobs, row.namespace, channel, version, serde, thread_id)
    checkpoint: Any = {**found.loaded, "channel_values": values}
    return CheckpointTuple(
        config=config or config_of(thread_id, row.namespace, row.checkpoint_id),
        checkpoint=checkpoint,
        metadata=serde.loads_typed(row.metadata),
        parent_config=config_of(thread_id, row.namespace, row.parent_id) if row.parent_id else None,
        pending_writes=[
            (write.task_id, write.channel, serde.loads_typed(write.value)) for write in found.writes
        ],
    )


def value_of(
    blobs: Mapping[str, Blob],
    namespace: str,
    channel: str,
    version: Version,
    serde: SerializerProtocol,
    thread_id: Any,
) -> Any:
    """The value that a channel had at a version.

    Raises:
        SessionDamagedError: a part of a list is missing.
    """
    blob = blobs[names.blob(namespace, channel, version)]
    if isinstance(blob, Whole):
        return serde.loads_typed(blob.value)
    known = known_list(blobs, namespace, channel, version)
    if known is None:
        raise SessionDamagedError(
            names.session_of(thread_id), part="the value of a channel", problem="lacks a part"
        )
    return [serde.loads_typed(item) for item in known.items()]
