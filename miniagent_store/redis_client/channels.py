"""The seed's pub/sub: whatever JSON can say, on any channel."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from miniagent_store.errors import InvalidArgumentError

POLL_SECONDS = 1.0


class Channels:
    """Publishes and hears messages over a client of redis-py.

    What is published while nobody hears is lost; to follow sessions without loss, use `store.watch`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._heard: Any = None

    async def subscribe(self, channels: str | Iterable[str]) -> None:
        if self._heard is None:
            self._heard = self._client.pubsub(ignore_subscribe_messages=True)
        names = [channels] if isinstance(channels, str) else list(channels)
        if names:
            await self._heard.subscribe(*names)

    async def publish(self, channel: str, message: Any) -> int:
        data = message if isinstance(message, str | bytes) else json.dumps(message)
        return int(await self._client.publish(channel, data))

    async def get_message(self, timeout: float) -> dict[str, Any] | None:
        if self._heard is None:
            raise InvalidArgumentError("nothing is subscribed: call subscribe([channel]) first")
        until = time.monotonic() + timeout
        while True:
            # What redis-py passes over, such as the answer to subscribing, ends its waiting too.
            left = max(until - time.monotonic(), 0)
            message = await self._heard.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is not None:
                return _plain(message)
            if time.monotonic() >= until:
                return None

    async def get_messages(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            message = await self.get_message(POLL_SECONDS)
            if message is not None:
                yield message

    async def close(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            await heard.aclose()


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    plain = {name: each.decode() if isinstance(each, bytes) else each for name, each in message.items()}
    if isinstance(plain.get("data"), str):
        try:
            plain["data"] = json.loads(plain["data"])
        except ValueError:
            pass  # a text that is no JSON is told as it is
    return plain
