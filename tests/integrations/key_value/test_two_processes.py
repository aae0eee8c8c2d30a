"""Two processes on the same entries at once: no compare-and-set is lost, and no value torn."""

from __future__ import annotations

import subprocess
import sys

import pytest

from miniagent_store.integrations.key_value import MiniAgentKeyValueStore

RIVAL = """
import asyncio, sys
from miniagent_store.integrations.key_value import MiniAgentKeyValueStore

url, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main():
    store = MiniAgentKeyValueStore(url)
    for n in range(rounds):
        await store.put("whole", {"writer": name, "text": name * 500})
        whole = await store.get("whole")
        assert whole["text"] == whole["writer"] * 500
        await store.put(f"{name}{n}", {"n": n})
        while True:
            value, version = await store.get_with_version("counter")
            count = 0 if value is None else value["count"]
            if await store.compare_and_set("counter", {"count": count + 1}, version=version):
                break
    await store.handle.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [20, pytest.param(500, marks=pytest.mark.slow)])
async def test_nothing_torn_and_nothing_lost(durable_url: str, rounds: int) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", RIVAL, durable_url, name, str(rounds)]) for name in "ab"
    ]
    assert [each.wait(timeout=200) for each in started] == [0, 0]
    store = MiniAgentKeyValueStore(durable_url)
    assert await store.get("counter") == {"count": 2 * rounds}
    names = [f"{name}{n}" for name in "ab" for n in range(rounds)]
    assert sorted(await store.keys()) == sorted([*names, "counter", "whole"])
    await store.handle.aclose()
