"""How many turns and locks are held and waited for, as `Health.details` tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from miniagent_store import SessionStore, open_store
from miniagent_store.testing.servers import Server
from tests.places import place as place
from tests.places import redis_server as redis_server

NOTHING = {"waited_for": 0, "waiting": 0}


async def locks(store: SessionStore) -> dict[str, int]:
    told: dict[str, int] = (await store.health()).details["locks"]
    return {name: told[name] for name in NOTHING}


async def test_who_waits_is_counted(place: str) -> None:
    async with open_store(place) as store, open_store(place) as viewer:
        session = await store.create()

        async def take_lock() -> None:
            async with store.lock("budget"):
                pass

        async def take_turn() -> None:
            async with store.turn(session.id):
                pass

        async with store.lock("budget"), store.turn(session.id):
            assert await locks(viewer) == NOTHING
            waiting = [asyncio.create_task(each()) for each in (take_lock, take_lock, take_turn)]
            async with asyncio.timeout(20):
                while await locks(viewer) != {"waited_for": 2, "waiting": 3}:
                    await asyncio.sleep(0.01)
        await asyncio.gather(*waiting)

        assert await locks(viewer) == NOTHING


async def test_a_watcher_waits_for_no_lock(place: str) -> None:
    async with open_store(place) as store:
        session = await store.create()
        watching = asyncio.ensure_future(anext(aiter(store.watch(session.id))))
        await asyncio.sleep(0.2)  # until it listens

        assert await locks(store) == NOTHING
        watching.cancel()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_held_is_counted_where_that_is_cheap(kind: str, tmp_path: Path) -> None:
    url = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/a.db"
    async with open_store(url) as store:
        async with store.lock("a"), store.lock("b"):
            assert (await store.health()).details["locks"]["held"] == 2

        assert (await store.health()).details["locks"]["held"] == 0


async def test_servers_tell_their_numbers(redis_server: Server) -> None:
    async with open_store(f"{redis_server.url}/0") as store:
        (numbers,) = (await store.health()).details["servers"].values()

    assert numbers["used_memory"] > 100_000
    assert {"maxmemory", "hits", "misses", "clients", "commands_per_second"} <= numbers.keys()
