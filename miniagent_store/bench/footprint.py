"""What a message takes where it is kept, beyond the bytes of its content."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

from miniagent_store.bench.contestants import contestants, fill, url_for
from miniagent_store.bench.figures import OURS
from miniagent_store.bench.places import Place
from miniagent_store.bench.redis_clients import connect
from miniagent_store.bench.rounds import Run, describe
from miniagent_store.bench.texts import TURN
from miniagent_store.url import StoreURL

AREA = "memory"
OPERATION = "a message"
PAYLOAD = sum(len(msgpack.packb(each)) for each in TURN) / len(TURN)


async def measure_footprint(run: Run, place: Place) -> None:
    """Bytes a message of one long session; `PAYLOAD` of them are the message itself.

    On Redis what MEMORY USAGE says of all keys that came, on SQLite how much the files grew, in memory what
    Python allocated. There hand-written code holds 4 KiB a message with releases of orjson whose bytes keep
    the room of the buffer that they were written in.
    """
    length = run.plan.memory_length
    run.tell(f"{place.kind}: memory of {length:,} messages")
    if not (place.own or (place.kind == "redis" and place.tenant)):
        run.note(f"{place.kind}: memory a message is measured in places made for the run only")
        return
    async with contestants(run, place, with_peers=run.plan.peer_length > 0) as subjects:
        for name, peer in subjects.items():
            where = f"{place.kind}, memory"
            try:
                if place.kind == "memory":
                    # What is imported and made once must not be counted.
                    await fill(run, where, {name: peer}, {"warm-up": length})
                    await peer.clear("warm-up")
                before = await _start(place, name)
                ready = await fill(run, where, {name: peer}, {"memory": length})
                if ready:
                    grown = await _held(place, name) - before
                    samples = {name: [grown / length]}
                    run.add(
                        samples, area=AREA, place=place.kind, unit="B", baseline=None, operation=OPERATION
                    )
            except Exception as problem:
                if place.own and name == OURS:
                    raise
                run.note(f"{where}: {name} failed: {describe(problem)}")
            finally:
                tracemalloc.stop()
            await peer.clear("memory")


async def _start(place: Place, name: str) -> int:
    if place.kind == "memory":
        tracemalloc.start()
    return await _held(place, name)


async def _held(place: Place, name: str) -> int:
    match place.kind:
        case "memory":
            return tracemalloc.get_traced_memory()[0]
        case "sqlite":
            url = place.url if name.startswith(OURS) else StoreURL.parse(url_for(place, name))
            path = Path(url.path[1:])
            # Some keep a folder where others keep a file.
            found = (each for top in path.parent.glob(f"{path.stem}*") for each in (top, *top.rglob("*")))
            return sum(each.stat().st_size for each in found if each.is_file())
    client = connect(StoreURL.parse(url_for(place, name)))
    return await _redis_memory(client, "*" if place.own else f"{place.namespace}/*")


async def _redis_memory(client: Any, match: str) -> int:
    """Bytes of all keys, without those of other users of the server."""
    try:
        found = {key async for key in client.scan_iter(match=match, count=1_000)}
        return sum([await client.memory_usage(key, samples=0) or 0 for key in found])
    finally:
        await client.aclose()
