"""Nothing is lost, doubled or half done, whatever dies; judged by what writers were told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer

from miniagent_store import Message, open_store
from miniagent_store.errors import BackendUnavailableError, OutcomeUnknownError, StoreError
from miniagent_store.testing import eventually
from miniagent_store.testing.workload import Workload


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may break."""
    with PostgresServer() as started:
        yield started


async def test_writers_of_many_stores_on_few_sessions(server: PostgresServer) -> None:
    mix = ("append", "turn", "state", "counter", "first", "pop")
    async with Workload(server.url, sessions=3, writers=12, writers_per_store=3, mix=mix) as work:
        await work.run(3)
        report = await work.report()

    report.check()
    assert report.acknowledged > 100


async def test_a_server_that_crashes_and_comes_back(own_server: PostgresServer) -> None:
    async with Workload(own_server.url) as work:
        work.start()
        for _ in range(3):
            await work.acknowledge(5)
            own_server.kill()
            await asyncio.to_thread(own_server.start)
        await work.acknowledge(5)
        await work.stop()
        report = await work.report()

    report.check()


async def test_connections_that_are_cut(server: PostgresServer) -> None:
    async with Workload(server.url) as work:
        work.start()
        for _ in range(10):
            await work.acknowledge(3)
            await asyncio.to_thread(_cut_all, server)
        await work.stop()
        report = await work.report()

    report.check()


async def test_a_server_that_is_frozen_is_said_to_be_in_time(own_server: PostgresServer) -> None:
    async with open_store(own_server.url, deadline=2) as store:
        await store.create("s")
        own_server.signal(signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises((OutcomeUnknownError, BackendUnavailableError)):
            await store.append("s", Message.user("a"))
        with pytest.raises(BackendUnavailableError):
            await store.history("s")
        assert time.monotonic() - started < 12
        own_server.signal(signal.SIGCONT)

        await eventually(lambda: _worked(store.append("s", Message.user("b"))))
        texts = [message.content for message in await store.history("s")]
        assert texts[-1] == "b"
        assert texts[:-1] in ([], ["a"]), "what cannot be known is done once, or not at all"


async def test_a_store_closes_though_its_server_is_frozen(own_server: PostgresServer) -> None:
    async with open_store(own_server.url, deadline=2) as store:
        await store.create("s")
        own_server.signal(signal.SIGSTOP)
        late = [asyncio.ensure_future(store.append("s", Message.user("a"))) for _ in range(5)]
        await asyncio.sleep(0.2)
        started = time.monotonic()
    assert time.monotonic() - started < 15
    assert all(isinstance(each, StoreError) for each in await asyncio.gather(*late, return_exceptions=True))


async def test_a_frozen_client_holds_up_others_for_its_deadline_only(server: PostgresServer) -> None:
    """A process that stops in the middle of a transaction has the session's lock."""
    url = f"{server.url}?namespace={uuid.uuid4().hex}&deadline=2"
    async with open_store(url) as store:
        await store.create("s")
        frozen = server.connect()
        with contextlib.closing(frozen):
            lock = store._core.backend.location.lock(store._core.backend._namespace, "session", "s")
            frozen.execute("SET idle_in_transaction_session_timeout = 2000")
            frozen.execute("BEGIN")
            frozen.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
            with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
                await store.append("s", Message.user("a"))

            await eventually(lambda: _worked(store.append("s", Message.user("b"))))


WRITER = """
import asyncio, sys
from miniagent_store import Message, open_store

async def main(url):
    async with open_store(url) as store:
        async def write(task):
            for number in range(1_000_000):
                name = f"{task}-{number}"
                await store.append("s", Message.user(name), Message.assistant(name), create=True)
                print(name, flush=True)
        await asyncio.gather(*map(write, range(4)))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "kills", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_a_process_that_is_killed_loses_nothing_it_was_told(
    server: PostgresServer, kills: int
) -> None:
    url = f"{server.url}?namespace={uuid.uuid4().hex}"
    told: list[str] = []
    for _ in range(kills):
        run = await asyncio.to_thread(_written_until_killed, url)
        async with open_store(url) as store:
            history = await store.history("s")
            await store.delete("s")
        texts = [message.content for message in history]
        assert [message.role for message in history] == ["user", "assistant"] * (len(history) // 2)
        assert texts[::2] == texts[1::2], "a turn is whole, and nothing stands in it"
        assert len(set(texts)) * 2 == len(texts), "nothing is there twice"
        assert set(run) <= set(texts), "what was acknowledged is there"
        told += run
    print(f"{kills} kills, {len(told)} acknowledged turns, all there")


def _written_until_killed(url: str) -> list[str]:
    """Let a process write, kill it, and say what it was told is stored."""
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(20)]
        process.kill()
        told += [line for line in process.stdout if line.endswith("\n")]
    return [line.strip() for line in told]


async def _worked(work: object) -> bool:
    with contextlib.suppress(StoreError):
        await work  # type: ignore[misc]
        return True
    return False


def _cut_all(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            ("miniagent-store",),
        )
