"""A whole run: every area at every place."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from miniagent_store.bench import (
    coordination,
    crowds,
    footprint,
    operations,
    peers,
    serializers,
    startup,
    writers,
)
from miniagent_store.bench.figures import Result
from miniagent_store.bench.machine import commit, machine, versions
from miniagent_store.bench.places import Place, guest_place, own_places
from miniagent_store.bench.plan import Plan
from miniagent_store.bench.redis_clients import connect
from miniagent_store.bench.rounds import Run
from miniagent_store.errors import MissingExtraError
from miniagent_store.url import StoreURL

Measure = Callable[[Run, Place], Awaitable[None]]
# By area, in the order in which they run: memory first, while a server is still empty.
AT_PLACES: dict[str, tuple[Measure, ...]] = {
    footprint.AREA: (footprint.measure_footprint,),
    operations.AREA: (operations.measure_calls, operations.measure_histories),
    crowds.AREA: (crowds.measure_crowds,),
    coordination.AREA: (coordination.measure_coordination,),
    writers.AREA: (writers.measure_writers,),
}
ALONE: dict[str, Callable[[Run], Awaitable[None]]] = {
    serializers.AREA: serializers.measure_serializers,
    startup.AREA: startup.measure_startup,
}
AREAS = (*ALONE, *AT_PLACES)
PLACES = 3


async def measure(
    plan: Plan,
    *,
    url: str | None = None,
    areas: Collection[str] = AREAS,
    seed: int | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> Result:
    """Measure everything that can be measured here.

    Args:
        plan: how much.
        url: of somebody's own store, to be measured alone and left as it was; None for places made for it.
        areas: which of `AREAS`.
        seed: of the order of turns; random unless given.
        tell: is told what is measured next.

    Raises:
        StoreError: the store cannot be reached or used.
    """
    run = Run(plan, secrets.randbits(32) if seed is None else seed, tell)
    began = datetime.now(UTC)
    servers: dict[str, str] = {}
    for area, alone in ALONE.items():
        if area in areas:
            await alone(run)
    chosen = [measures for area, measures in AT_PLACES.items() if area in areas]
    if chosen:
        async with AsyncExitStack() as stack:
            if url is None:
                places = await stack.enter_async_context(own_places(run))
            else:
                run.plan = plan.for_guests()
                places = [await stack.enter_async_context(guest_place(StoreURL.parse(url), run))]
            for place in places:
                servers[place.kind] = await _server(place)
                for measures in chosen:
                    for one in measures:
                        await one(run, place)
        for name, package in peers.missing() if url is None else ():
            run.note(f"{name} was not measured; it needs: pip install {package}")
    return Result(
        plan=plan.name,
        date=began.isoformat(timespec="seconds"),
        seed=run.seed,
        machine=machine(),
        packages={**versions(), **_peers()},
        servers=servers,
        commit=commit(),
        notes=tuple(run.notes),
        figures=tuple(run.figures),
    )


def _peers() -> dict[str, str]:
    """Versions of the peers' packages, by name."""
    found: dict[str, str] = {}
    for kind in ("redis", "sqlite", "memory"):
        for peer in peers.available(kind):
            found.update(peers.versions(peer))
    return found


def steps(plan: Plan, *, guest: bool, areas: Collection[str] = AREAS) -> int:
    """How many times `tell` of `measure` is called, about."""
    at_place = {
        operations.AREA: 2 + len(plan.lengths),
        crowds.AREA: len(plan.crowds),
    }
    alone = {serializers.AREA: len(plan.sizes)}
    each = sum(at_place.get(area, 1) for area in AT_PLACES if area in areas)
    return sum(alone.get(area, 1) for area in ALONE if area in areas) + each * (1 if guest else PLACES)


async def _server(place: Place) -> str:
    """Kind and version of what keeps the data."""
    if place.kind == "sqlite":
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}"
    if place.kind != "redis":
        return place.kind
    try:
        client = connect(place.url)
    except MissingExtraError:
        return "Redis"
    try:
        told = await client.info("server")
        name = "Valkey" if told.get("server_name") == "valkey" else "Redis"
        return f"{name} {told.get('valkey_version') or told.get('redis_version')}"
    except Exception:  # noqa: BLE001 - who may not ask for it is told no version
        return "Redis"
    finally:
        await client.aclose()
