"""A Cluster: each key is on the master of its slot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from miniagent_backends.redis.routing.addresses import Address, Remap, render
from miniagent_backends.redis.routing.slots import SLOTS, slot_of
from miniagent_backends.redis.routing.topology import SearchingTopology
from miniagent_backends.redis.wire.events import Events
from miniagent_backends.redis.wire.node import Node
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    StoreError,
)
from miniagent_store.values import Finding

# Seconds that a node may take to answer, and how many are asked at the same time.
ASK_TIMEOUT = 1.0
ASKED_AT_ONCE = 4


class Cluster(SearchingTopology):
    """The topology of ``redis+cluster://``.

    Args:
        starts: where to ask first; later any node that was seen is asked.
        make_node: a node at an address.
        remap: from announced addresses to those that can be reached.
        replicas: how many replicas are to acknowledge a durable commit; None for all that the Cluster
            does not call failed.
        events: is told of changes.
    """

    def __init__(
        self,
        starts: Sequence[Address],
        *,
        make_node: Callable[[Address], Node],
        remap: Remap,
        replicas: int | None,
        events: Events,
    ) -> None:
        super().__init__()
        self._starts, self._make_node, self._remap = list(starts), make_node, remap
        self._replicas, self._events = replicas, events
        self._owners: list[Node | None] = [None] * SLOTS
        self._by_address: dict[Address, Node] = {}
        self._masters: list[Node] = []
        self._reachable: dict[Node, int] = {}
        # Nodes that hold no slots but can be asked: replicas, start-up nodes.
        self._others: list[Address] = []
        self._shape: list[tuple[Any, ...]] = []

    async def close(self) -> None:
        await super().close()
        await asyncio.gather(*(node.close() for node in self._nodes()))

    def _nodes(self) -> Sequence[Node]:
        return list(self._by_address.values())

    def starts(self) -> Sequence[Node]:
        return [self.node_at(address) for address in self._starts]

    async def findings(self) -> Sequence[Finding]:
        answers = await asyncio.gather(*(self._is_there(node) for node in self._masters))
        away = [node for node, there in zip(self._masters, answers, strict=True) if not there]
        served = sum(owner is not None and owner not in away for owner in self._owners)
        count = f"{served} of {SLOTS} slots are served"
        if served == SLOTS:
            found = [Finding("info", f"{count}, by {len(self._masters)} masters", check="slots")]
        else:
            names = ", ".join(node.name for node in away) or "no master"
            cure = "start the master again, or make a replica of it the master (CLUSTER FAILOVER TAKEOVER)"
            found = [Finding("error", f"{count}; the others are on {names}", cure, "slots")]
        alone = [node.name for node in self._masters if not self._reachable.get(node)]
        if alone:
            what = f"no replica serves for {', '.join(alone)}"
            cure = "give each a replica on another machine: without one its sessions are away when it fails"
            found.append(Finding("warning", what, cure, "replicas"))
        return found

    async def _is_there(self, node: Node) -> bool:
        try:
            await node.probe("PING", timeout=ASK_TIMEOUT)
        except StoreError:
            return False
        return True

    def route(self, key: str | bytes) -> Node | None:
        owner = self._owners[slot_of(key)]
        return None if owner in self._suspects else owner

    def masters(self) -> Sequence[Node]:
        return self._masters

    def replicas_wanted(self, node: Node) -> int:
        return max(self._reachable.get(node, 0), 1) if self._replicas is None else self._replicas

    def moved(self, slot: int, address: Address) -> Node:
        node = self.node_at(address)
        self._owners[slot] = node
        # Where one slot has gone, more have: all are looked at, by one task, while this command goes on.
        self._search()
        self._events.tell("redirected", node.name, f"slot {slot}")
        return node

    def node_at(self, address: Address) -> Node:
        address = self._remap(address)
        node = self._by_address.get(address)
        if node is None:
            node = self._by_address[address] = self._make_node(address)
        return node

    def _missing(self, key: str | bytes) -> str:
        slot = slot_of(key)
        owner = self._owners[slot]
        if owner is None:
            return f"no node serves slot {slot}; see CLUSTER INFO and CLUSTER SHARDS"
        return f"{owner.name}, which slot {slot} is on, cannot be reached and has no successor yet"

    async def _look(self) -> None:
        shards = await self._ask()
        self._take_in(shards)
        await self._clear_suspects()

    async def _ask(self) -> list[Any]:
        """CLUSTER SLOTS of the first node that answers.

        Raises:
            StoreError: none does.
        """
        problems: list[StoreError] = []
        candidates = self._candidates()
        while batch := [node for _, node in zip(range(ASKED_AT_ONCE), candidates, strict=False)]:
            tasks = [asyncio.ensure_future(self._ask_one(node)) for node in batch]
            try:
                for next_one in asyncio.as_completed(tasks):
                    try:
                        return await next_one
                    except StoreError as error:
                        problems.append(error)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        fatal = (each for each in problems if isinstance(each, ConfigurationError | AccessDeniedError))
        raise next(fatal, problems[0])

    def _candidates(self) -> Iterator[Node]:
        """Whom to ask: masters, suspected ones last; then whom they named; then where we began."""
        masters = sorted(self._masters, key=lambda node: (node in self._suspects, random.random()))
        yield from masters
        for address in [*self._others, *self._starts]:
            node = self.node_at(address)
            if node not in masters:
                yield node

    async def _ask_one(self, node: Node) -> list[Any]:
        try:
            shards: list[Any] = await node.probe("CLUSTER", "SLOTS", timeout=ASK_TIMEOUT)
        except ConfigurationError as error:
            if "cluster support disabled" in str(error).lower():
                raise ConfigurationError(
                    f"{node.name} is not part of a Cluster; write redis:// for one server"
                ) from None
            raise
        if not shards:
            raise BackendUnavailableError(f"{node.name} knows of no node with slots; is the Cluster made?")
        asked = next(address for address, each in self._by_address.items() if each is node)
        for shard in shards:
            for member in shard[2:]:
                # A node that does not know its own address leaves it out: it is the one that was asked.
                member[0] = member[0].decode() if member[0] else asked[0]
        return shards

    def _take_in(self, shards: list[Any]) -> None:
        owners: list[Node | None] = [None] * SLOTS
        reachable: dict[Node, int] = {}
        others: list[Address] = []
        for first, last, master, *replicas in shards:
            node = self.node_at((master[0], int(master[1])))
            owners[first : last + 1] = [node] * (last + 1 - first)
            # The server leaves out replicas that are failed, or have never been in sync.
            reachable[node] = len(replicas)
            others += [(replica[0], int(replica[1])) for replica in replicas]
        shape = sorted((first, last, render((master[0], master[1]))) for first, last, master, *_ in shards)
        before = self._masters
        self._owners, self._reachable, self._others = owners, reachable, others
        self._masters = sorted(reachable, key=lambda node: node.name)
        self._tell_changed()
        if self._shape and shape != self._shape:
            self._events.tell(
                "topology_changed",
                self._masters[0].name,
                f"{len(self._masters)} masters in {len(shape)} ranges",
            )
        self._shape = shape
        kept = {self._remap(address) for address in [*others, *self._starts]}
        for address, node in list(self._by_address.items()):
            # Whatever still waits for one that was a master is to go to its successor.
            if node not in reachable and (address not in kept or node in before):
                del self._by_address[address]
                self._dismiss(node, "holds no slots any more")

    async def _clear_suspects(self) -> None:
        """Ask suspected masters whether they serve again."""
        suspects = [node for node in self._suspects if node in self._reachable]
        self._suspects.intersection_update(suspects)
        await asyncio.gather(*(self._clear(node) for node in suspects))

    async def _clear(self, node: Node) -> None:
        if await self._is_there(node):
            self._suspects.discard(node)
