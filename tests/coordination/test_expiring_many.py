"""Many sessions expire while several processes sweep: each is told once, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from miniagent_backends.redis import places
from miniagent_backends.sqlite import sweeping as sqlite_sweeping
from miniagent_store import Message, SessionStore
from miniagent_store.backend import Create
from miniagent_store.testing.conformance import eventually
from tests.coordination.many_sessions import Place, make_sessions, opened, place_of

INSTANCES = 4
FEW, MANY = (100, 4.0), (10_000, 60.0)
CASES = [
    pytest.param(
        kind,
        grace,
        killed,
        size,
        marks=[] if size is FEW else pytest.mark.slow,
        id=f"{kind}-{'grace' if grace else 'no grace'}-{'one' if killed else 'none'} killed-{size[0]}",
    )
    for size in (FEW, MANY)
    for kind in ("sqlite", "redis", "cluster")
    for grace in (0, "10m")
    for killed in (False, True)
    # With few sessions, some of the cases.
    if size is MANY or (grace and killed and kind != "redis")
]


def owned(number: int, ttl: float) -> Create:
    return Create(
        user_id=f"user{number % 100}",
        agent=("helper", "coder", None)[number % 3],
        tags=("all", f"t{number % 10}"),
        ttl_ms=int(ttl * 1000),
        sliding=False,
    )


async def make_all(store: SessionStore, count: int, ttl: float) -> list[str]:
    """Sessions with all that a session can have, some of which have had a turn."""
    started = time.monotonic()
    ids = [f"s{number:05}" for number in range(count)]
    await make_sessions(store, ids, lambda number: owned(number, ttl))
    for session_id in ids[:: max(count // 50, 1)]:
        async with store.turn(session_id, last=0) as turn:
            turn.append(Message.user("hello"))
    assert await store.count_sessions() == count
    assert time.monotonic() - started < ttl, "they expire while they are made: give them longer"
    return ids


def told(paths: list[Path]) -> Counter[str]:
    return Counter(line for path in paths if path.exists() for line in path.read_text().split())


async def start(place: Place, path: Path, **settings: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.coordination.sweeping_process", place.url, str(path), json.dumps(settings)),
    )


async def stop(processes: list[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
    await asyncio.gather(*(process.wait() for process in processes))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "grace", "killed", "size"), CASES)
async def test_each_is_told_once_and_nothing_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    grace: int | str,
    killed: bool,
    size: tuple[int, float],
) -> None:
    count, ttl = size
    is_full = size is MANY
    kept_changes_ms = places.KEPT_CHANGES_MS if is_full else 1_000
    monkeypatch.setattr(places, "KEPT_CHANGES_MS", kept_changes_ms)
    monkeypatch.setattr(sqlite_sweeping, "KEEP_GONE_MS", 0)
    settings = {
        "grace": grace,
        "claim": 5.0 if is_full else 1.0,
        "pause": 0.0 if is_full else 0.01,
        "kept_changes_ms": kept_changes_ms,
    }
    paths = [tmp_path / f"told{number}" for number in range(INSTANCES)]
    processes: list[asyncio.subprocess.Process] = []
    with place_of(kind, tmp_path) as place:
        try:
            async with opened(place, grace=grace) as store:
                ids = await make_all(store, count, ttl)
                processes = [await start(place, path, **settings) for path in paths]
                await eventually(lambda: sum(told(paths).values()) > count // 20, within=ttl + 60)
                started = time.monotonic()
                if killed:
                    processes[0].send_signal(signal.SIGKILL)
                await eventually(lambda: len(told(paths)) == count, within=300)
                print(f"{kind}: {count} told in {time.monotonic() - started:.1f} s after the first")
                # Whoever would tell of one again has had the time for it.
                await asyncio.sleep(settings["claim"] + 0.5 if killed else 1.0)  # type: ignore[operator]
                counted = told(paths)
                assert set(counted) == set(ids)
                twice = {name for name, times in counted.items() if times > 1}
                assert twice == set() if not killed else all(counted[name] == 2 for name in twice)
                await store.sweep()
                assert (await store.stats()).sessions == {}
                assert await store.reconcile() == 0
            await stop(processes)
            if place.servers:
                await eventually(lambda: place.keys() == 0, within=kept_changes_ms / 1000 + 20)
            else:
                assert size_of_vacuumed(place) <= await size_of_empty(tmp_path)
        finally:
            await stop(processes)


def size_of_vacuumed(place: Place) -> int:
    assert place.path is not None
    with sqlite3.connect(place.path) as connection:
        left = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if table != "tickets"
        }
        assert not any(left.values()), left
    connection.execute("VACUUM")
    connection.close()
    return os.path.getsize(place.path)


async def size_of_empty(folder: Path) -> int:
    place = Place(f"sqlite:///{folder}/empty.db", path=folder / "empty.db")
    async with opened(place):
        pass
    return size_of_vacuumed(place)
