"""Which server a key's commands go to: the contract of the topologies, and the search that two share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from miniagent_backends.redis.routing.addresses import Address
from miniagent_backends.redis.wire.node import Node
from miniagent_store.errors import BackendUnavailableError, StoreError
from miniagent_store.values import Finding

# Seconds that a command waits for a search before it tells its caller, who tries again until the deadline.
PATIENCE = 1.0
# Seconds between looks while something is missing: soon at first, since a failover is short.
FIRST_PAUSE, LAST_PAUSE, SOON = 0.03, 0.5, 10.0


class Topology(ABC):
    """Routes keys to nodes, and finds out where they are when that has changed."""

    @abstractmethod
    async def open(self) -> None:
        """Find the servers, once, with no second try.

        Raises:
            StoreError: they cannot be found; says what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close all connections, end all tasks; may be called twice."""

    async def disconnect(self) -> None:
        """Close all connections; the next command makes new ones."""
        await asyncio.gather(*(node.disconnect() for node in self._nodes()))

    def _nodes(self) -> Sequence[Node]:
        """All that are connected to."""
        return self.masters()

    @abstractmethod
    def route(self, key: str | bytes) -> Node | None:
        """The node of a key; None if it has to be looked for."""

    @abstractmethod
    async def find(self, key: str | bytes) -> Node:
        """Look for the node of a key, for some time.

        Raises:
            StoreError: it was not found.
        """

    @abstractmethod
    def masters(self) -> Sequence[Node]:
        """All nodes that keys are on, in a fixed order."""

    @abstractmethod
    def suspect(self, node: Node) -> None:
        """A node did not serve: it may not be the one any more."""

    async def look(self) -> None:
        """See whether anything has changed, though nothing has failed."""
        return

    def starts(self) -> Sequence[Node]:
        """The servers that the URL names, whom `open` asks."""
        return self._nodes()

    async def findings(self) -> Sequence[Finding]:
        """What those who know where the masters are say of them, and whether all of them are there."""
        return ()

    def moved(self, slot: int, address: Address) -> Node | None:
        """A node says that a slot is at `address` now: the node there; None where there are no slots."""
        return None

    def node_at(self, address: Address) -> Node | None:
        """The node at an address that another node names; None where there are no others."""
        return None

    def replicas_wanted(self, node: Node) -> int:
        """How many replicas of `node` are to acknowledge a durable commit."""
        return 0


class SearchingTopology(Topology):
    """Looks, by one task for all who wait, until each node that was suspected is cleared or replaced."""

    def __init__(self) -> None:
        self._suspects: set[Node] = set()
        self._searching: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._problem: StoreError | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _look(self) -> None:
        """Ask who serves what, take it in, and clear the suspects that serve.

        Raises:
            StoreError: nobody could be asked, or who is named does not serve.
        """

    async def open(self) -> None:
        await self.look()

    async def close(self) -> None:
        searching, self._searching = self._searching, None
        tasks = [task for task in (searching, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._leaving, return_exceptions=True)
        self._tell_changed()

    def suspect(self, node: Node) -> None:
        if node in self._suspects:
            return
        self._suspects.add(node)
        self._search()

    async def look(self) -> None:
        # One at a time: who comes meanwhile is told the same.
        if self._looking is None:
            looking = asyncio.get_running_loop().create_task(self._look())
            self._looking = looking
            looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    def _looked(self, looking: asyncio.Future[None]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # looked at, so that nobody warns that it was not

    def _search(self) -> None:
        if self._searching is None:
            self._searching = asyncio.get_running_loop().create_task(self._search_on())

    async def _search_on(self) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), FIRST_PAUSE
        try:
            while True:
                try:
                    await self.look()
                    self._problem = None
                except StoreError as error:
                    self._problem = error
                self._tell_changed()
                if self._problem is None and not self._suspects:
                    return
                await asyncio.sleep(pause)
                if loop.time() - began > SOON:
                    pause = min(pause * 2, LAST_PAUSE)
        finally:
            self._searching = None

    def _tell_changed(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    async def find(self, key: str | bytes) -> Node:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while (node := self.route(key)) is None:
            self._search()
            if self._changed is None:
                self._changed = loop.create_future()
            await asyncio.wait([self._changed], timeout=max(until - loop.time(), 0))
            problem = self._problem
            if problem is not None and not isinstance(problem, BackendUnavailableError):
                raise type(problem)(str(problem))
            if loop.time() >= until and self.route(key) is None:
                raise BackendUnavailableError(str(problem) if problem else self._missing(key))
        return node

    @abstractmethod
    def _missing(self, key: str | bytes) -> str:
        """What to say when nobody serves a key."""

    def _dismiss(self, node: Node, why: str) -> None:
        """Cut a node that no longer serves; who waits for it is told to go elsewhere."""
        self._suspects.discard(node)
        node.abandon(why)
        task = asyncio.get_running_loop().create_task(node.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
