"""Views of tenants: cheap, shared, and ended with their store."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from miniagent_store import (
    ConfigurationError,
    CryptoError,
    DecodeError,
    Key,
    Keyring,
    Message,
    SessionNotFoundError,
    SessionStore,
    StoreClosedError,
    TenantDeletion,
    open_store,
    open_store_sync,
)
from miniagent_store.backend import Backend, BackendOptions, Capabilities
from miniagent_store.document_backend import DocumentBackend
from miniagent_store.hookspecs import BackendFactory, hookimpl
from miniagent_store.ids import MAX_NAMESPACE
from miniagent_store.provider import Provider
from miniagent_store.store.tenants import KNOWN_TENANTS
from miniagent_store.testing import backend_of, eventually
from miniagent_store.testing.conformance.base import soon
from miniagent_store.url import StoreURL
from tests.tenants.conftest import KEYRING, Place

T = TypeVar("T")


async def test_asked_for_in_the_same_way_it_is_the_same_view() -> None:
    async with open_store("memory://") as store:
        view = store.tenant("a")

        assert store.tenant("a") is view
        assert store.tenant("a", ttl="1h") is store.tenant("a", ttl=3600)
        assert store.tenant("a", ttl="1h") is not view
        assert store.tenant("b") is not view
        assert view.tenant("a") is view.tenant("a")
        assert view.tenant("a") is not view
        assert view.types is store.types
        assert view.url == "memory://?namespace=a"


async def test_few_views_are_remembered_and_all_go_on() -> None:
    async with open_store("memory://") as store:
        first = store.tenant("first")
        await first.create("s")
        for number in range(KNOWN_TENANTS):
            store.tenant(f"n{number}")

        assert store.tenant("first") is not first
        assert await store.tenant("first").get("s") == await first.get("s")


async def test_a_view_has_the_options_of_its_store_and_its_own() -> None:
    async with open_store("memory://", ttl="1h", max_message_size=1000) as store:
        assert (await store.tenant("a").create()).ttl == 3600
        assert (await store.tenant("b", ttl="30d").create()).ttl == 30 * 86400
        assert (await store.tenant("b", ttl="30d").tenant("c").create()).ttl == 30 * 86400
        assert (await store.tenant("d", ttl="never").create()).ttl is None

        for wrong, told in {"tlt": "did you mean 'ttl'", "namespace": "the same", "db": "unknown"}.items():
            with pytest.raises(ConfigurationError, match=told):
                store.tenant("e", **{wrong: "1"})
        with pytest.raises(ConfigurationError, match="max_session_size"):
            store.tenant("e", max_session_size="much")


async def test_names_that_are_too_long_together_are_refused() -> None:
    from miniagent_store import InvalidArgumentError

    async with open_store("memory://") as store:
        view: SessionStore = store
        with pytest.raises(InvalidArgumentError, match=f"{MAX_NAMESPACE} may be"):
            for _ in range(10):
                view = view.tenant("a" * 64)


async def test_no_io_before_the_first_call(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/later.db")
    view = store.tenant("a").tenant("b")

    assert [*tmp_path.iterdir()] == []
    await view.create("s")
    assert await view.count("s") == 0
    await store.close()


async def test_a_view_ends_with_its_store(place: Place) -> None:
    async with place.store() as store:
        view = store.tenant("a")
        nested = view.tenant("b")
        await nested.create("s")
        watching = asyncio.create_task(anext(view.watch()))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)

    with pytest.raises(StoreClosedError):
        await soon(watching, within=4)
    for each in (view, nested):
        with pytest.raises(StoreClosedError):
            await each.get("s")
        with pytest.raises(StoreClosedError):
            each.tenant("c")
    with pytest.raises(StoreClosedError):
        store.tenant("a")


async def test_closing_a_view_ends_what_is_its_own(place: Place) -> None:
    async with place.store() as store:
        view, neighbour = store.tenant("a"), store.tenant("b")
        for each in (view, store):
            await each.create("s")
        here = (await neighbour.create("s")).position
        nested = view.tenant("x")
        watchers = [view.watch("s"), view.watch(), nested.watch()]
        ended = [asyncio.create_task(anext(each)) for each in watchers]  # type: ignore[arg-type]
        going_on = asyncio.create_task(anext(neighbour.watch("s", after=here)))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)

        await view.close()
        await view.close()

        for task in ended:
            with pytest.raises(StoreClosedError):
                await soon(task, within=4)
        for closed in (view, nested):
            with pytest.raises(StoreClosedError):
                await closed.list()
        await neighbour.append("s", Message.user("heard"))
        assert (await soon(going_on)).entries[0].message.content == "heard"
        await store.get("s")
        again = store.tenant("a")
        assert again is not view
        assert (await again.get("s")).id == "s"


async def test_leaving_a_block_closes_nothing_of_others() -> None:
    async with open_store("memory://") as store:
        held = store.tenant("a")
        async with store.tenant("a") as view:
            assert view is held
        await held.create("s")


async def test_views_of_one_tenant_wake_each_other(place: Place) -> None:
    async with place.store() as store:
        one, other = store.tenant("a"), store.tenant("a", ttl="1h")
        here = (await one.create("s")).position
        watching = asyncio.create_task(anext(other.watch("s", after=here)))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await one.append("s", Message.user("x"))
        await soon(watching)
        assert time.monotonic() - started < 4


async def test_views_of_stores_elsewhere_wake_each_other(place: Place) -> None:
    if place.url.startswith("dict"):
        pytest.skip("each store on this URL has its own sessions")
    async with place.store() as here, place.store() as elsewhere:
        one, other = here.tenant("a"), elsewhere.tenant("a")
        position = (await one.create("s")).position
        watching = asyncio.create_task(anext(other.watch("s", after=position)))  # type: ignore[arg-type]
        async with one.lock("l"), one.turn("s"):
            locking = asyncio.create_task(take(other, "l"))
            turning = asyncio.create_task(turn(other, "s"))
            await asyncio.sleep(0.2)
            await one.append("s", Message.user("x"))
            assert (await soon(watching, within=4)).type == "appended"
            started = time.monotonic()
        await soon(locking)
        await soon(turning)
        # Sooner than whoever looks by himself would have seen it.
        assert time.monotonic() - started < 3


async def take(store: SessionStore, name: str) -> None:
    async with store.lock(name):
        pass


async def turn(store: SessionStore, name: str) -> None:
    async with store.turn(name):
        pass


async def test_a_hundred_tenants_at_work_need_no_connection_more(place: Place) -> None:
    if not place.servers:
        pytest.skip("there are no connections")

    def connections() -> int:
        lists = (server.command("CLIENT", "LIST") for server in place.servers)
        clients = [line for each in lists for line in each.split(b"\n")]
        return sum(1 for line in clients if b"addr=" in line and b"flags=S" not in line)

    async def work(store: SessionStore, number: int) -> None:
        name = f"s{number}"
        async with store.turn(name, create=True) as turn:
            turn.append(Message.user("x"))
        watcher = store.watch(name, after=turn.result.session.position)
        heard = asyncio.create_task(anext(watcher))  # type: ignore[arg-type]
        async with store.lock(name):
            await store.cache.set("k", 1)
            await asyncio.sleep(0.1)
            await store.append(name, Message.user("y"))
        assert (await soon(heard)).type == "appended"
        assert len(await store.history(name)) == 2
        held.append(watcher)

    held: list[object] = []
    async with place.store() as store:
        await asyncio.gather(*(work(store, number) for number in range(100)))
        alone = connections()
    async with place.store() as store:
        await asyncio.gather(*(work(store.tenant(f"t{number}"), number) for number in range(100)))
        # Those of the store before may not all be gone.
        await eventually(lambda: connections() <= alone)


async def test_a_hundred_tenants_at_work_need_no_thread_more(tmp_path: Path) -> None:
    async def work(store: SessionStore) -> None:
        await store.append("s", Message.user("x"), create=True)
        assert len(await store.history("s")) == 1

    async with open_store(f"sqlite:///{tmp_path}/threads.db") as store:
        await work(store)
        alone = threading.active_count()
        await asyncio.gather(*(work(store.tenant(f"t{number}")) for number in range(100)))
        assert threading.active_count() == alone
        transactions = backend_of(store).transactions  # type: ignore[attr-defined]
        # Of all tenants: a hundred commits are no hundred transactions.
        assert transactions < 60


async def test_a_tenants_own_keys_shred_it(place: Place) -> None:
    own = Keyring([Key.generate("acme")])
    encrypted = {"serializer": "msgpack+encrypted", "keyring": KEYRING}
    async with place.store(**encrypted) as store:
        view = store.tenant("acme", keyring=own)
        await view.append("s", Message.user("secret"), create=True)
        await view.cache.set("k", "secret")
        assert await view.tenant("nested").tenant("deeper").list() == await store.tenant("x").list()
        await store.append("s", Message.user("of the store"), create=True)

        # Without them it is nothing but bytes.
        with pytest.raises(CryptoError):
            await store.tenant("acme").history("s")
        with pytest.raises(CryptoError):
            await store.tenant("acme").cache.get("k")
        assert len(await store.history("s")) == 1
        assert (await store.delete_tenant("acme")).sessions == 1


async def test_a_view_of_a_plain_store_may_encrypt() -> None:
    async with open_store("memory://") as store:
        with pytest.raises(ConfigurationError, match="would not be used"):
            store.tenant("a", keyring=KEYRING)
        view = store.tenant("a", serializer="msgpack+encrypted", keyring=KEYRING)
        await view.append("s", Message.user("secret"), create=True)
        assert len(await view.history("s")) == 1
        with pytest.raises(DecodeError, match="encrypted"):
            await store.tenant("a").history("s")


def test_views_without_async(tmp_path: Path) -> None:
    told: list[TenantDeletion] = []
    with open_store_sync(f"sqlite:///{tmp_path}/sync.db") as store:
        view = store.tenant("a")
        view.append("s", Message.user("x"), create=True)
        with store.tenant("a") as same:
            assert [each.content for each in same.history("s")] == ["x"]
        with pytest.raises(SessionNotFoundError):
            store.tenant("b").get("s")
        assert store.tenants() == ["a"]
        assert store.delete_tenant("a", progress=told.append).sessions == 1
        assert told[-1].sessions == 1
        assert store.tenants() == []


class PlainBackend(DocumentBackend):
    """One of a plugin that knows nothing of tenants."""

    name = "plain"
    capabilities = Capabilities(durable=False, shared=True)
    documents: dict[str, bytes] = {}  # noqa: RUF012 - all stores see the same
    opened = 0

    def __init__(self, url: StoreURL, options: BackendOptions) -> None:
        super().__init__(options)

    async def open(self) -> None:
        type(self).opened += 1

    async def close(self) -> None:
        await super().close()
        type(self).opened -= 1

    async def transact(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        after, result = change(self.documents.get(key))
        if after is None:
            self.documents.pop(key, None)
        else:
            self.documents[key] = after
        return result

    async def keys(self, prefix: str) -> list[str]:
        return [key for key in self.documents if key.startswith(prefix)]

    within = Backend.within
    erase = Backend.erase
    namespaces = Backend.namespaces


class PlainPlugin:
    @hookimpl
    def provide_backends(self) -> list[Provider[BackendFactory]]:
        return [Provider("plain", lambda: PlainBackend)]


async def test_a_backend_that_knows_no_tenants_is_opened_for_each() -> None:
    async with open_store("plain://", plugins=[PlainPlugin()]) as store:
        for name in ("a", "b"):
            await store.tenant(name).create("s", metadata={"of": name})
        await store.tenant("a").tenant("b").create("s", metadata={"of": "a.b"})
        assert PlainBackend.opened == 4
        assert (await store.tenant("a").get("s")).metadata == {"of": "a"}
        assert (await store.list()).items == []
        with pytest.raises(ConfigurationError, match="cannot delete a tenant"):
            await store.delete_tenant("a")
        with pytest.raises(ConfigurationError, match="cannot say which tenants"):
            await store.tenants()
    await eventually(lambda: PlainBackend.opened == 0)


async def test_closing_a_store_reaches_what_only_its_user_holds() -> None:
    store = open_store("memory://")
    nested = store.tenant("a").tenant("b")
    for number in range(KNOWN_TENANTS):
        store.tenant(f"n{number}")  # the one between is forgotten
    ended = asyncio.create_task(anext(nested.watch()))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    gc.collect()

    await store.close()

    with pytest.raises(StoreClosedError):
        await soon(ended, within=4)
