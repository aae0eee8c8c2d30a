"""A cache bounds itself, however many processes fill it."""

from __future__ import annotations

import asyncio
import uuid

from miniagent_store import open_store
from miniagent_store.testing import backend_of
from tests.coordination.processes import running


async def test_it_is_bounded_for_many_processes(shared_url: str) -> None:
    namespace, limit = uuid.uuid4().hex, 256 * 1024
    async with open_store(shared_url, namespace=namespace, cache_max_size=limit) as store:
        processes = [running("filler", shared_url, namespace, limit, 500) for _ in range(3)]
        async with processes[0] as one, processes[1] as two, processes[2] as three:
            for process in (one, two, three):
                assert process.stdout is not None
                await asyncio.wait_for(process.stdout.read(), 60)
                assert await process.wait() == 0
        cursor, size = None, 0
        while True:
            found, cursor = await backend_of(store).cache_scan(cursor, 500)
            size += sum(len(key) + len(value) for key, value in found)
            if cursor is None:
                break
        # Six times as much was set; each who writes may be over by a 32nd, and by what it sets at once.
        assert limit // 2 < size <= limit * 35 // 32 + 3 * 10 * 1100
        assert await store.cache.clear() > 100
