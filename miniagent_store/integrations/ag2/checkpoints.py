"""AG2's `CheckpointStore`, in which tasks keep what they need to go on after a crash."""

from __future__ import annotations

from typing import Any

from miniagent_store import SessionStore, join_id
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.plain_json import plain_json
from miniagent_store.options import TTL
from miniagent_store.url import StoreURL

with requires("ag2", extra="ag2"):
    from ag2.task import CheckpointStore

COLLECTION = "ag2/checkpoints"
SHARDS = 16


class MiniAgentCheckpointStore(CheckpointStore):
    """The last checkpoint of each task, in the collection "ag2/checkpoints".

    Args:
        store: a URL, an open `SessionStore`, or a `StoreHandle`; by default as `open_store`.
        ttl: how long a checkpoint is kept after it was written, in seconds or as "7d"; for ever by default.

    Example:
        >>> checkpoints = MiniAgentCheckpointStore("sqlite:///agents.db", ttl="7d")
        >>> async with Task(owner_id="me", spec=spec, checkpoint_store=checkpoints) as task:
        ...     await task.checkpoint({"step": 1})
    """

    def __init__(
        self, store: str | StoreURL | SessionStore | StoreHandle | None = None, *, ttl: TTL | None = None
    ) -> None:
        self._handle, self._ttl = handle_of(store), ttl

    async def write(self, task_id: str, state: dict[str, Any]) -> None:
        """Put a checkpoint in the place of the task's last one.

        Raises:
            EncodeError: it has no JSON.
        """
        plain = plain_json(state, "a checkpoint")

        async def work(store: SessionStore) -> None:
            await store.kv(COLLECTION, shards=SHARDS).set(join_id(task_id), plain, ttl=self._ttl)

        await self._handle.run_to_end(work)

    async def read(self, task_id: str) -> dict[str, Any] | None:
        """The last checkpoint of a task; None if it has none."""

        async def work(store: SessionStore) -> dict[str, Any] | None:
            found: dict[str, Any] | None = await store.kv(COLLECTION, shards=SHARDS).get(join_id(task_id))
            return found

        return await self._handle.run(work)

    async def aclose(self) -> None:
        """Let go of connections that were opened here; calls afterwards raise."""
        await self._handle.aclose()
