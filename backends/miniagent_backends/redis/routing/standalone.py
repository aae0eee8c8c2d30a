"""One server: all keys are on it, wherever it is in its life."""

from __future__ import annotations

from collections.abc import Sequence

from miniagent_backends.redis.routing.topology import Topology
from miniagent_backends.redis.wire.node import Node


class Standalone(Topology):
    """The topology of ``redis://``, ``rediss://`` and ``unix://``.

    Args:
        node: the server.
        replicas: how many replicas are to acknowledge a durable commit.
    """

    def __init__(self, node: Node, replicas: int) -> None:
        self._node, self._replicas = node, replicas

    async def open(self) -> None:
        try:
            await self._node.connection()
        except BaseException:
            await self._node.disconnect()
            raise

    async def close(self) -> None:
        await self._node.close()

    def route(self, key: str | bytes) -> Node:
        return self._node

    async def find(self, key: str | bytes) -> Node:
        return self._node

    def masters(self) -> Sequence[Node]:
        return [self._node]

    def suspect(self, node: Node) -> None:
        return

    def replicas_wanted(self, node: Node) -> int:
        return self._replicas
