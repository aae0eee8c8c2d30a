"""What LangGraph's store does beyond its framework's own tests."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp

from miniagent_store import open_store
from miniagent_store.errors import InvalidArgumentError, SerializationError
from miniagent_store.integrations.langgraph.items import StoredItem
from miniagent_store.integrations.langgraph.places import PAGE, Places, name_of
from miniagent_store.integrations.langgraph.store import MiniAgentStore, _renew


async def test_any_text_is_a_label_or_a_key(url: str) -> None:
    store = MiniAgentStore(url)
    names = [
        (("a/b", "{c}"), "k"),
        (("a",), "b/{c}"),
        (("a/b",), ""),
        (("%", "\n"), "%"),
        (("é", "*"), "日本"),
    ]
    for number, (namespace, key) in enumerate(names):
        await store.aput(namespace, key, {"number": number})
    for number, (namespace, key) in enumerate(names):
        item = await store.aget(namespace, key)
        assert item is not None
        assert (item.namespace, item.key, item.value) == (namespace, key, {"number": number})
    found = await store.asearch((), limit=100)
    assert sorted((item.namespace, item.key) for item in found) == sorted(names)
    assert await store.alist_namespaces() == sorted(namespace for namespace, _ in names)
    await store.handle.aclose()


async def test_newest_first_and_created_once(url: str) -> None:
    store = MiniAgentStore(url)
    for key in "abc":
        await store.aput(("n",), key, {"key": key})
    before = await store.aget(("n",), "a")
    await store.aput(("n",), "a", {"key": "a", "again": True})
    after = await store.aget(("n",), "a")
    assert before is not None
    assert after is not None
    assert (after.created_at, after.updated_at > before.updated_at) == (before.created_at, True)
    assert after.updated_at.utcoffset() == timedelta(0)
    assert [item.key for item in await store.asearch(("n",))] == ["a", "c", "b"]
    assert [item.key for item in await store.asearch(("n",), limit=1, offset=1)] == ["c"]
    await store.handle.aclose()


async def test_reads_of_a_batch_come_before_its_writes(url: str) -> None:
    store = MiniAgentStore(url)
    await store.aput(("n", "m"), "k", {"v": 1})
    results = await store.abatch(
        [
            PutOp(("n", "m"), "k", {"v": 2}),
            GetOp(("n", "m"), "k"),
            PutOp(("n", "m"), "k", {"v": 3}),
            PutOp(("n", "other"), "k", {"v": 4}),
            PutOp(("n", "other"), "k", None),
            SearchOp(("n",)),
        ]
    )
    assert results[1].value == {"v": 1}  # type: ignore[union-attr]
    assert [item.value for item in results[5]] == [{"v": 1}]  # type: ignore[union-attr]
    assert [item.value for item in await store.asearch(("n",))] == [{"v": 3}]
    await store.handle.aclose()


async def test_namespaces_of_many_items(url: str) -> None:
    store = MiniAgentStore(url)
    many = [PutOp(("big", "one"), f"{number:04}", {"number": number}) for number in range(PAGE + 20)]
    few = [("big",), ("big", "one", "below"), ("big", "onerous"), ("big", "one ")]
    many += [PutOp(namespace, "k", {"number": -1}) for namespace in few]
    await store.abatch(many)
    assert await store.alist_namespaces(prefix=("big",)) == sorted({op.namespace for op in many})
    assert len(await store.asearch(("big", "one"), limit=10_000)) == PAGE + 21
    assert (
        len(await store.asearch(("big", "one"), limit=10_000, filter={"number": {"$gte": 5}})) == PAGE + 15
    )
    await store.handle.aclose()


async def test_a_read_renews_and_a_write_counts_more(url: str) -> None:
    store = MiniAgentStore(url, ttl={"default_ttl": 1.2 / 60, "refresh_on_read": True})
    await store.aput(("n", "read"), "k", {"v": 1})
    await store.aput(("n", "left"), "k", {"v": 1})
    await store.aput(("n", "kept"), "k", {"v": 1}, ttl=None)
    for _ in range(4):
        await asyncio.sleep(0.4)
        assert await store.aget(("n", "read"), "k") is not None
    assert [item.namespace[1] for item in await store.asearch(("n",))] == ["kept", "read"]
    assert await store.alist_namespaces() == [("n", "kept"), ("n", "read")]
    with pytest.raises(InvalidArgumentError, match="above zero"):
        await store.aput(("n",), "k", {}, ttl=0)
    await store.handle.aclose()


async def test_what_was_changed_meanwhile_is_not_renewed(url: str) -> None:
    # A read that renews must not bring back what another writer has just replaced or removed.
    async with open_store(url) as opened:
        store = MiniAgentStore(opened)
        await store.abatch([PutOp(("n", "m"), key, {"v": 1}, ttl=1) for key in "abc"])
        collection = Places(opened, "default").of(("n", "m"))
        read = [StoredItem.read(await collection.item(name_of(("n", "m"), key))) for key in "abc"]  # type: ignore[arg-type]
        await store.aput(("n", "m"), "a", {"v": 2})
        await store.adelete(("n", "m"), "b")
        await _renew(collection, read)
        assert [(item.key, item.value) for item in await store.asearch(("n", "m"))] == [
            ("a", {"v": 2}),
            ("c", {"v": 1}),
        ]


@pytest.mark.parametrize("label", ["", "a.b", "\0", 3])
async def test_labels_that_langgraph_refuses(label: str) -> None:
    store = MiniAgentStore("memory://")
    for op in (GetOp((label,), "k"), SearchOp((label,)), PutOp((label,), "k", {})):
        with pytest.raises(InvalidNamespaceError):
            await store.abatch([op])
    await store.handle.aclose()


async def test_errors_quote_no_payload() -> None:
    store = MiniAgentStore("memory://")
    with pytest.raises(SerializationError) as caught:
        await store.aput(("n",), "k", {"word": "canary", "other": object()})
    assert "canary" not in str(caught.value)
    with pytest.raises(ValueError, match="operator"):
        await store.aput(("n",), "k", {"v": 1})
        await store.asearch(("n",), filter={"v": {"$like": 1}})
    await store.handle.aclose()
