"""One answer for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Questions that are asked once for all who wait for the answer.

    Whoever asks before a question is under way shares it; whoever asks while it is shares the next one,
    since what they were woken for may have happened after it was answered. So there are at most two
    answers a question, however many wait.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, asyncio.Task[Any]] = {}
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, question: Hashable, once: Callable[[], Awaitable[T]]) -> T:
        """What `once()` returns, or raises, asked after this call. It goes on if a caller is cancelled."""
        task: asyncio.Task[T] | None = self._next.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._answer(question, once))
            task.add_done_callback(_look_at)
            self._next[question] = task
        return await asyncio.shield(task)

    async def _answer(self, question: Hashable, once: Callable[[], Awaitable[T]]) -> T:
        before = self._under_way.get(question)
        if before is not None:
            await asyncio.wait([before])
        mine = self._under_way[question] = self._next.pop(question)
        try:
            return await once()
        finally:
            if self._under_way.get(question) is mine:
                del self._under_way[question]


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody waits for any more, or asyncio would complain."""
    if not task.cancelled():
        task.exception()
