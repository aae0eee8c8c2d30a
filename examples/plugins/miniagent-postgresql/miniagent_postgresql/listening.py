"""Who is to be woken by what, and the connection that hears of what others did."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from miniagent_postgresql.errors import cannot_connect
from miniagent_postgresql.location import Location, topic_key
from miniagent_store.backend import ConnectionEvent, Subscription, Topic

logger = logging.getLogger("miniagent_store")
# Between attempts to connect.
PAUSE, LONGEST_PAUSE = 0.05, 2.0


class Subscriptions:
    """Subscriptions by topic, in the event loop."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Subscription]] = {}

    def add(self, namespace: str, topic: Topic) -> Subscription:
        subscription = Subscription()
        self._by_key.setdefault(_key(namespace, topic), set()).add(subscription)
        return subscription

    def remove(self, namespace: str, topic: Topic, subscription: Subscription) -> None:
        key = _key(namespace, topic)
        subscribed = self._by_key.get(key, set())
        subscribed.discard(subscription)
        if not subscribed:
            self._by_key.pop(key, None)

    def wake(self, keys: Iterable[str]) -> None:
        """Wake the subscriptions of topics, as `topic_key` names them."""
        for key in keys:
            for subscription in self._by_key.get(key, ()):
                subscription.wake()

    def wake_all(self) -> None:
        """Wake everyone: it cannot be known that nothing happened."""
        self.wake(list(self._by_key))


class Listener:
    """LISTEN on a connection of its own, opened with the first subscription.

    Args:
        location: of the database.
        subscriptions: to be woken.
        own_pids: of the server processes whose notifications are known here already.
        tell: told what becomes of the connection.
    """

    def __init__(
        self,
        location: Location,
        subscriptions: Subscriptions,
        own_pids: Callable[[], set[int]],
        tell: Callable[[ConnectionEvent], None],
    ) -> None:
        self._location, self._subscriptions = location, subscriptions
        self._own_pids, self._tell = own_pids, tell
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None

    async def ready(self) -> None:
        """Listen, if not yet; returns when it does, or when the first attempt has failed."""
        if self._task is None or self._first is None:
            self._first = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._first))
        await asyncio.shield(self._first)

    async def close(self) -> None:
        """Listen no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self._first is not None and not self._first.done():
                self._first.set_result(None)

    async def _run(self, first: asyncio.Future[None]) -> None:
        pause = PAUSE
        told = False
        while True:
            try:
                async with await self._connect() as connection:
                    self._tell(ConnectionEvent("connected", self._location.shown, "to listen"))
                    pause, told = PAUSE, False
                    # What happened before is not heard.
                    self._subscriptions.wake_all()
                    if not first.done():
                        first.set_result(None)
                    async for notification in connection.notifies():
                        if notification.pid not in self._own_pids():
                            self._subscriptions.wake(notification.payload.split())
                problem = "the server ended it"
            except psycopg.Error as error:
                problem = str(cannot_connect(error, self._location.shown))
            if not first.done():
                first.set_result(None)
            if not told:
                told = True
                logger.warning("the connection that listens was lost: %s", problem)
                self._tell(ConnectionEvent("lost", self._location.shown, "it listened"))
            self._subscriptions.wake_all()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(**self._location.settings, autocommit=True)
        try:
            await connection.execute(f'LISTEN "{self._location.channel}"'.encode())
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                await connection.close()
            raise
        return connection


def _key(namespace: str, topic: Topic) -> str:
    return topic_key(namespace, topic.scope, topic.name, topic.owner)
