"""Somebody's own store is measured without a trace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Message, open_store
from miniagent_store.bench import writers
from miniagent_store.bench.run import AT_PLACES, measure
from miniagent_store.errors import StoreError
from miniagent_store.testing.servers import Server
from tests.bench.sizes import TINY

USERS = ["acme on >secret resetchannels ~acme/* &acme/notify:* +@all -@admin"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(users=USERS) as started:
        yield started


@pytest.fixture
def used(server: Server) -> str:
    """The URL of a server with sessions, keys that are nobody's of ours, and all sorts of expiries."""
    server.command("FLUSHALL")
    asyncio.run(fill(f"{server.url}?ttl=1d"))
    asyncio.run(fill(f"{server.url}?namespace=acme"))
    server.command("SET", "other", "1", "EX", 5000)
    server.command("RPUSH", "bench", "mine")
    return server.url


async def fill(url: str) -> None:
    async with open_store(url) as store:
        for number in range(5):
            session = await store.create(f"s{number}", user_id="bench-user-0")
            await store.append(session.id, Message.user("mine"))
        await store.cache.set("value", "mine", namespace="cache", ttl=1000)
        await store.state("s0").set("plan", "mine")


def everything(server: Server) -> dict[bytes, tuple[Any, bool]]:
    """Each key, as it is stored, and whether it expires."""
    return {
        key: (server.command("DUMP", key), server.command("PTTL", key) > 0)
        for key in server.command("KEYS", "*")
    }


def expiries(server: Server) -> dict[bytes, int]:
    return {key: server.command("PEXPIRETIME", key) for key in server.command("KEYS", "*")}


async def test_redis_is_left_as_it_was(server: Server, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "PROCESSES", 2)
    before, expire = everything(server), expiries(server)

    result = await measure(TINY, url=used, areas=[*AT_PLACES])

    assert everything(server) == before
    assert expiries(server) == expire
    assert {each.place for each in result.figures} == {"redis"}
    assert {each.area for each in result.figures} == {*AT_PLACES}
    kept = [each for each in result.figures if each.operation == writers.KEPT]
    assert {each.samples for each in kept} == {(2 + 2 * writers.TURNS * 2,)}
    assert result.notes == ()


@pytest.mark.parametrize("moment", ["histories of 10", "tasks at once", "locks, cache", "to list"])
async def test_a_run_that_is_cut_short_leaves_nothing(server: Server, used: str, moment: str) -> None:
    before = everything(server)
    reached = asyncio.Event()

    def tell(what: str) -> None:
        if moment in what:
            reached.set()

    running = asyncio.create_task(measure(TINY, url=used, areas=[*AT_PLACES], tell=tell))
    await asyncio.wait_for(reached.wait(), 30)
    await asyncio.sleep(0.005)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    assert everything(server) == before


async def test_a_run_that_fails_leaves_nothing(server: Server, used: str) -> None:
    before = everything(server)

    def tell(what: str) -> None:
        if "4 tasks at once" in what:
            raise RuntimeError("as if something broke")

    with pytest.raises(RuntimeError, match="as if"):
        await measure(TINY, url=used, areas=[*AT_PLACES], tell=tell)

    assert everything(server) == before


async def test_what_cannot_be_removed_is_told_with_what_to_do() -> None:
    def tell(what: str) -> None:
        if "to list" in what:
            server.stop()

    with Server() as server:
        url = f"{server.url}?deadline=0.5&connect_timeout=0.5"
        told = pytest.warns(UserWarning, match=r"expires within 60 minutes.*tenants delete bench-")
        with told, pytest.raises(StoreError):
            await measure(TINY, url=url, areas=["operations"], tell=tell)


async def test_where_rights_end_at_a_namespace_sessions_stand_beside(server: Server, used: str) -> None:
    before = everything(server)
    url = used.replace("redis://", "redis://acme:secret@") + "?namespace=acme"

    result = await measure(TINY, url=url, areas=["operations", "concurrency", "coordination"])

    assert any("beside yours" in each for each in result.notes)
    assert "secret" not in str(result.to_dict())
    after = everything(server)
    # What locks and notifications keep goes by itself.
    left = {key: server.command("PTTL", key) for key in after.keys() - before.keys()}
    assert all(expires > 0 for expires in left.values())
    async with open_store(f"{used}?namespace=acme") as store:
        assert sorted(each.id for each in await store.list()) == [f"s{number}" for number in range(5)]
        assert await store.cache.get("value", namespace="cache") == "mine"


async def test_a_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    url = f"sqlite:///{path}?synchronous=OFF"
    await fill(url)
    before = path.read_bytes()

    result = await measure(TINY, url=url, areas=["memory", "operations", "concurrency", "coordination"])

    assert {each.place for each in result.figures} == {"sqlite"}
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["mine.db"]


async def test_no_file_is_made_where_there_was_none(tmp_path: Path) -> None:
    await measure(TINY, url=f"sqlite:///{tmp_path}/mine.db", areas=["coordination"])

    assert [*tmp_path.iterdir()] == []


async def test_a_store_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        await measure(TINY, url="redis://:secret@127.0.0.1:1/0?connect_timeout=1")
