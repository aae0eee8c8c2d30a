"""Usage: exact sums of many processes, and through a server's troubles."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store import Message, SessionStore, Usage, open_store
from miniagent_store.store.store import Store
from miniagent_store.store.usage import tokens_of
from miniagent_store.testing.servers import Server

WRITER = Path(__file__).with_name("usage_writer.py")
PROCESSES = 8


async def usage_of_processes(place: str, count: int) -> Usage:
    """What a store tells after 8 processes have talked so often each."""
    processes = [
        subprocess.Popen([sys.executable, WRITER, place, str(seed), str(count)])
        for seed in range(PROCESSES)
    ]
    for process in processes:
        assert await asyncio.to_thread(process.wait, 240) == 0
    async with open_store(place) as store:
        return (await store.usage()).total


def expected(count: int) -> Usage:
    into = sum(number % 7 for number in range(count)) * PROCESSES
    out = 3 * count * PROCESSES
    return Usage(2 * count * PROCESSES, count * PROCESSES, into, out, into + out)


async def test_sums_of_8_processes_are_exact(place: str) -> None:
    assert await usage_of_processes(place, 50) == expected(50)


@pytest.mark.slow
async def test_sums_of_8_processes_that_go_on_for_longer_are_exact(place: str) -> None:
    assert await usage_of_processes(place, 3000) == expected(3000)


def counter_of(store: SessionStore) -> object:
    assert isinstance(store, Store)
    assert store._core.usage is not None
    return store._core.usage


async def test_a_write_that_gets_no_answer_is_written_once() -> None:
    with Server() as server:
        url = f"{server.url}/0"
        async with open_store(url, analytics=True, deadline=1.0, socket_timeout=0.3) as store:
            session = await store.create(user_id="ada")
            for _ in range(3):
                await store.append(session.id, Message.user("hello"))
            server.pause()
            # It may have left for the server, which will apply it when it goes on.
            await store._core.usage.write()  # type: ignore[attr-defined]
            server.resume()
            await store.append(session.id, Message.user("hello"))

            assert (await store.usage()).total == Usage(messages=4, turns=4)


async def test_what_cannot_be_written_is_said_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    with Server() as server:
        store = open_store(f"{server.url}/0", analytics=True, deadline=0.5)
        async with store:
            session = await store.create(user_id="ada")
            await store.append(session.id, Message.user("hello"))
            server.stop()
            with caplog.at_level(logging.ERROR, "miniagent_store"):
                await store.close()

    assert "is lost" in caplog.text


async def test_commits_of_a_second_are_one_write(place: str) -> None:
    async with open_store(place, analytics=True) as store:
        session = await store.create(user_id="ada")
        counter = counter_of(store)
        await asyncio.gather(*(store.append(session.id, Message.user("hello")) for _ in range(50)))
        assert len(counter._gathered) <= 1  # type: ignore[attr-defined]
        await store.usage()
        assert (await store.stats()).commits <= 54


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({}, (0, 0, 0)),
        ({"tokens": 7}, (0, 0, 7)),
        ({"metadata": {"tokens": 7}}, (0, 0, 7)),
        ({"usage": {"input_tokens": 1, "output_tokens": 2}}, (1, 2, 3)),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}}, (1, 2, 9)),
        ({"metadata": {"usage": {"total_tokens": 9}}, "tokens": 7}, (0, 0, 9)),
        ({"metadata": "no mapping", "usage": "none"}, (0, 0, 0)),
    ],
)
def test_where_tokens_are_looked_for(message: dict[str, object], tokens: tuple[int, int, int]) -> None:
    assert tokens_of(message) == tokens
