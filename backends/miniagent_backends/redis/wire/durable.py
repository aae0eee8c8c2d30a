"""Commits that replicas must acknowledge: those that are ready together share a write and one WAIT."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from miniagent_backends.redis.wire.connection import Connection, pack
from miniagent_backends.redis.wire.replies import (
    ConnectionProblem,
    Meaning,
    NotSent,
    ReplyError,
    SentUnknown,
    meaning_of,
)
from miniagent_backends.redis.wire.waiting import settled
from miniagent_store.errors import StoreError

# Milliseconds that WAIT waits for replicas (https://redis.io/docs/latest/commands/wait/).
WAIT_MS = 1000
MOST_TOGETHER = 64

# Replies, error replies among them; how many replicas acknowledged, and how many were to.
Outcome = tuple[list[Any], int, int]
_Asked = tuple[Sequence[bytes], asyncio.Future[Outcome]]


class DurableLane:
    """The second connection of a node. Behind a WAIT everything waits, so ordinary commits go elsewhere.

    Args:
        connect: gives the connection.
        wanted: how many replicas are to acknowledge; asked at each write.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], wanted: Callable[[], int]) -> None:
        self._connect, self._wanted = connect, wanted
        self._queued: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def exchange(self, commands: Sequence[bytes]) -> Outcome:
        """Replies, error replies among them; how many replicas acknowledged, and how many were to.

        What was begun ends, even if the caller is cancelled.

        Raises:
            NotSent, SentUnknown: as the connection says.
            StoreError: it cannot be made.
        """
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queued.append((commands, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        await settled([done])
        return done.result()

    async def _work(self) -> None:
        # What is queued while a WAIT is under way makes the next write.
        try:
            while self._queued:
                batch = self._queued[:MOST_TOGETHER]
                del self._queued[:MOST_TOGETHER]
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: list[_Asked]) -> None:
        try:
            connection = await self._connect()
            wanted = self._wanted()
            together = [command for commands, _ in batch for command in commands]
            *futures, wait = connection.send(*together, pack("WAIT", wanted, WAIT_MS))
        except (StoreError, ConnectionProblem) as error:
            for _, done in batch:
                _reject(done, error)
            return
        await settled([wait])
        at = 0
        for commands, done in batch:
            owed = futures[at : at + len(commands)]
            at += len(commands)
            _pass_on(owed, wait, wanted, done)


def _pass_on(
    owed: list[asyncio.Future[Any]], wait: asyncio.Future[Any], wanted: int, done: asyncio.Future[Outcome]
) -> None:
    """Give one caller what came of its commands."""
    replies = [future.exception() or future.result() for future in owed]
    lost = next((each for each in replies if isinstance(each, NotSent | SentUnknown)), None)
    unheard = wait.exception()
    if lost is not None:
        _reject(done, lost)
    elif unheard is None:
        if not done.done():
            done.set_result((replies, int(wait.result()), wanted))
    elif all(isinstance(each, ReplyError) for each in replies):
        # Nothing was done, and each reply says why: of a master that was demoted, where to go.
        if not done.done():
            done.set_result((replies, 0, 0))
    elif isinstance(unheard, ReplyError) and meaning_of(unheard) is Meaning.DENIED:
        _reject(done, unheard)
    else:
        # Answered, and then cut or demoted: stored, and nobody knows how safely.
        _reject(done, SentUnknown(f"no word from the replicas: {unheard}"))


def _reject(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()
