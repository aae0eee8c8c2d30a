"""The shared connection on uvloop, where it is installed."""

from __future__ import annotations

import asyncio

import pytest

from miniagent_store import Message, open_store
from miniagent_store.testing.servers import Server


@pytest.mark.parametrize("unix", [False, True], ids=["port", "socket"])
def test_a_store_works_on_uvloop(unix: bool) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def work(url: str) -> int:
        async with open_store(url) as store:
            names = [str(number) for number in range(20)]
            await asyncio.gather(*(store.append(name, Message.user("Hello"), create=True) for name in names))
            return sum([len(await store.history(name)) for name in names])

    with Server(unix=unix) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(work(server.url)) == 20
