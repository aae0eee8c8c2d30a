"""Promises of tenants: views that share connections and nothing else, and their deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from miniagent_store.backend import Backend
from miniagent_store.errors import (
    ConfigurationError,
    InvalidArgumentError,
    SessionNotFoundError,
    StoreClosedError,
    TenantLimitError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.tenant_limits import TenantLimits
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    OpenHere,
    eventually,
    say,
    soon,
    texts,
)
from miniagent_store.values import Message

T = TypeVar("T")


async def nudged(heard: asyncio.Future[T], nudge: Callable[[], Awaitable[object]]) -> T:
    """What is heard, after as many nudges as it takes: who listens may have begun late."""

    async def done() -> bool:
        if not heard.done():
            await nudge()
            await asyncio.wait([heard], timeout=0.2)
        return heard.done()

    await eventually(done)
    return heard.result()


class TenantPromises(ConformanceBase):
    """Each tenant is a store of its own."""

    async def test_a_tenant_sees_its_own_only(self, store: SessionStore) -> None:
        views = [store, store.tenant("a"), store.tenant("ab"), store.tenant("a").tenant("b")]
        for number, each in enumerate(views):
            await each.create("s", user_id="ada", agent="helper", tags=["t"], metadata={"n": number})
            await say(each, "s", str(number))
            await each.state("s").set("value", number)
            await each.kv("settings").set("value", number)
            await each.user("ada").set("value", number)
            await each.cache.set("key", number)
            assert (await each.rate_limit("key", 1, 600)).allowed

        for number, each in enumerate(views):
            assert (await each.get("s")).metadata == {"n": number}
            assert await texts(each, "s") == [str(number)]
            assert await each.state("s").get("value") == number
            assert await each.kv("settings").get("value") == number
            assert await each.user("ada").get("value") == number
            assert await each.cache.get("key") == number
            for page in (
                await each.list(),
                await each.list(user_id="ada"),
                await each.list(agent="helper"),
                await each.list(tags=["t"]),
            ):
                assert len(page.items) == 1
            assert (await each.stats()).sessions["session"] == 1

        assert await views[1].cache.clear() == 1
        assert await views[1].delete("s")
        for each in (views[0], *views[2:]):
            assert (await each.get("s")).message_count == 1
            assert await each.cache.get("key") is not None

    async def test_tenants_do_not_wait_for_each_other(self, store: SessionStore) -> None:
        one, other = store.tenant("a"), store.tenant("b")
        async with one.lock("lock", wait=0), other.lock("lock", wait=0), store.lock("lock", wait=0):
            pass
        async with (
            one.turn("s", wait=0, create=True) as turn,
            other.turn("s", wait=0, create=True) as beside,
        ):
            turn.append(Message.user("1"))
            beside.append(Message.user("2"))
        assert (await texts(one, "s"), await texts(other, "s")) == (["1"], ["2"])

    async def test_tenants_do_not_hear_each_other(self, store: SessionStore) -> None:
        one, other = store.tenant("a"), store.tenant("b")
        here = (await one.create("s")).position
        await other.create("s")
        session, everything = one.watch("s", after=here), one.watch()
        heard = [asyncio.ensure_future(anext(each)) for each in (session, everything)]
        await asyncio.sleep(0.05)
        await say(other, "s", "not for you")
        await other.create("more")
        await asyncio.sleep(0.05)
        await say(one, "s", "for you")

        first = await soon(heard[0])
        second = await nudged(heard[1], lambda: say(one, "s", "for you too"))

        assert [entry.value["content"] for entry in first.entries] == ["for you"]
        assert second.session_id == "s"
        for each in (session, everything):
            await each.aclose()  # type: ignore[attr-defined]

    async def test_closing_a_tenants_view_closes_nothing_else(self, store: SessionStore) -> None:
        view, neighbour = store.tenant("a"), store.tenant("b")
        await view.create("s")
        await neighbour.create("s")
        ended = asyncio.ensure_future(anext(view.watch()))
        await asyncio.sleep(0.05)

        await view.close()

        with pytest.raises(StoreClosedError):
            await soon(ended)
        with pytest.raises(StoreClosedError):
            await view.get("s")
        await neighbour.get("s")
        assert (await store.tenant("a").get("s")).id == "s"

    async def test_closing_a_store_closes_the_views_of_its_tenants(self, open_here: OpenHere) -> None:
        store = await open_here()
        view = store.tenant("a").tenant("b")
        await view.create("s")
        ended = asyncio.ensure_future(anext(view.watch("s")))
        await asyncio.sleep(0.05)

        await store.close()

        with pytest.raises(StoreClosedError):
            await soon(ended)
        with pytest.raises(StoreClosedError):
            await view.get("s")

    async def test_other_stores_meet_the_same_tenants(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        await store.tenant("a").create("s")

        assert (await other.tenant("a").get("s")).id == "s"
        with pytest.raises(SessionNotFoundError):
            await other.tenant("b").get("s")

    async def test_limits_of_a_tenant_keep_commits_out(self, store: SessionStore) -> None:
        view = store.tenant("a", limits=TenantLimits(sessions=1, size=1000))
        await say(view, (await view.create("s")).id, "x")

        with pytest.raises(TenantLimitError):
            await view.create("t")
        with pytest.raises(TenantLimitError):
            await say(view, "s", "x" * 1000)
        await view.pop("s")
        assert await view.delete("s")
        await view.create("t")

    async def test_a_tenant_is_deleted_as_a_whole(self, store: SessionStore, backend: Backend) -> None:
        if type(backend).erase is Backend.erase:
            with pytest.raises(ConfigurationError):
                await store.delete_tenant("a")
            pytest.skip("this backend cannot delete a tenant as a whole")
        views = [store, store.tenant("a"), store.tenant("ab"), store.tenant("a").tenant("b")]
        for each in views:
            for name in ("s", "t"):
                await each.create(name, user_id="ada", tags=["t"])
                await say(each, name, "x", "y")
            await each.kv("settings").set("value", 1)
            await each.cache.set_many({f"k{number}": number for number in range(20)})
            await each.rate_limit("key", 5, 600)
            async with each.lock("lock"), each.turn("s") as turn:
                turn.append(Message.user("z"))
        assert await store.tenants() == ["a", "ab"]
        told: list[int] = []

        deletion = await store.delete_tenant("a", progress=lambda so_far: told.append(so_far.items))

        # Two sessions and a collection; one record more where usage is counted.
        assert deletion.sessions >= 3
        assert deletion.tenants[0].split(".")[-1] == "a"
        assert told[-1] == deletion.items >= 23
        gone = views[1]
        assert (await gone.list()).items == []
        assert await gone.kv("settings").scan() == []
        assert await gone.cache.get_many(["k1", "k2"]) == {}
        assert (await gone.rate_limit("key", 1, 600)).allowed
        for each in (views[0], *views[2:]):
            assert len((await each.list(user_id="ada")).items) == 2
            assert len((await each.list(tags=["t"])).items) == 2
            assert await texts(each, "s") == ["x", "y", "z"]
            assert await each.kv("settings").get("value") == 1
            assert len(await each.cache.get_many([f"k{number}" for number in range(20)])) == 20
            assert (await each.rate_limit("key", 5, 600)).remaining == 3

        assert (await store.delete_tenant("a", nested=True)).sessions > 0
        assert await store.tenants() == ["ab"]
        # What is written afterwards is new.
        await say(gone, (await gone.create("s")).id, "again")
        assert await texts(gone, "s") == ["again"]

    async def test_names_that_no_tenant_can_have_are_refused(self, store: SessionStore) -> None:
        for name in ("", "*", "a.b", "a/b", "a{", "a" * 65):
            with pytest.raises(InvalidArgumentError):
                store.tenant(name)
            with pytest.raises(InvalidArgumentError):
                await store.delete_tenant(name)
