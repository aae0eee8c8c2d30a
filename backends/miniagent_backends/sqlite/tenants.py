"""A namespace of a file that is open already: the same two threads, other rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from miniagent_backends.sqlite.backend import SqliteBackend
from miniagent_store.errors import StoreClosedError

if TYPE_CHECKING:
    from miniagent_backends.sqlite.transaction import Transaction
    from miniagent_backends.sqlite.worker import Worker
    from miniagent_store.backend import CommitIdentity, Subscription, Topic

T = TypeVar("T")


class SqliteTenant(SqliteBackend):
    """Sessions of one namespace, over the threads of a backend that is open.

    Args:
        parent: whose threads and file.
        namespace: whose rows.
    """

    def __init__(self, parent: SqliteBackend, namespace: str) -> None:
        super().__init__(parent.location, replace(parent._options, namespace=namespace))
        self._parent = parent
        self._subscriptions = parent._subscriptions
        self._subscribed: list[tuple[Topic, Subscription]] = []
        self._closed = False

    @property
    def transactions(self) -> int:
        return self._parent.transactions

    async def open(self) -> None:
        self._running()

    async def close(self) -> None:
        await self._end_noting()
        self._closed = True
        for topic, subscription in [*self._subscribed]:
            await self.unsubscribe(topic, subscription)
            subscription.wake()

    async def subscribe(self, topic: Topic) -> Subscription:
        subscription = await super().subscribe(topic)
        self._subscribed.append((topic, subscription))
        return subscription

    async def unsubscribe(self, topic: Topic, subscription: Subscription) -> None:
        self._subscribed = [pair for pair in self._subscribed if pair[1] is not subscription]
        await super().unsubscribe(topic, subscription)

    def _running(self) -> tuple[Worker, Worker]:
        if self._closed:
            raise StoreClosedError(f"the store on {self.location.path}")
        return self._parent._running()

    async def _write(
        self,
        work: Callable[[Transaction], T],
        subject: str = "",
        identity: CommitIdentity | None = None,
        guarded: bool = True,
    ) -> T:
        return await super()._write(self._here(work), subject, identity, guarded)

    async def _read(self, work: Callable[[Transaction], T], subject: str = "") -> T:
        return await super()._read(self._here(work), subject)

    def _here(self, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """`work` on the rows of this namespace; jobs of several share a transaction."""
        namespace = self._options.namespace

        def run(transaction: Transaction) -> T:
            others, transaction.namespace = transaction.namespace, namespace
            try:
                return work(transaction)
            finally:
                transaction.namespace = others

        return run
