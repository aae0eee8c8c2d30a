"""Deleting a tenant: all of it, nothing of any other, with progress, and again after a crash."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from miniagent_store import (
    BackendUnavailableError,
    InvalidArgumentError,
    Message,
    SessionDamagedError,
    SessionNotFoundError,
    SessionStore,
    TenantDeletion,
    TenantInUseError,
    TenantLimits,
    open_store,
)
from miniagent_store.backend import StageWrite, StoredEntry
from miniagent_store.testing import backend_of
from tests.tenants.conftest import KEYRING, Place

STAGE_MS = 600_000


async def fill(store: SessionStore, *, sessions: int, cached: int) -> None:
    """Something of everything that a store can hold."""
    names = [f"s{number}" for number in range(sessions)]
    for start in range(0, sessions, 50):
        await asyncio.gather(*(make(store, name) for name in names[start : start + 50]))
    for start in range(0, cached, 1000):
        await store.cache.set_many(
            {f"k{number}": number for number in range(start, min(start + 1000, cached))}
        )
    await store.kv("settings", shards=3).set_many({f"n{number}": number for number in range(20)})
    await store.user("ada").set("mood", "good")
    for algorithm in ("fixed", "sliding", "bucket"):
        await store.rate_limit("key", 5, 600, algorithm=algorithm)
    async with store.lock("lock"), store.turn("s0") as turn:
        turn.append(Message.user("in a turn"))
    await store.fork("s0", new_id="fork")
    await store.delete("s1")
    await store.create("expiring", ttl=0.01)
    backend = backend_of(store)
    await backend.changes(None, 1)
    staged = StoredEntry(1, 1, b"twelve bytes", 1_000, b"payload")
    await backend.stage(StageWrite("staged", "stage", (("messages", (staged,)),), ttl_ms=STAGE_MS))


async def make(store: SessionStore, name: str) -> None:
    await store.create(name, user_id=f"user-{name}", agent="helper", tags=["all", name])
    async with store.batch(name) as batch:
        batch.append(Message.user("hello", id="m1"))
        batch.append({"type": "event"}, log="events")
        batch.append({"type": "other"}, log="others")
        batch.state.set("value", name)
        batch.state.add("counter", 1)


async def test_all_of_a_tenant_goes_and_nothing_of_any_other(place: Place) -> None:
    cached = 10_000 if place.path is None else 2_000
    async with place.store() as store:
        neighbours = {
            "acm": store.tenant("acm"),
            "acmee": store.tenant("acmee"),
            "acme.eu": store.tenant("acme").tenant("eu"),
        }
        for each in (store, *neighbours.values()):
            await fill(each, sessions=3, cached=3)
        await asyncio.sleep(0.05)
        before, total = {name: place.bytes_of(store, name) for name in neighbours}, place.count(store)
        acme = store.tenant("acme")
        await fill(acme, sessions=60 if "document" not in place.url else 20, cached=cached)
        told: list[TenantDeletion] = []

        deletion = await store.delete_tenant("acme", progress=told.append)

        assert deletion.tenants == ("acme",)
        assert deletion.items >= cached
        assert told[-1].items == deletion.items
        assert len(told) > 5 or place.url.startswith("memory")
        assert [each.items for each in told] == sorted(each.items for each in told)
        assert place.count(store) == total
        for name, bytes_before in before.items():
            assert len(bytes_before) > 10
            assert place.bytes_of(store, name) == bytes_before
        assert (await acme.list()).items == []
        assert sum((await acme.stats()).sessions.values()) == 0
        assert "acme" in await store.tenants()  # because of its own tenant
        assert (await store.delete_tenant("acme")).items == 0


async def test_nested_tenants_go_when_asked_for(place: Place) -> None:
    async with place.store() as store:
        await fill(store.tenant("b"), sessions=2, cached=1)
        await asyncio.sleep(0.05)
        total = place.count(store)
        acme = store.tenant("acme")
        for each in (acme, acme.tenant("eu"), acme.tenant("us").tenant("east")):
            await fill(each, sessions=2, cached=1)
        assert await store.tenants() == ["acme", "b"]
        assert await acme.tenants() == ["eu", "us"]

        deletion = await store.delete_tenant("acme", nested=True)

        assert deletion.tenants == ("acme", "acme.eu", "acme.us.east")
        assert place.count(store) == total
        assert await store.tenants() == ["b"]


async def test_what_is_written_meanwhile_and_afterwards(place: Place) -> None:
    async with place.store() as store:
        acme = store.tenant("acme")
        await fill(acme, sessions=30, cached=500)
        stop = False

        async def write() -> None:
            while not stop:
                # On Redis a commit may find that parts of its session are gone already.
                with contextlib.suppress(SessionNotFoundError, SessionDamagedError):
                    await acme.append("late", Message.user("x"), create=True)
                    await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        # Where a session is many keys, it is only said that somebody writes.
        with contextlib.suppress(TenantInUseError):
            await store.delete_tenant("acme")
        stop = True
        await writing
        await store.delete_tenant("acme")
        assert (await acme.list()).items == []

        # A view that is still open makes new data.
        await acme.append("new", Message.user("x"), create=True)
        await acme.kv("settings").set("n", 1)
        assert await store.tenants() == ["acme"]
        assert [each.id for each in (await acme.list()).items] == ["new"]


@pytest.mark.parametrize("serializer", ["shredded"])
async def test_data_keys_that_went_are_made_anew(place: Place, serializer: str) -> None:
    options = {"serializer": "msgpack+encrypted", "keyring": KEYRING, "shred": True}
    async with place.store(**options) as store:
        acme = store.tenant("acme")
        for _ in range(2):
            await acme.append("s", Message.user("x"), create=True)
            await acme.cache.set("k", "v")
            await acme.kv("settings").set("n", 1)
            assert await acme.cache.get("k") == "v"
            await store.delete_tenant("acme")
        await acme.cache.set("k", "v")
        await acme.kv("settings").set("n", 1)
        await acme.append("s", Message.user("x"), create=True)

    if backend_of(store).capabilities.shared:
        async with place.store(**options) as store:
            acme = store.tenant("acme")
            assert await acme.cache.get("k") == "v"
            assert await acme.kv("settings").get("n") == 1
            assert len(await acme.history("s")) == 1


async def test_cut_short_it_is_finished_by_calling_it_again(place: Place) -> None:
    if place.url.startswith("memory"):
        pytest.skip("it is one step")
    async with place.store() as store:
        await fill(store.tenant("b"), sessions=2, cached=1)
        await asyncio.sleep(0.05)
        total = place.count(store)
        await fill(store.tenant("acme"), sessions=30, cached=3000)

        class CutError(Exception):
            pass

        def cut(so_far: TenantDeletion) -> None:
            if so_far.items > 20:
                raise CutError

        with pytest.raises(CutError):
            await store.delete_tenant("acme", progress=cut)
        assert place.count(store) > total

        assert (await store.delete_tenant("acme")).items > 0
        assert place.count(store) == total


async def test_a_server_that_is_away_is_said(place: Place) -> None:
    if place.url.startswith(("memory", "dict", "sqlite")):
        pytest.skip("there is no server")
    store = place.store()
    await store.tenant("acme").create("s")
    for server in place.servers:
        server.command("CLIENT", "PAUSE", 1)
    await store.delete_tenant("acme")
    await store.close()
    with pytest.raises(BackendUnavailableError):
        await open_store("redis://127.0.0.1:1").delete_tenant("acme")


async def test_commits_go_through_while_a_big_tenant_is_deleted(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/big.db", synchronous="OFF") as store:
        acme = store.tenant("acme")
        for number in range(30):
            await acme.append(f"s{number}", *[Message.user("x" * 100)] * 500, create=True)
        await store.create("s")
        slowest = 0.0
        deleting = asyncio.create_task(store.delete_tenant("acme"))
        loop = asyncio.get_running_loop()
        count = 0
        while not deleting.done():
            started = loop.time()
            await store.append("s", Message.user("meanwhile"))
            slowest, count = max(slowest, loop.time() - started), count + 1
        assert (await deleting).sessions == 30
        assert count > 3
        assert slowest < 2


async def test_the_empty_namespace_is_never_erased(place: Place) -> None:
    async with place.store() as store:
        await store.create("s")
        with pytest.raises(InvalidArgumentError):
            await backend_of(store).erase(None, 10)
        with pytest.raises(InvalidArgumentError):
            await store.delete_tenant("")
        assert (await store.get("s")).id == "s"


async def test_foreign_keys_are_nobodys_tenants(place: Place) -> None:
    if not place.servers:
        pytest.skip("nobody else is there")
    async with place.store() as store:
        await store.append("other/session:x", Message.user("x"), create=True)
        await store.tenant("acme").create("s")
        for server in place.servers:
            with contextlib.suppress(Exception):
                server.command("SET", "web/page", "1")
                server.command("SET", "web:cache/session:1", "1")
        assert await store.tenants() == ["acme"]


async def test_prefixes_that_could_begin_a_tenant_are_refused() -> None:
    from miniagent_store import ConfigurationError

    for prefix in ("acme", "acme/", "a.b/c:"):
        store = open_store("redis://127.0.0.1:1", session_prefix=prefix)
        with pytest.raises(ConfigurationError, match="could begin the namespace of a tenant"):
            store.tenant("acme")
        # Inside a namespace they cannot.
        open_store("redis://127.0.0.1:1", session_prefix=prefix, namespace="n").tenant("acme")


def test_it_travels_as_plain_values() -> None:
    deletion = TenantDeletion(("a",), {"sessions": 2, "cache": 3})
    assert (deletion.sessions, deletion.items) == (2, 5)
    assert deletion.to_dict() == {
        "tenants": ["a"],
        "sessions": 2,
        "removed": {"sessions": 2, "cache": 3},
    }


async def test_usage_is_counted_by_tenant_and_goes_with_it(place: Place) -> None:
    async with place.store(analytics=True) as store:
        limits = TenantLimits(commits=(3, 600), sessions=1)
        acme, globex = store.tenant("acme", limits=limits), store.tenant("globex")
        for _ in range(3):
            await acme.append("s", Message.user("x"), create=True)
        await globex.append("s", Message.user("x"), create=True)

        # No limit keeps it out.
        assert (await acme.usage()).total.messages == 3
        assert (await globex.usage()).total.messages == 1
        assert (await store.usage()).rows == ()

        await globex.append("s", Message.user("y"))
        await store.delete_tenant("globex")
        assert (await globex.usage()).rows == ()
        assert await store.tenants() == ["acme"]
    if place.path is not None or place.servers:
        async with place.store(analytics=True) as store:
            assert (await store.tenant("acme").usage()).total.messages == 3


async def test_what_is_cached_elsewhere_goes_too(tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/cache.db"
    async with open_store(f"sqlite:///{tmp_path}/store.db", cache_url=elsewhere) as store:
        for name in ("acme", "b"):
            await store.tenant(name).create("s")
            await store.tenant(name).cache.set("k", name)

        deletion = await store.delete_tenant("acme")

        assert (deletion.sessions, deletion.items) == (1, 2)
        assert await store.tenant("acme").cache.get("k") is None
        assert await store.tenant("b").cache.get("k") == "b"


async def test_counts_of_a_file_go_with_a_tenant(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/counts.db") as store:
        acme, globex = store.tenant("acme"), store.tenant("globex")
        for each in (acme, globex):
            for name in ("s", "t"):
                await each.create(name, user_id="ada", agent="helper")
        held = (await globex.stats()).to_dict()

        # In one transaction: what was deleted is counted after all else is gone.
        await asyncio.gather(acme.delete("s"), store.delete_tenant("acme"), globex.append("s"))

        assert sum((await acme.stats()).sessions.values()) == 0
        await acme.create("new", user_id="ada", agent="helper")
        stats = await acme.stats()
        assert (stats.sessions, stats.users, stats.agents) == ({"session": 1}, 1, {"helper": 1})
        assert (await globex.stats()).to_dict() == held
