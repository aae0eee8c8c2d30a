"""Waiting for replies whatever becomes of the caller: what was begun ends, and its outcome is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from miniagent_backends.redis.wire.replies import ReplyError


async def settled(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Return when the last of `futures`, which are settled in their order, is done.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; they are done all the same.
    """
    cancelled: asyncio.CancelledError | None = None
    last = futures[-1]
    while not last.done():
        # A future of our own: a cancellation would cancel the one that was awaited.
        done = asyncio.get_running_loop().create_future()
        last.add_done_callback(partial(_settle, done))
        try:
            await done
        except asyncio.CancelledError as interruption:
            cancelled = interruption
    if cancelled is not None:
        for future in futures:
            future.exception()  # looked at, so that nobody warns that it was not
        raise cancelled


async def replies(futures: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """The replies, error replies among them.

    Raises:
        NotSent, SentUnknown: of the last that has no reply.
    """
    await settled(futures)
    problems = [future.exception() for future in futures]
    for problem in reversed(problems):
        if problem is not None and not isinstance(problem, ReplyError):
            raise problem
    return [
        problem if problem is not None else future.result()
        for future, problem in zip(futures, problems, strict=True)
    ]


def _settle(waiter: asyncio.Future[None], _: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
