"""Tenants of a `DocumentBackend`: the same documents under other keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from miniagent_store.backend import Capabilities, Subscription, Topic
from miniagent_store.document_backend import DocumentBackend
from miniagent_store.values import Finding

T = TypeVar("T")


class DocumentTenant(DocumentBackend):
    """Documents of one namespace, through a backend that is open.

    Args:
        parent: whose `transact`, `keys` and `fetch` are used.
        namespace: whose documents.
    """

    def __init__(self, parent: DocumentBackend, namespace: str) -> None:
        super().__init__(replace(parent.options, namespace=namespace))
        self._parent = parent
        self._rooms, self._noted = parent._rooms, parent._noted
        # Whoever waits in this namespace, through whichever view, is woken.
        self._waiting = self._rooms.setdefault(namespace, {})
        self._subscribed: list[tuple[Topic, Subscription]] = []
        self.name, self.capabilities = parent.name, parent.capabilities

    name: str
    capabilities: Capabilities

    async def transact(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        return await self._parent.transact(key, change)

    async def keys(self, prefix: str) -> list[str]:
        return await self._parent.keys(prefix)

    async def fetch(self, key: str) -> bytes | None:
        return await self._parent.fetch(key)

    def now_ms(self) -> int:
        return self._parent.now_ms()

    async def close(self) -> None:
        self._closed = True
        for topic, subscription in [*self._subscribed]:
            await self.unsubscribe(topic, subscription)
            subscription.wake()
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    async def subscribe(self, topic: Topic) -> Subscription:
        subscription = await super().subscribe(topic)
        self._subscribed.append((topic, subscription))
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscribed = [pair for pair in self._subscribed if pair[1] is not subscription]
        await super().unsubscribe(topic, subscription)

    async def ping(self) -> dict[str, Any]:
        return await self._parent.ping()

    async def findings(self) -> Sequence[Finding]:
        return await self._parent.findings()

    async def examine(self, sample: int | None) -> Sequence[Finding]:
        return await self._parent.examine(sample)

    def _check_open(self) -> None:
        super()._check_open()
        self._parent._check_open()
