"""Any program gives on ours what it gives on py-key-value's own store in a dict."""

from __future__ import annotations

import random
from typing import Any

import pytest
from key_value.aio.stores.simple import SimpleStore

from miniagent_store.integrations.key_value import MiniAgentKeyValueStore


async def step(store: Any, seed: int) -> Any:
    """One random call, and what it gave."""
    chance = random.Random(seed)
    collection = chance.choice([None, "a", "a/b", "c"])
    keys = chance.choices(["k", "l", "m", "n/o", "{p}"], k=3)
    value = {"n": chance.randrange(5), "list": [chance.random(), None]}
    match chance.choice(
        ["put", "put", "put_many", "get", "get_many", "ttl", "delete", "delete_many", "keys", "drop"]
    ):
        case "put":
            return await store.put(keys[0], value, collection=collection, ttl=chance.choice([None, 1000]))
        case "put_many":
            return await store.put_many(keys, [value, {}, {"k": 1}], collection=collection)
        case "get":
            return await store.get(keys[0], collection=collection)
        case "get_many":
            return await store.get_many(keys, collection=collection)
        case "ttl":
            found, ttl = await store.ttl(keys[0], collection=collection)
            return found, ttl is None or ttl > 900
        case "delete":
            return await store.delete(keys[0], collection=collection)
        case "delete_many":
            return await store.delete_many(keys, collection=collection)
        case "keys":
            return sorted(await store.keys(collection))
        case _ if seed % 10 == 0:
            return await store.destroy()


@pytest.mark.filterwarnings("ignore:A configured store is unstable")  # theirs says so of itself
@pytest.mark.parametrize("steps", [150, pytest.param(3000, marks=pytest.mark.slow)])
async def test_random_program(url: str, steps: int) -> None:
    ours, theirs = MiniAgentKeyValueStore(url), SimpleStore()
    for number in range(steps):
        assert await step(ours, number) == await step(theirs, number), f"seed {number}"
    await ours.handle.aclose()
