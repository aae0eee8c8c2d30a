"""A tenant's store, with any id, pattern, cursor, position or commit id of another, sees nothing of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from miniagent_store import SessionStore
from tests.tenants import memory_attempts  # noqa: F401 - adds its attempts
from tests.tenants.attempts import ATTEMPTS, HANDLES, NOT_DATA, World, all_attempts, public_names
from tests.tenants.conftest import KEYRING, Place

Pair = Callable[[SessionStore], tuple[SessionStore, SessionStore]]

# Of the store of a place without a namespace.
PAIRS: dict[str, Pair] = {
    "two tenants": lambda root: (root.tenant("acme"), root.tenant("globex")),
    "a name that another begins with": lambda root: (root.tenant("a"), root.tenant("ab")),
    "that and the other way round": lambda root: (root.tenant("a_b"), root.tenant("a")),
    "a name with a sign": lambda root: (root.tenant("a-b"), root.tenant("a")),
    "tenants of a tenant": lambda root: (root.tenant("a").tenant("b"), root.tenant("a").tenant("c")),
    "the same name in two tenants": lambda root: (
        root.tenant("a").tenant("x"),
        root.tenant("b").tenant("x"),
    ),
    "a tenant for its parent's": lambda root: (root.tenant("a").tenant("b"), root.tenant("a")),
    "a parent for its tenant's": lambda root: (root.tenant("a"), root.tenant("a").tenant("b")),
    "a tenant for what has no namespace": lambda root: (root.tenant("a"), root),
    "what has no namespace for a tenant": lambda root: (root, root.tenant("a")),
    "names that are prefixes of keys": lambda root: (root.tenant("session"), root.tenant("thread")),
}
SERIALIZERS = {
    "plain": {},
    "encrypted": {"serializer": "msgpack+encrypted", "keyring": KEYRING},
    "shredded": {"serializer": "msgpack+encrypted", "keyring": KEYRING, "shred": True},
}
BY_DEFAULT = {
    "plain": {
        "two tenants",
        "a name that another begins with",
        "a tenant for its parent's",
        "what has no namespace for a tenant",
    },
    "encrypted": {"a parent for its tenant's"},
    "shredded": {"two tenants"},
}


def cases() -> list[Any]:
    return [
        pytest.param(pair, serializer, marks=() if pair in BY_DEFAULT[serializer] else pytest.mark.slow)
        for serializer in SERIALIZERS
        for pair in PAIRS
    ]


def test_every_public_method_is_tried() -> None:
    tried = set(ATTEMPTS) | set(NOT_DATA)

    assert public_names() - tried == set(), "write an attempt for these in attempts.py"
    assert tried - public_names() == set()
    assert all(hasattr(SessionStore, handle) for handle in HANDLES)


@pytest.mark.parametrize(("pair", "serializer"), cases())
async def test_nothing_is_seen(place: Place, pair: str, serializer: str) -> None:
    failures: list[str] = []
    async with place.store(**SERIALIZERS[serializer]) as root:
        mine, theirs = PAIRS[pair](root)
        for attempt in all_attempts():
            world = World(mine, theirs)
            await world.fill()
            before = await world.theirs_now()
            try:
                await attempt(world)
                if world.session is not None:
                    assert await world.theirs_now() == before
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all are told together
                failures.append(f"{attempt.__name__}: {error!r}")
    assert failures == []


@pytest.mark.parametrize("name", ["a*", "*", "a?", "[ab]", "a/b", "a.b", "", "a{b}", "ä", "a" * 65, " a"])
async def test_names_that_could_be_patterns_or_paths_are_refused(name: str) -> None:
    from miniagent_store import InvalidArgumentError, open_store

    async with open_store("memory://") as store:
        with pytest.raises(InvalidArgumentError):
            store.tenant(name)
        with pytest.raises(InvalidArgumentError):
            await store.delete_tenant(name)


async def test_stores_with_a_namespace_and_views_are_the_same(place: Place) -> None:
    if place.url.startswith("dict"):
        pytest.skip("each store on this URL has its own sessions")
    name = uuid.uuid4().hex
    async with AsyncExitStack() as stack:
        root = await stack.enter_async_context(place.store())
        opened = await stack.enter_async_context(place.store(namespace=name))
        nested = opened.tenant("x")

        await opened.create("s", metadata={"by": "opened"})
        await root.tenant(name).tenant("x").create("s", metadata={"by": "view"})

        assert (await root.tenant(name).get("s")).metadata == {"by": "opened"}
        assert (await nested.get("s")).metadata == {"by": "view"}
        assert await root.tenants() == [name]
        assert await opened.tenants() == ["x"]
