"""A task that looks after idle connections, and after servers that say nothing to those who wait."""

from __future__ import annotations

import asyncio
import contextlib

from miniagent_backends.redis.topology import Topology
from miniagent_store.errors import StoreError

# Seconds between looks at connections, and after which a server that says nothing is asked about.
LOOK_SECONDS, SILENCE = 0.25, 1.0
# Seconds between looks at which replicas are reachable, where all of them are to acknowledge.
REPLICAS_SECONDS = 1.0


class Keeper:
    """Runs from `start` to `close`.

    Args:
        topology: whose nodes are looked after.
        counts_replicas: whether how many replicas are to acknowledge changes with who is reachable.
        heartbeat: seconds after which an idle connection is looked after.
    """

    def __init__(self, topology: Topology, *, counts_replicas: bool, heartbeat: float) -> None:
        self._topology, self._counts_replicas, self._heartbeat = topology, counts_replicas, heartbeat
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """End; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        looked_after = counted = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            nodes = self._topology.masters()
            due = self._counts_replicas and now - counted >= REPLICAS_SECONDS
            if due or any(node.is_silent(SILENCE) for node in nodes):
                counted = now
                with contextlib.suppress(StoreError):  # who waits for an answer is told by itself
                    await self._topology.look()
            if now - looked_after >= self._heartbeat / 2:
                looked_after = now
                await asyncio.gather(*(node.look_after_idle(self._heartbeat) for node in nodes))
