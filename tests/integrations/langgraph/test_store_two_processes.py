"""Two processes on the same memories at once: each item is one that was written whole, and none is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from miniagent_store.integrations.langgraph.store import MiniAgentStore

RIVAL = """
import asyncio, sys
from miniagent_store.integrations.langgraph.store import MiniAgentStore
from langgraph.store.base import PutOp

url, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main():
    store = MiniAgentStore(url)
    for n in range(rounds):
        pair = {"writer": name, "n": n, "text": name * 500}
        await store.abatch([PutOp(("shared", "pair"), key, pair) for key in ("left", "right")])
        await store.aput(("shared", name), str(n), {"n": n}, ttl=60)
        both = await store.asearch(("shared", "pair"))
        assert len(both) == 2 and both[0].value == both[1].value, both
        assert both[0].value["text"] == both[0].value["writer"] * 500
        await store.aget(("shared", name), str(n))
    await store.handle.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_nothing_torn_and_nothing_lost(durable_url: str, rounds: int) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", RIVAL, durable_url, name, str(rounds)]) for name in "ab"
    ]
    assert [each.wait(timeout=200) for each in started] == [0, 0]
    store = MiniAgentStore(durable_url)
    for name in "ab":
        mine = store.search(("shared", name), limit=1000)
        assert sorted(item.value["n"] for item in mine) == list(range(rounds))
    left, right = store.search(("shared", "pair"))
    assert left.value == right.value
    assert left.value["n"] == rounds - 1
    store.handle.close()
