"""A replay takes as much memory for a long history as for a short one."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from miniagent_store import Message, SessionStore, open_store

AT_ONCE = 2000
# Beside what a page takes: what is made on the way and not yet let go of.
SLACK = 256 * 1024


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
async def test_a_replay_takes_constant_memory(place: str, count: int) -> None:
    async with open_store(place) as store:
        await store.create("s")
        for start in range(0, count, AT_ONCE):
            await store.append(
                "s", *[Message.user(f"message {start + number}") for number in range(AT_ONCE)]
            )
        gc.collect()
        tracemalloc.start()
        try:
            first, rest = await peaks(store, count)
        finally:
            tracemalloc.stop()

    assert rest < first * 1.25 + SLACK, (first, rest)


async def peaks(store: SessionStore, count: int) -> tuple[int, int]:
    """The most bytes that were taken while the first tenth was replayed, and while the rest was."""
    told, first = 0, 0
    async for message in store.replay("s"):
        assert message.content == f"message {told}"
        told += 1
        if told == count // 10:
            first = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
    assert told == count
    return first, tracemalloc.get_traced_memory()[1]
