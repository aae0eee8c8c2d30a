"""What changed, what expired, and how to be woken by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Change:
    """A session changed; `deleted` where it is gone."""

    session_id: str
    kind: str
    user_id: str | None
    version: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    """A session that a sweep removed."""

    session_id: str
    kind: str
    user_id: str | None


@dataclass(frozen=True, slots=True)
class Topic:
    """What a subscription is woken by.

    Attributes:
        scope: "session" (it changed), "store" (any session changed), or "turn" or "lock" (it is free, and
            `owner` is the first in line for it).
        name: session id or lock; "" for the store.
        owner: of the place in line.
    """

    scope: Literal["session", "lock", "store", "turn"]
    name: str = ""
    owner: str = ""


class Subscription:
    """A bounded wake-up: who waits is told that something happened, not what.

    The log is the truth, so several notifications may melt into one.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Tell the one who waits. In the event loop of the subscription only."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until woken, at most `timeout` seconds; whether it was."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
