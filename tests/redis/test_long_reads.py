"""Long logs are read by plain commands beside the script: the same entries come, whatever is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product

import pytest

from miniagent_store import Message, open_store
from miniagent_store.backend import LogRange, ReadPlan
from miniagent_store.errors import SessionDamagedError
from miniagent_store.testing.conformance.base import backend_of
from miniagent_store.testing.servers import Server, find_servers

COUNT = 450


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(next(iter(find_servers().values()))) as server:
        yield server


@pytest.mark.parametrize("trimmed", [0, 37])
async def test_any_range_of_a_long_log(server: Server, trimmed: int) -> None:
    async with open_store(server.url, namespace=f"long-{trimmed}") as store:
        await store.create("s")
        session = await store.append("s", *(Message.user(number) for number in range(1, COUNT + 1)))
        if trimmed:
            session = await store.trim("s", before=trimmed + 1)
        backend = backend_of(store)
        stand = list(range(trimmed + 1, COUNT + 1))

        for after, before, last, limit in product(
            (0, 5, 200, 449, 450, 900), (None, 1, 100, 451, 900), (None, 201, 1000), (None, 201, 1000)
        ):
            wanted = LogRange("messages", after, before, last, limit)
            read = await backend.read(ReadPlan("s", (wanted,)))

            expected = [seq for seq in stand if after < seq and (before is None or seq < before)]
            expected = expected[-last:] if last is not None else expected
            expected = expected[:limit] if limit is not None else expected
            assert [entry.seq for entry in read.entries[0]] == expected, wanted
            assert read.record is not None
            assert read.record.position == session.position
        assert [message["content"] for message in await store.history("s")] == stand
        assert await store.entries("s", log="other") == []


async def test_a_long_log_is_read_as_it_is_at_one_moment(server: Server) -> None:
    async with (
        open_store(server.url, namespace="moment") as store,
        open_store(server.url, namespace="moment") as other,
    ):
        await store.create("s")
        await store.append("s", *(Message.user("a") for _ in range(300)))

        async def write() -> None:
            for number in range(100):
                await other.append("s", *(Message.user(number) for _ in range(3)))
                await other.pop("s", 2)

        writing = asyncio.create_task(write())
        while not writing.done():
            snapshot = await store.snapshot("s")
            assert len(snapshot.history) == snapshot.session.message_count
            seqs = [entry.seq for entry in snapshot.logs["messages"]]
            assert seqs == list(range(1, len(seqs) + 1))
        await writing


async def test_debris_of_a_script_that_was_stopped_is_not_read(server: Server) -> None:
    async with open_store(server.url, namespace="debris") as store:
        await store.create("s")
        await store.append("s", *(Message.user(number) for number in range(300)))
        server.command("RPUSH", "debris/thread:{debris/session:s}", b"half a commit")

        assert [message["content"] for message in await store.history("s")] == list(range(300))
        assert (await store.history("s", last=250))[-1]["content"] == 299

        server.command("LTRIM", "debris/thread:{debris/session:s}", 0, 200)
        with pytest.raises(SessionDamagedError):
            await store.history("s")
