"""One of all instances sweeps, and another takes over when it dies."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniagent_store import hookimpl, open_store, open_store_sync
from miniagent_store.store import sweeper
from miniagent_store.testing.conformance import eventually
from tests.coordination.many_sessions import Place, opened, place_of

ELSEWHERE = """
import asyncio, sys
from miniagent_store import open_store
from miniagent_store.store import sweeper

sweeper.LEASE_SECONDS = 1.0

async def main(url):
    async with open_store(url, namespace=sys.argv[2]) as store, store.sweeper(every=0.05) as one:
        while not one.is_elected:
            await asyncio.sleep(0.01)
        print("elected", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module", params=["sqlite", "redis", "cluster"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(request.param, tmp_path_factory.mktemp("place")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    return shared.alone()


async def test_another_takes_over_when_it_dies(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "LEASE_SECONDS", 1.0)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ELSEWHERE, place.url, place.namespace, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"elected\n"
        async with opened(place) as store, store.sweeper(every=0.05) as here:
            await store.create("s", ttl=0.05)
            await asyncio.sleep(0.3)
            assert not here.is_elected
            assert await store.sweep() == 0, "the other one did it"
            process.send_signal(signal.SIGKILL)
            await eventually(lambda: here.is_elected)
            await store.create("s", ttl=0.05)
            await asyncio.sleep(0.4)
            assert await store.sweep() == 0, "this one did it"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_reconciles_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store("memory://") as store:
        calls = 0

        async def reconcile(**_: object) -> int:
            nonlocal calls
            calls += 1
            return 0

        monkeypatch.setattr(store, "reconcile", reconcile)
        async with store.sweeper(every=0.02, reconcile_every=0.1):
            await eventually(lambda: calls >= 2)


async def test_it_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store("memory://") as store:
        sweeps = 0

        async def sweep() -> int:
            nonlocal sweeps
            sweeps += 1
            raise RuntimeError("a plugin's mistake") if sweeps == 1 else ConnectionError("gone")

        monkeypatch.setattr(store, "sweep", sweep)
        async with store.sweeper(every=0.02):
            await eventually(lambda: sweeps >= 3)


def test_without_async(tmp_path: Path) -> None:
    told: list[str] = []

    class Told:
        @hookimpl
        def session_expired(self, session_id: str) -> None:
            told.append(session_id)

    with open_store_sync(f"sqlite:///{tmp_path}/a.db", plugins=[Told()]) as store:
        store.create("s", user_id="ada", ttl=0.01)
        store.create("t", user_id="ada")
        with store.sweeper(every=0.01):
            while not told:
                time.sleep(0.01)
        assert store.count_sessions(user_id="ada") == 1
        assert told == ["s"]
        assert store.sweep() == store.reconcile() == 0
