"""Who has become first in line by what another process did."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from miniagent_backends.sqlite.rows import lease_row
from miniagent_backends.sqlite.transaction import Transaction, now_ms
from miniagent_backends.sqlite.watching import Subscriptions, Wake
from miniagent_store.errors import StoreError
from miniagent_store.rules import next_in_line

Read = Callable[[Callable[[Transaction], list[Wake]]], Awaitable[list[Wake]]]


class Lines:
    """Looks at leases for all who wait for them here: not each of them looks at each commit elsewhere.

    Args:
        read: does work inside a transaction that reads.
        subscriptions: of those who wait.
    """

    def __init__(self, read: Read, subscriptions: Subscriptions) -> None:
        self._read, self._subscriptions = read, subscriptions
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def look(self) -> None:
        """See who is to be woken; in the event loop, and returns at once."""
        self._again = True
        if self._subscriptions.leases() and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while self._again:
            self._again = False
            look = partial(_next, leases=self._subscriptions.leases())
            with contextlib.suppress(StoreError):  # who waits asks by itself now and then
                self._subscriptions.wake(await self._read(look))


def _next(transaction: Transaction, leases: Iterable[tuple[str, str, str]]) -> list[Wake]:
    found = []
    own = transaction.namespace
    try:
        for namespace, scope, name in leases:
            transaction.namespace = namespace
            owner = next_in_line(lease_row(transaction, scope, name), now_ms())
            if owner is not None:
                found.append((namespace, scope, name, owner))
    finally:
        transaction.namespace = own
    return found
