"""Reading by plain commands says what the script says, and leaves to the script what it cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from miniagent_backends.redis import reading
from miniagent_backends.redis.backend import RedisBackend
from miniagent_backends.redis.plain_reading import read_plainly
from miniagent_store import Message, SessionDamagedError, SessionNotFoundError, SessionStore, open_store
from miniagent_store.backend import LogRange, ReadPlan
from miniagent_store.testing.conformance.base import backend_of
from miniagent_store.testing.servers import Server

PLANS = (
    ReadPlan("s"),
    ReadPlan("s", (LogRange("messages"),)),
    ReadPlan("s", (LogRange("messages", last=3),)),
    ReadPlan("s", (LogRange("messages", last=0),)),
    ReadPlan("s", (LogRange("messages", last=100),)),
    ReadPlan("s", (LogRange("messages", after=4, limit=3),)),
    ReadPlan("s", (LogRange("messages", after=2, before=9, limit=3),)),
    ReadPlan("s", (LogRange("messages", after=50),)),
    ReadPlan("s", (LogRange("messages", last=2), LogRange("events"), LogRange("own", after=1))),
    ReadPlan("s", (LogRange("none"),)),
    ReadPlan("s", (LogRange("messages", last=1),), ("a", "no", "gone", "n")),
    ReadPlan("s", (), ("n", "a", "a")),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


async def fill(store: SessionStore) -> None:
    await store.create("s", user_id="ada", metadata={"a": 1}, tags=["x"], ttl=3600)
    await store.append("s", *(Message.user(number) for number in range(10)))
    await store.append("s", Message.user("once", id="mine"))
    await store.redact("s", 3, reason="wrong")
    await store.append("s", {"role": "event"}, log="events")
    await store.append("s", {"role": "own"}, {"role": "own"}, log="own")
    async with store.batch("s") as batch:
        batch.state.set("a", [1])
        batch.state.set("gone", 1, ttl=0.05)
        batch.state.add("n", 3)
    await asyncio.sleep(0.06)


async def both(backend: Any, plan: ReadPlan) -> tuple[Any, Any]:
    assert isinstance(backend, RedisBackend)
    plainly = await read_plainly(backend._executor, backend._keys, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_plainly", nothing)
        return plainly, await backend.read(plan)


async def nothing(*_: Any) -> None:
    return None


@pytest.mark.parametrize("plan", PLANS, ids=map(str, range(len(PLANS))))
async def test_plain_commands_say_what_the_script_says(server: Server, plan: ReadPlan) -> None:
    async with open_store(server.url, namespace=f"plan{PLANS.index(plan)}") as store:
        await fill(store)

        plainly, by_script = await both(backend_of(store), plan)
        assert plainly is not None
        assert plainly == by_script

        await store.trim("s", before=4)
        plainly, by_script = await both(backend_of(store), plan)
        assert plainly in (None, by_script)


async def test_what_plain_commands_cannot_tell_is_left_to_the_script(server: Server) -> None:
    async with open_store(server.url, namespace="left") as store:
        await fill(store)
        before = (await store.get("s")).position
        await store.redact("s", 1, reason="wrong")
        backend = backend_of(store)
        since = (before.incarnation, before.epoch)

        for plan in (
            ReadPlan("s", (LogRange("messages", not_before_ms=1),)),
            ReadPlan("s", (LogRange("messages", after=8),), since=since),
            ReadPlan("s", expired=True),
        ):
            plainly, _ = await both(backend, plan)
            assert plainly is None
        now = (await store.get("s")).position
        standing = ReadPlan("s", (LogRange("messages", after=8),), since=(now.incarnation, now.epoch))
        plainly, by_script = await both(backend, standing)
        assert plainly is not None
        assert plainly == by_script


async def test_a_session_that_is_not_there_or_has_expired_is_not_found(server: Server) -> None:
    async with open_store(f"{server.url}?grace=60s", namespace="expired") as store:
        await store.create("s", ttl=0.3)
        await store.append("s", Message.user("Hello"))
        assert len(await store.history("s")) == 1
        async with asyncio.timeout(10):
            while await exists(store):
                await asyncio.sleep(0.02)
        for read in (store.history("s"), store.get("s"), store.snapshot("s"), store.history("never")):
            with pytest.raises(SessionNotFoundError):
                await read


async def exists(store: SessionStore) -> bool:
    try:
        await store.history("s")
    except SessionNotFoundError:
        return False
    return True


@pytest.mark.parametrize("part", ["thread", "events", "own", "state", "names", "count", "ids"])
async def test_a_part_that_is_gone_is_told_by_every_read(server: Server, part: str) -> None:
    async with open_store(server.url, namespace=f"gone-{part}") as store:
        await fill(store)
        backend = backend_of(store)
        assert isinstance(backend, RedisBackend)
        parts = backend._keys.parts("s")
        key = f"{parts['log']}own" if part == "own" else parts[part]
        assert await backend._executor.execute("DEL", key) == 1

        for read in (
            store.history("s"),
            store.history("s", last=2),
            store.entries("s", log="messages"),
            store.snapshot("s", state=["a"]),
            store.get("s"),
        ):
            with pytest.raises(SessionDamagedError):
                await read


async def test_a_usual_read_runs_no_script(server: Server) -> None:
    async with open_store(server.url, namespace="usual") as store:
        await fill(store)
        before = await scripts_run(store)

        await store.history("s", last=5)
        await store.history("s")
        await store.snapshot("s", last=5, state=["a"])
        await store.get("s")

        assert await scripts_run(store) == before


async def scripts_run(store: SessionStore) -> int:
    backend = backend_of(store)
    assert isinstance(backend, RedisBackend)
    told: bytes = await backend._executor.masters()[0].execute("INFO", "commandstats")
    lines = [line for line in told.decode().splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(lines[0].partition("calls=")[2].partition(",")[0])
