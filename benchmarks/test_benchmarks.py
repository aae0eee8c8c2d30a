"""The hot paths, one benchmark each, with pytest-benchmark: for a look at one of them while working on it.

    python -m pytest benchmarks/test_benchmarks.py [-k "append and redis"] [--benchmark-compare]

A round is `CALLS` calls of a lone caller, one after the other; divide by that. What is compared with
hand-written code and with other packages, in interleaved rounds, is measured by ``miniagent-store bench``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from miniagent_store import SessionStore, open_store
from miniagent_store.bench.texts import TURN
from miniagent_store.testing.servers import Server

CALLS, ROUNDS = 50, 20
LENGTH = 1_000
Call = Callable[[SessionStore], Awaitable[Any]]


async def turn(store: SessionStore) -> None:
    async with store.turn("s", last=20) as turn:
        turn.append(*TURN)


PATHS: dict[str, Call] = {
    "append": lambda store: store.append("s", *TURN),
    "last 20": lambda store: store.history("read", last=20),
    "history": lambda store: store.history("read"),
    "turn": turn,
    "get": lambda store: store.get("s"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path}/store.db"
    server: Server = request.getfixturevalue("server")
    server.command("FLUSHALL")
    return server.url


@pytest.mark.parametrize("path", PATHS)
def test_hot_path(benchmark: BenchmarkFixture, path: str, url: str) -> None:
    benchmark.extra_info["calls"] = CALLS
    call = PATHS[path]
    with asyncio.Runner() as runner:
        store = open_store(url, ttl="1h")

        async def prepare() -> None:
            await store.append("s", *TURN, create=True)
            await store.append("read", *TURN * (LENGTH // 2), create=True)

        async def work() -> None:
            for _ in range(CALLS):
                await call(store)

        try:
            runner.run(prepare())
            benchmark.pedantic(lambda: runner.run(work()), rounds=ROUNDS, warmup_rounds=2)
        finally:
            runner.run(store.close())
