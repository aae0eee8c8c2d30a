"""Long histories are what was appended, in order, whatever some of the messages hold."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from miniagent_store import Message, open_store

COUNT = 1100


def message_of(number: int, odd: frozenset[int]) -> Message:
    more: dict[str, Any] = {}
    if number in odd:
        more = {"at": datetime(2026, 1, 1, tzinfo=UTC), "id": f"m{number}", "parts": [{"n": number}]}
    return Message.user(f"message {number} " * (number % 60), number=number, **more)


@pytest.mark.parametrize("chain", ["msgpack", "orjson", "msgpack+zstd"])
@pytest.mark.parametrize("share", [0, 0.005, 0.2, 1])
async def test_a_long_history_is_what_was_appended(place: str, chain: str, share: float) -> None:
    draw = random.Random(share)
    odd = frozenset(number for number in range(COUNT) if draw.random() < share)
    messages = [message_of(number, odd) for number in range(COUNT)]
    async with open_store(f"{place}&serializer={chain.replace('+', '%2B')}") as store:
        await store.append("s", *messages, create=True)

        history, entries = await store.history("s"), await store.entries("s")
        replayed = [message async for message in store.replay("s")]

        assert history == messages
        assert replayed == messages
        assert [entry.value for entry in entries] == messages
        assert [entry.seq for entry in entries] == list(range(1, COUNT + 1))
        assert len({entry.id for entry in entries}) == COUNT
        assert await store.history("s", last=7) == messages[-7:]
        await store.redact("s", 600, reason="wrong")
        assert [entry.seq for entry in await store.entries("s") if entry.redacted] == [600]
