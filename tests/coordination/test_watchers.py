"""Who watches ends with exactly what is there, however often it is cut off; many cost as much as one."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from miniagent_store import Message, Position, SessionEvent, SessionStore, open_store
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.servers import Server, find_servers
from tests.faults.deployments import Proxied, deploy

SERVER = next(iter(find_servers().values()))
SIZES = [(600, 10), pytest.param((5000, 50), marks=pytest.mark.slow)]
WRITERS = 8


class Copy:
    """What a watcher was told, checked as it comes."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.texts: list[Any] = []
        self.resets = 0
        self._told: set[tuple[int, int]] = set()

    def hear(self, event: SessionEvent) -> None:
        assert event.position is not None
        if event.type == "reset":
            assert event.from_seq is not None
            del self.texts[event.from_seq - 1 :]
            self.resets += 1
        else:
            assert event.type == "appended"
            for entry in event.entries:
                assert entry.seq == len(self.texts) + 1, "in order, without a gap or a repeat"
                assert (event.position.epoch, entry.seq) not in self._told, "once an epoch"
                self._told.add((event.position.epoch, entry.seq))
                self.texts.append(entry.value["content"])
        self.position = event.position


class Watcher:
    """Keeps a copy of a session up to date. `cut` ends the watch, and another goes on from its position."""

    def __init__(self, store: SessionStore, session_id: str, position: Position) -> None:
        self.copy = Copy(position)
        self._store, self._session_id = store, session_id
        self._cut = False

    def cut(self) -> None:
        self._cut = True

    async def run(self) -> None:
        while True:
            watch = self._store.watch(self._session_id, after=self.copy.position)
            async with aclosing(cast("AsyncGenerator[SessionEvent, None]", watch)) as events:
                async for event in events:
                    before = self.copy.position
                    self.copy.hear(event)
                    if self._cut and self.copy.position != before:
                        self._cut = False
                        break


async def write(store: SessionStore, session_id: str, writer: int, count: int) -> None:
    """Append so many messages; now and then take some back, or go back to an earlier one."""
    chance = random.Random(writer)
    for number in range(count):
        await store.append(session_id, Message.user(f"{writer}/{number}"))
        if chance.random() < 0.02:
            await store.pop(session_id, chance.randint(1, 3))
        elif chance.random() < 0.01:
            there = (await store.get(session_id)).message_count
            try:
                await store.rewind(session_id, to=max(there - chance.randint(1, 10), 0))
            except InvalidArgumentError:
                continue  # another writer went back further meanwhile


async def follow(
    writing: list[SessionStore], watching: SessionStore, size: tuple[int, int], proxied: Proxied | None
) -> None:
    """Write and watch at the same time, with cuts; then compare."""
    messages, cuts = size
    session = await writing[0].create("s")
    watcher = Watcher(watching, "s", session.position)
    task = asyncio.create_task(watcher.run())
    writers = [
        asyncio.create_task(write(store, "s", number, messages // WRITERS))
        for number, store in enumerate(writing)
    ]

    async def written() -> int:
        return (await writing[0].get("s")).version

    # Before its first success a store fails fast.
    await eventually(lambda: task.done() or watcher.copy.texts)
    for number in range(cuts):
        due = messages * (number + 1) // (cuts + 1)

        async def is_due(due: int = due) -> bool:
            return await written() >= due

        await eventually(is_due, within=120)
        watcher.cut()
        if proxied is not None:
            for proxy in proxied.proxies.values():
                proxy.cut()
    await asyncio.gather(*writers)
    there = [entry.value["content"] for entry in await writing[0].entries("s")]

    def caught_up() -> bool:
        if task.done():
            task.result()
        return watcher.copy.texts == there

    await eventually(caught_up, within=60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print(f"{messages} messages, {watcher.copy.resets} resets, {cuts} cuts: {len(there)} stand, all told")
    assert watcher.copy.resets > 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("topology", ["standalone", "cluster"])
async def test_a_watcher_that_is_cut_off_ends_with_what_is_there(
    topology: Any, size: tuple[int, int]
) -> None:
    namespace = uuid.uuid4().hex
    with deploy(topology, SERVER) as deployment, deployment.proxied() as proxied:
        async with AsyncExitStack() as stack:
            writing = [
                await stack.enter_async_context(open_store(deployment.url, namespace=namespace))
                for _ in range(WRITERS)
            ]
            watching = await stack.enter_async_context(
                open_store(proxied.url, namespace=namespace, **proxied.options)
            )
            await follow(writing, watching, size, proxied)


@pytest.mark.parametrize("size", SIZES)
async def test_a_watcher_of_a_file_ends_with_what_is_there(tmp_path: Path, size: tuple[int, int]) -> None:
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'sessions.db'}?synchronous=OFF"
        stores = [await stack.enter_async_context(open_store(url)) for _ in range(WRITERS + 1)]
        await follow(stores[:-1], stores[-1], size, None)


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(Server(SERVER))


def calls_of(server: Server, command: str) -> int:
    """How often a server was given a command."""
    told = server.command("INFO", "commandstats").decode()
    line = next((each for each in told.splitlines() if each.startswith(f"cmdstat_{command}:")), "")
    return int(line.partition("calls=")[2].partition(",")[0] or 0)


async def test_200_watchers_cost_one_subscription_and_one_read_a_change(server: Server) -> None:
    watchers, changes = 200, 20
    async with open_store(server.url) as writing, open_store(server.url) as watching:
        session = await writing.create("s")
        heard = [0] * watchers

        async def listen(number: int) -> None:
            async for event in watching.watch("s", after=session.position):
                heard[number] += len(event.entries)

        tasks = [asyncio.create_task(listen(number)) for number in range(watchers)]
        await writing.append("s", Message.user("first"))
        await eventually(lambda: all(count == 1 for count in heard))

        channel, subscribed = server.command("PUBSUB", "SHARDNUMSUB", "notify:{session:s}")
        assert (channel, subscribed) == (b"notify:{session:s}", 1)
        clients = server.command("CLIENT", "LIST").decode()
        subscribers = [line for line in clients.splitlines() if " ssub=1 " in line]
        assert len(subscribers) == 1

        before = calls_of(server, "evalsha")
        for number in range(changes):
            await writing.append("s", Message.user(str(number)))
            await eventually(lambda number=number: all(count == number + 2 for count in heard))
        reads = calls_of(server, "evalsha") - before
        print(f"{watchers} watchers, {changes} changes: {reads} scripts, commits and notes among them")
        # A commit, its note, and a read or two.
        assert reads <= 5 * changes

        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_watches_goes_on_after_a_long_outage(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    # Longer than the deadline after which any other call gives up.
    async with (
        open_store(server.url) as writing,
        open_store(server.url, deadline=0.5, socket_timeout=0.5, health_check_interval=0.5) as watching,
    ):
        session = await writing.create("s")
        heard: list[Any] = []

        async def listen() -> None:
            async for event in watching.watch("s", after=session.position):
                heard.extend(entry.value["content"] for entry in event.entries)

        task = asyncio.create_task(listen())
        await writing.append("s", Message.user("before"))
        await eventually(lambda: heard == ["before"])

        server.pause()
        try:
            await eventually(lambda: "who watches s is told nothing until" in caplog.text)
        finally:
            server.resume()
        await writing.append("s", Message.user("after"))

        await eventually(lambda: heard == ["before", "after"])
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
