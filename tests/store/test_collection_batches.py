"""Several changes of a collection in one commit, and keys of the cache that say nothing."""

from __future__ import annotations

import pytest

from miniagent_store import Key, open_store
from miniagent_store.errors import ConfigurationError, VersionConflictError


async def test_batch_of_a_collection_is_one_commit() -> None:
    async with open_store("memory://") as store:
        values = store.kv("settings")
        await values.set("a", 1)
        async with values.batch() as batch:
            batch.state.set("b", 2)
            batch.state.delete("a")
        assert await values.get_many(["a", "b"]) == {"b": 2}
        with pytest.raises(VersionConflictError):
            async with values.batch() as batch:
                batch.state.set("c", 3)
                batch.state.set("b", 3, if_version=1000)
        assert await values.get_many(["b", "c"]) == {"b": 2}
        with pytest.raises(ConfigurationError, match="shards"):
            async with store.kv("spread", shards=2).batch():
                pass


async def test_key_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", Key.generate().to_text())
    encrypted = "memory://?serializer=msgpack+encrypted&keys=env:SOME_KEYS"
    async with (
        open_store("memory://") as plain,
        open_store("memory://") as other,
        open_store(encrypted) as keyed,
    ):
        key = await plain.cache.key("a", ["b"])
        assert key == await other.cache.key("a", ["b"])
        assert key != await plain.cache.key("a", "b")
        assert key != await keyed.cache.key("a", ["b"])
        await keyed.cache.set(await keyed.cache.key("a"), 1)
        assert await keyed.cache.get(await keyed.cache.key("a")) == 1
