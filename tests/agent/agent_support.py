"""Models with which a test can wait for what it wants to see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from miniagent_store import AgentConfig, Message


async def parrot(messages: list[Message], config: AgentConfig) -> str:
    """Says what it was told, and how much it knows."""
    return f"{messages[-1].content} after {len(messages) - 1}"


class SlowModel:
    """Says one word, and goes on when it is let.

    Attributes:
        began: set when it has said the first word.
        go_on: to be set by the test.
        at_once: how many answers were under way at once, at most.
    """

    def __init__(self) -> None:
        self.began, self.go_on = asyncio.Event(), asyncio.Event()
        self.at_once = self._now = 0

    async def __call__(self, messages: list[Message], config: AgentConfig) -> AsyncIterator[str]:
        return self._answer(str(messages[-1].content))

    async def _answer(self, said: str) -> AsyncIterator[str]:
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            yield "to "
            self.began.set()
            await self.go_on.wait()
            yield said
        finally:
            self._now -= 1


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)
