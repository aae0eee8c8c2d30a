"""Commands that nobody waits for: by them listings and watchers hear of a commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from miniagent_backends.redis.wire.connection import Command
from miniagent_backends.redis.wire.node import FAREWELL, Node
from miniagent_backends.redis.wire.replies import Meaning, NotSent, ReplyError, meaning_of
from miniagent_store.errors import StoreError

Then = Callable[[Any], None]
# What is to be told again at the same time, at the most.
MOST_AGAIN = 1000


class Telling:
    """Sends commands at once; those that do not arrive go once more, on the way that is waited for.

    All that is told may be told twice.

    Args:
        route: the node of a command, if it is known.
        again: sends a command to wherever its key is, and waits.
    """

    def __init__(
        self, route: Callable[[Command], Node | None], again: Callable[[Command], Awaitable[object]]
    ) -> None:
        self._route, self._again = route, again
        self._unanswered: set[asyncio.Future[Any]] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """Wait a little for what is told again, and give up the rest; may be called twice."""
        self._closed = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=FAREWELL)
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until all that was told before has been answered."""
        # Not for what others tell meanwhile, which may never end.
        for waiting in (self._unanswered, self._under_way):
            if waiting:
                await asyncio.wait([*waiting])

    def tell(self, *commands: Command, then: Then | None = None) -> None:
        """Send commands, back to back where one node has their keys; `then` is given each reply."""
        places: dict[Node | None, list[Command]] = {}
        for command in commands:
            places.setdefault(self._route(command), []).append(command)
        for node, group in places.items():
            try:
                if node is None:
                    raise NotSent("it has to be looked for")
                futures = node.tell(group)
            except NotSent:
                for command in group:
                    self._tell_again(command, then)
                continue
            for command, future in zip(group, futures, strict=True):
                self._unanswered.add(future)
                future.add_done_callback(partial(self._told, command, then))

    def _told(self, command: Command, then: Then | None, future: asyncio.Future[Any]) -> None:
        self._unanswered.discard(future)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, ReplyError):
            if meaning_of(error) in {Meaning.AGAIN_AT_ONCE, Meaning.AGAIN_LATER}:
                self._tell_again(command, then)
        elif error is not None:
            self._tell_again(command, then)
        elif then is not None and not future.cancelled():
            then(future.result())

    def _tell_again(self, command: Command, then: Then | None) -> None:
        if self._closed or len(self._under_way) >= MOST_AGAIN:
            return
        task = asyncio.get_running_loop().create_task(self._send_again(command, then))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send_again(self, command: Command, then: Then | None) -> None:
        with contextlib.suppress(StoreError):  # repaired by the reads that find it missing
            reply = await self._again(command)
            if then is not None and not isinstance(reply, StoreError):
                then(reply)
