"""A session of which some keys have moved to another node, and some have not: nobody sees half of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server, find_servers

Keys = Callable[[bytes], bool]


def is_record(key: bytes) -> bool:
    return b"/session:" in key and b"{" not in key


def is_turn(key: bytes) -> bool:
    return b"/turn:" in key


def is_part(key: bytes) -> bool:
    return not is_record(key) and not is_turn(key)


PARTS: list[Any] = [
    pytest.param(is_record, id="the record has moved"),
    pytest.param(is_part, id="the parts have moved"),
    pytest.param(lambda key: not is_turn(key), id="the turn has not moved"),
]


FIRST, *OTHERS = sorted(find_servers())


@pytest.fixture(
    scope="module", params=[FIRST, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)]
)
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterGroup]:
    binary: Path = find_servers()[request.param]
    with ClusterGroup(binary, masters=2, replicas=0) as group:
        yield group


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def store(cluster: ClusterGroup, namespace: str) -> AsyncIterator[SessionStore]:
    async with open_store(cluster.url, namespace=namespace, ttl="1h") as store:
        await store.append("s", Message.user("hello", id="m1"), create=True)
        async with store.turn("s") as turn:
            turn.append({"x": 1}, log="own")
            turn.append({"x": 1}, log="events")
            turn.state.set("mood", "good")
            turn.state.add("count")
        yield store


class Move:
    """The slot of a session on its way from one node to another."""

    def __init__(self, cluster: ClusterGroup, namespace: str) -> None:
        self._namespace = namespace.encode()
        self.slot = cluster.slot_of(f"{namespace}/session:s")
        self.source = cluster.owner(self.slot)
        self.target = next(each for each in cluster.masters() if each is not self.source)
        self._ids = {server: cluster.node_id(server) for server in (self.source, self.target)}

    def begin(self, which: Keys) -> None:
        self.target.command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self._ids[self.source])
        self.source.command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self._ids[self.target])
        self._move([key for key in self.keys(self.source) if which(key)])

    def end(self) -> None:
        everything = self.source.command("CLUSTER", "GETKEYSINSLOT", self.slot, 100)
        self._move(everything)
        for server in (self.target, self.source):
            server.command("CLUSTER", "SETSLOT", self.slot, "NODE", self._ids[self.target])

    def keys(self, server: Server) -> list[bytes]:
        found: list[bytes] = server.command("CLUSTER", "GETKEYSINSLOT", self.slot, 100)
        # Another test's session, or an index, may be in the same slot.
        return [key for key in found if self._namespace + b"/session:s" in key]

    def _move(self, keys: list[bytes]) -> None:
        assert keys
        self.source.command("MIGRATE", "127.0.0.1", self.target.port or 0, "", 0, 5000, "KEYS", *keys)


@asynccontextmanager
async def half_moved(cluster: ClusterGroup, namespace: str, which: Keys) -> AsyncIterator[Move]:
    """Within it, and for some time after, only some of the keys have moved."""
    move = Move(cluster, namespace)
    await asyncio.to_thread(move.begin, which)
    ending = asyncio.create_task(asyncio.sleep(0.3))
    ending.add_done_callback(lambda _: move.end())
    yield move
    await ending
    await asyncio.sleep(0)


async def read(store: SessionStore) -> None:
    snapshot = await store.snapshot("s")
    assert [message.content for message in snapshot.history] == ["hello"]


async def append(store: SessionStore) -> None:
    await store.append("s", Message.user("again", id="m2"))
    assert len(await store.history("s")) == 2


async def append_the_same(store: SessionStore) -> None:
    await store.append("s", Message.user("hello", id="m1"))
    assert len(await store.history("s")) == 1


async def make_new(store: SessionStore) -> None:
    async with store.batch("s") as batch:
        batch.append({"y": 2}, log="new")
        batch.state.set("new", 1)
        batch.state.add("newer")
    assert await store.state("s").get_many({"new", "newer", "mood", "count"}) == {
        "new": 1,
        "newer": 1,
        "mood": "good",
        "count": 1,
    }
    assert len(await store.entries("s", log="new")) == 1


async def take_a_turn(store: SessionStore) -> None:
    async with store.turn("s", last=1) as turn:
        turn.append(Message.user("turn"))
    assert len(await store.history("s")) == 2


async def touch(store: SessionStore) -> None:
    await store.touch("s", "2h")


async def replace(store: SessionStore) -> None:
    await store.replace("s", [Message.user("other")])
    assert [message.content for message in await store.history("s")] == ["other"]


async def delete(store: SessionStore) -> None:
    assert await store.delete("s")


async def repair(store: SessionStore) -> None:
    report = await store.repair(salvage=True)
    assert [each for each in report.damages if each.sort != "index"] == []
    await read(store)


OPERATIONS = [read, append, append_the_same, make_new, take_a_turn, touch, replace, delete, repair]


@pytest.mark.parametrize("which", PARTS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_operation_waits_for_what_has_not_come(
    cluster: ClusterGroup,
    namespace: str,
    store: SessionStore,
    which: Keys,
    operation: Callable[[SessionStore], Awaitable[None]],
) -> None:
    async with half_moved(cluster, namespace, which) as move:
        await operation(store)
    await asyncio.sleep(0.1)

    assert move.keys(move.source) == []
    left = [key for key in move.keys(move.target) if not is_turn(key)]
    if operation is delete:
        assert left == []
    else:
        expiries = [move.target.command("PEXPIRETIME", key) for key in left]
        assert max(expiries) - min(expiries) < 50


async def test_a_turn_goes_on_while_its_session_moves(
    cluster: ClusterGroup, namespace: str, store: SessionStore
) -> None:
    async with store.turn("s") as turn:
        turn.append(Message.user("turn"))
        async with half_moved(cluster, namespace, lambda key: not is_turn(key)):
            await turn.commit()

    assert len(await store.history("s")) == 2
