"""Moving checkpoints here from any other saver, such as LangGraph's own for SQLite, Postgres or Redis."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from miniagent_store.integrations.langgraph.names import Version
from miniagent_store.integrations.langgraph.saver import MiniAgentSaver


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is.

    Attributes:
        threads, checkpoints, writes: how many have been imported.
    """

    threads: int = 0
    checkpoints: int = 0
    writes: int = 0


def import_checkpoints(
    source: BaseCheckpointSaver[Any],
    target: MiniAgentSaver,
    *,
    thread_ids: Iterable[str] | None = None,
    progress: Callable[[ImportProgress], None] | None = None,
) -> ImportProgress:
    """Copy checkpoints with their writes; their ids stay. What was imported before is written again alike.

    Paths of tasks, which savers do not tell, are not copied: where parallel tasks wrote to one delta
    channel, their writes are kept in the order in which `source` gives them.

    Args:
        source: any saver; nothing may write to it meanwhile.
        target: where they go.
        thread_ids: which threads; all by default.
        progress: called after each checkpoint.

    Returns:
        How many there were.
    """
    run = _Import(target, progress)
    for thread_id in _threads(source.list(None)) if thread_ids is None else thread_ids:
        # Newest first is how savers list; a list is written in parts only if it grows.
        found = list(source.list(_of(thread_id)))
        for config, checkpoint in run.begin(found):
            target.put(*checkpoint)
            for writes in run.writes_of(config):
                target.put_writes(*writes)
            run.tell()
    return run.progress


async def aimport_checkpoints(
    source: BaseCheckpointSaver[Any],
    target: MiniAgentSaver,
    *,
    thread_ids: Iterable[str] | None = None,
    progress: Callable[[ImportProgress], None] | None = None,
) -> ImportProgress:
    """As `import_checkpoints`, for savers that are async."""
    run = _Import(target, progress)
    if thread_ids is None:
        thread_ids = await _athreads(source.alist(None))
    for thread_id in thread_ids:
        found = [each async for each in source.alist(_of(thread_id))]
        for config, checkpoint in run.begin(found):
            await target.aput(*checkpoint)
            for writes in run.writes_of(config):
                await target.aput_writes(*writes)
            run.tell()
    return run.progress


@dataclass(slots=True)
class _Import:
    target: MiniAgentSaver
    report: Callable[[ImportProgress], None] | None
    progress: ImportProgress = field(default_factory=ImportProgress)
    # By namespace and checkpoint: the versions under which its channels are stored here.
    _versions: dict[tuple[str, str], dict[str, Version]] = field(default_factory=dict)

    def begin(self, found: list[CheckpointTuple]) -> Iterator[tuple[CheckpointTuple, tuple[Any, ...]]]:
        """The checkpoints of a thread, oldest first, each with the arguments of `put`."""
        self._versions.clear()
        self.progress = replace(self.progress, threads=self.progress.threads + bool(found))
        for each in sorted(found, key=lambda each: each.checkpoint["id"]):
            yield each, self._put(each)

    def tell(self) -> None:
        if self.report is not None:
            self.report(self.progress)

    def _put(self, found: CheckpointTuple) -> tuple[Any, ...]:
        named = found.config["configurable"]
        namespace = named.get("checkpoint_ns", "")
        parent: str | None = (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
        checkpoint = cast("dict[str, Any]", {**found.checkpoint})
        values: Mapping[str, Any] = checkpoint["channel_values"]
        versions = {
            channel: self._version(version, channel, values)
            for channel, version in checkpoint["channel_versions"].items()
        }
        before = self._versions.get((namespace, parent or ""), {})
        new = {channel: version for channel, version in versions.items() if before.get(channel) != version}
        checkpoint["channel_versions"] = versions
        checkpoint["versions_seen"] = {
            node: {channel: self._seen(version, versions.get(channel)) for channel, version in seen.items()}
            for node, seen in checkpoint["versions_seen"].items()
        }
        self._versions[namespace, checkpoint["id"]] = versions
        self.progress = replace(self.progress, checkpoints=self.progress.checkpoints + 1)
        config = {"configurable": {**_kept(named), "checkpoint_ns": namespace, "checkpoint_id": parent}}
        return config, checkpoint, found.metadata, new

    def _version(self, version: Version, channel: str, values: Mapping[str, Any]) -> Version:
        """A version that is a number is not unique over forks: it becomes a text, by the value it names."""
        if isinstance(version, str):
            return version
        digest = hashlib.sha256()
        for part in self.target.serde.dumps_typed(values.get(channel)):
            digest.update(part.encode() if isinstance(part, str) else part)
        return f"{int(version):032}.{digest.hexdigest()[:12]}"

    def _seen(self, version: Version, now: Version | None) -> Version:
        if isinstance(version, str):
            return version
        number = f"{int(version):032}."
        # Seen as it is now, or an earlier one, whose value nobody asks for.
        return now if isinstance(now, str) and now.startswith(number) else number + "0"

    def writes_of(self, found: CheckpointTuple) -> Iterator[tuple[Any, ...]]:
        """The arguments of `put_writes` for each task that wrote on a checkpoint."""
        by_task: dict[str, list[tuple[str, Any]]] = {}
        for task_id, channel, value in found.pending_writes or ():
            by_task.setdefault(task_id, []).append((channel, value))
        for position, (task_id, writes) in enumerate(by_task.items()):
            self.progress = replace(self.progress, writes=self.progress.writes + len(writes))
            yield found.config, writes, task_id, f"imported/{position:06}"


def _of(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


def _kept(named: Mapping[str, Any]) -> dict[str, Any]:
    return {"thread_id": named["thread_id"]}


def _threads(found: Iterable[CheckpointTuple]) -> list[str]:
    return list(dict.fromkeys(each.config["configurable"]["thread_id"] for each in found))


async def _athreads(found: AsyncIterator[CheckpointTuple]) -> list[str]:
    names = [each.config["configurable"]["thread_id"] async for each in found]
    return list(dict.fromkeys(names))
