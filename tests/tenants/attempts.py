"""For each public method of a store: what one tenant tries with what is another's, and does not get.

A method that is added to `SessionStore`, or to one of its handles, belongs in here: decorate an attempt
with `tries`, or say in `NOT_DATA` why there is nothing to try.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from miniagent_store import (
    Message,
    RateLimitedError,
    Session,
    SessionNotFoundError,
    SessionStore,
    VersionConflictError,
)
from miniagent_store.store.cache import Cache
from miniagent_store.store.kv import KeyValue
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.store.state import StateHandle
from miniagent_store.store.usage import KIND as USAGE
from miniagent_store.store.usage import record_id
from miniagent_store.testing import eventually
from miniagent_store.testing.conformance.base import soon
from miniagent_store.testing.conformance.tenants import nudged
from miniagent_store.values import MemorySource

SECRET = "belongs to the other one"
HANDLES: dict[str, type] = {
    "state": StateHandle,
    "kv": KeyValue,
    "user": KeyValue,
    "cache": Cache,
    "memory": MemoryScope,
}
NOT_DATA = {
    "open": "connects",
    "close": "ends a view, see test_views.py",
    "url": "of a view, see test_views.py",
    "types": "classes of the program, the same for all",
    "health": "of the servers",
    "cache.hits": "counts of the view's own",
    "cache.misses": "counts of the view's own",
    "tenant": "makes the views that are tried here",
}


@dataclass
class World:
    """Two stores that must not meet.

    Attributes:
        mine: the one that tries.
        theirs: the one whose things are tried for.
        id: of a session, a user, an agent, a collection, a lock, a key and a tag of theirs.
        session: theirs, as it was made.
        commit_id: one that was used for it.
    """

    mine: SessionStore
    theirs: SessionStore
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    session: Any = None
    commit_id: str = ""

    async def fill(self) -> None:
        theirs, name = self.theirs, self.id
        await theirs.create(name, user_id=name, agent=name, tags=[name], metadata={"m": SECRET})
        self.commit_id = theirs.new_commit_id()
        async with theirs.batch(name, commit_id=self.commit_id) as batch:
            batch.append(Message.user(SECRET, id=f"m-{name}"), Message.assistant(SECRET))
            batch.state.set("value", SECRET)
            batch.state.add("counter", 41)
        for values in (theirs.kv(name), theirs.user(name)):
            await values.set("value", SECRET)
            await values.add("counter", 41)
        await theirs.cache.set_many({name: SECRET, f"{name}-2": SECRET}, namespace=name)
        source = MemorySource(name, 1)
        await theirs.memory(name).add(SECRET, id=name, metadata={"m": SECRET, "n": 1}, source=source)
        self.session = await theirs.get(name)

    async def theirs_now(self) -> Any:
        """All of theirs that an attempt could have changed."""
        theirs, name = self.theirs, self.id
        session = await theirs.get(name)
        return (
            session,
            await theirs.history(name),
            await theirs.state(name).scan(),
            await theirs.kv(name).scan(),
            await theirs.user(name).scan(),
            await theirs.cache.get_many([name, f"{name}-2"], namespace=name),
            await theirs.memory(name).list(),
            [each.id for each in await theirs.memory(name).search(SECRET)],
        )

    async def make_mine(self) -> Session:
        """A session of mine under their id."""
        return await self.mine.append(self.id, Message.user("mine"), create=True)


Attempt = Callable[[World], Awaitable[None]]
ATTEMPTS: dict[str, Attempt] = {}
# By no one name: what is tried besides.
MORE: list[Attempt] = []


def tries(*names: str) -> Callable[[Attempt], Attempt]:
    def decorate(attempt: Attempt) -> Attempt:
        for name in names:
            assert name not in ATTEMPTS, name
            ATTEMPTS[name] = attempt
        return attempt

    return decorate


def public_names() -> set[str]:
    """All that has to be tried."""
    names = {name for name in dir(SessionStore) if not name.startswith("_")} - set(HANDLES)
    for handle, kind in HANDLES.items():
        names |= {f"{handle}.{name}" for name in dir(kind) if not name.startswith("_")}
    return names


def all_attempts() -> list[Attempt]:
    return [*dict.fromkeys(ATTEMPTS.values()), *MORE]


async def not_found(call: Awaitable[Any]) -> None:
    with pytest.raises(SessionNotFoundError) as raised:
        await call
    assert SECRET not in str(raised.value)


# -- sessions ----------------------------------------------------------------------------------------


@tries("create")
async def create(w: World) -> None:
    assert (await w.mine.create(w.id)).metadata == {}
    assert (await w.mine.create(w.id, exist_ok=True)).message_count == 0


@tries("get")
async def get(w: World) -> None:
    await not_found(w.mine.get(w.id))
    await not_found(w.mine.get(w.id, touch=True))


@tries("list")
async def listing(w: World) -> None:
    kinds: list[dict[str, Any]] = [{}, {"user_id": w.id}, {"agent": w.id}, {"tags": [w.id]}, {"kind": "kv"}]
    await w.mine.create(own := f"own-{w.id}", user_id=w.id, agent=w.id, tags=[w.id])
    for filters in kinds:
        mine = [each.id for each in (await w.mine.list(**filters, limit=1000)).items]
        assert w.id not in mine
        assert (own in mine) == (filters != {"kind": "kv"})
        theirs = [each.id for each in (await w.theirs.list(**filters, limit=1000)).items]
        assert own not in theirs
        for order in ("-last_activity", "last_activity"):
            cursor = (await w.theirs.list(**filters, order=order, limit=1)).next_cursor
            if cursor is not None:
                page = await w.mine.list(**filters, order=order, cursor=cursor, limit=1000)
                assert w.id not in [each.id for each in page.items]


@tries("update")
async def update(w: World) -> None:
    await not_found(w.mine.update(w.id, metadata={}, tags=[]))
    await not_found(w.mine.update(w.id, metadata={}, expected_version=w.session))


@tries("touch")
async def touch(w: World) -> None:
    await not_found(w.mine.touch(w.id, ttl=1))


@tries("delete")
async def delete(w: World) -> None:
    assert not await w.mine.delete(w.id)
    await w.make_mine()
    assert await w.mine.delete(w.id)


# -- messages ----------------------------------------------------------------------------------------


@tries("append")
async def append(w: World) -> None:
    await not_found(w.mine.append(w.id, Message.user("x")))
    # Their caller's id says nothing of mine.
    session = await w.mine.append(w.id, Message.user("x", id=f"m-{w.id}"), create=True)
    assert (session.message_count, [each.content for each in await w.mine.history(w.id)]) == (1, ["x"])


@tries("new_commit_id")
async def commit_ids(w: World) -> None:
    session = await w.mine.append(w.id, Message.user("x"), create=True, commit_id=w.commit_id)
    assert session.message_count == 1
    again = await w.mine.append(w.id, Message.user("x"), commit_id=w.commit_id)
    assert again.message_count == 1


@tries("batch")
async def batch(w: World) -> None:
    with pytest.raises(SessionNotFoundError):
        async with w.mine.batch(w.id) as batch:
            batch.append(Message.user("x"))
            batch.state.set("value", "x")
    async with w.mine.batch(w.id, create=True) as batch:
        batch.append(Message.user("x"))
        batch.state.add("counter", 1)
    assert batch.result.counters == (1,)


@tries("turn")
async def turn(w: World) -> None:
    with pytest.raises(SessionNotFoundError):
        async with w.mine.turn(w.id, wait=0):
            pass
    async with w.theirs.turn(w.id, wait=0) as theirs, w.mine.turn(w.id, wait=0, create=True) as mine:
        assert (mine.history, len(theirs.history)) == ([], 2)
        mine.append(Message.user("mine"))


@tries("snapshot")
async def snapshot(w: World) -> None:
    await not_found(w.mine.snapshot(w.id, state=True))
    await w.make_mine()
    snapshot = await w.mine.snapshot(
        w.id, after=w.session.position, state=True, logs=["messages", "events"]
    )
    assert SECRET not in repr(snapshot)


@tries("history", "entries", "inspect", "count", "replay")
async def reading(w: World) -> None:
    await not_found(w.mine.history(w.id))
    await not_found(w.mine.entries(w.id))
    await not_found(w.mine.inspect(w.id, values=9))
    await not_found(w.mine.count(w.id))
    await not_found(anext(w.mine.replay(w.id)))
    await w.make_mine()
    assert [each.content for each in await w.mine.history(w.id)] == ["mine"]
    assert [each.content async for each in w.mine.replay(w.id)] == ["mine"]
    assert await w.mine.count(w.id) == len(await w.mine.entries(w.id)) == 1
    assert len((await w.mine.inspect(w.id)).entries) == 1


@tries("pop", "replace", "redact", "trim", "clear", "rewind")
async def rewriting(w: World) -> None:
    await not_found(w.mine.pop(w.id))
    await not_found(w.mine.replace(w.id, [Message.user("x")]))
    await not_found(w.mine.redact(w.id, 1, reason="test"))
    await not_found(w.mine.trim(w.id, before=2))
    await not_found(w.mine.rewind(w.id, to=0))
    await not_found(w.mine.clear(w.id))
    await w.make_mine()
    assert [each.content for each in await w.mine.pop(w.id)] == ["mine"]
    await w.mine.replace(w.id, [Message.user("x")])
    await w.mine.redact(w.id, 1, reason="test")
    await w.mine.trim(w.id, before=1)
    await w.mine.rewind(w.id, to=1)
    await w.mine.clear(w.id)


@tries("fork")
async def fork(w: World) -> None:
    await not_found(w.mine.fork(w.id, new_id=f"fork-{w.id}"))
    await w.make_mine()
    assert (await w.mine.fork(w.id, new_id=f"fork-{w.id}")).message_count == 1
    await not_found(w.theirs.get(f"fork-{w.id}"))


async def patterns(w: World) -> None:
    """Ids that would be patterns, or places, if anything took them for that."""
    of_theirs = w.theirs.url.partition("namespace=")[2]
    names = ["*", "?" * 16, "[0-9a-f]*", f"{w.id}*", f"../{w.id}", f"{of_theirs}/session:{w.id}"]
    names += [f"{of_theirs}.{w.id}", f"%{w.id}", f"{w.id}%", "_" * 16, f"{w.id}' OR '1'='1", f"{w.id}/"]
    for name in names:
        await not_found(w.mine.get(name))
        assert not await w.mine.delete(name)
        assert w.id not in [each.id for each in (await w.mine.list(user_id=name)).items]
        assert w.id not in [each.id for each in (await w.mine.list(tags=[name])).items]
        assert await w.mine.kv(name).scan() == []
        assert await w.mine.cache.get_many([name, w.id], namespace=name) == {}
        assert await w.mine.cache.clear(name) == 0
        async with w.theirs.lock(w.id, wait=0), w.mine.lock(name, wait=0):
            pass


async def positions(w: World) -> None:
    """What theirs is at is nothing that mine could be at."""
    await w.make_mine()
    position = w.session.position
    with pytest.raises(VersionConflictError):
        await w.mine.history(w.id, after=position)
    with pytest.raises(VersionConflictError):
        await w.mine.append(w.id, Message.user("x"), expected_version=w.session)
    with pytest.raises(VersionConflictError):
        await w.mine.replace(w.id, [Message.user("x")], expected_tail=position)
    assert [each.content for each in await w.mine.history(w.id)] == ["mine"]


MORE += [patterns, positions]

# -- values ------------------------------------------------------------------------------------------


@tries("state.get", "state.item", "state.get_many", "state.scan")
async def state_read(w: World) -> None:
    state = w.mine.state(w.id)
    for call in (state.get("value"), state.item("value"), state.get_many(["value"]), state.scan()):
        await not_found(call)
    await w.make_mine()
    assert (await state.get("value"), await state.item("value")) == (None, None)
    assert (await state.get_many(["value", "counter"]), await state.scan()) == ({}, [])


@tries("state.set", "state.set_if_absent", "state.delete", "state.delete_prefix", "state.add")
async def state_write(w: World) -> None:
    state = w.mine.state(w.id)
    await not_found(state.set("value", "x"))
    await not_found(state.set_if_absent("value", "x"))
    await not_found(state.delete("value"))
    await not_found(state.delete_prefix(""))
    await not_found(state.add("counter", 1))
    await w.make_mine()
    assert not await state.delete("value")
    assert await state.set_if_absent("value", "x")
    assert await state.add("counter", 1) == 1
    await state.set("value", "y")
    await state.delete_prefix("")


async def values_read(values: KeyValue) -> None:
    assert (await values.get("value"), await values.item("value")) == (None, None)
    assert (await values.get_many(["value", "counter"]), await values.scan()) == ({}, [])
    assert await values.ttl("value") is None


async def values_write(values: KeyValue) -> None:
    assert await values.pop("value", "none") == "none"
    assert not await values.delete("value")
    assert await values.set_if_absent("value", "mine")
    assert await values.add("counter", 1) == 1
    await values.set("value", "mine")
    await values.set_many({"value": "mine", "other": "mine"})
    assert await values.pop("value") == "mine"
    assert await values.delete("counter")
    async with values.batch() as batch:
        batch.state.set("value", "mine")
        batch.state.delete("other")
    assert dict(await values.scan()) == {"value": "mine"}
    await values.clear()


KV_READS = ("get", "item", "get_many", "scan", "ttl")
KV_WRITES = ("pop", "delete", "set_if_absent", "add", "set", "set_many", "batch", "clear")


@tries(*(f"kv.{name}" for name in KV_READS))
async def kv_read(w: World) -> None:
    await values_read(w.mine.kv(w.id))


@tries(*(f"kv.{name}" for name in KV_WRITES))
async def kv_write(w: World) -> None:
    await values_write(w.mine.kv(w.id))


@tries(*(f"user.{name}" for name in KV_READS))
async def user_read(w: World) -> None:
    await values_read(w.mine.user(w.id))


@tries(*(f"user.{name}" for name in KV_WRITES))
async def user_write(w: World) -> None:
    await values_write(w.mine.user(w.id))


# -- cache, locks, limits ----------------------------------------------------------------------------


@tries("cache.get", "cache.get_many", "cache.key")
async def cache_read(w: World) -> None:
    cache = w.mine.cache
    assert await cache.get(await cache.key(w.id), namespace=w.id) is None
    assert await cache.get(w.id, namespace=w.id) is None
    assert await cache.get_many([w.id, f"{w.id}-2"], namespace=w.id) == {}


@tries("cache.set", "cache.set_many", "cache.delete", "cache.delete_many", "cache.clear")
async def cache_write(w: World) -> None:
    cache = w.mine.cache
    await w.theirs.cache.set(tagged := f"{w.id}-3", SECRET, tags=[w.id], namespace=w.id)
    assert await cache.clear(tag=w.id) == 0
    await cache.set(tagged, "mine", tags=[w.id], namespace=w.id)
    assert await cache.clear(tag=w.id) == 1
    assert await w.theirs.cache.get(tagged, namespace=w.id) == SECRET
    assert not await cache.delete(w.id, namespace=w.id)
    assert await cache.delete_many([w.id, f"{w.id}-2"], namespace=w.id) == 0
    assert await cache.clear(w.id) == 0
    await cache.set(w.id, "mine", namespace=w.id)
    await cache.set_many({f"{w.id}-2": "mine"}, namespace=w.id)
    assert await cache.delete(w.id, namespace=w.id)
    assert await cache.clear(w.id) == 1


@tries("cache.cached")
async def cached(w: World) -> None:
    def of(store: SessionStore, answer: str) -> Callable[[], Awaitable[str]]:
        @store.cache.cached(ttl=60, key=f"cached-{w.id}", namespace=w.id)
        async def compute() -> str:
            under_way.append(answer)
            await asyncio.sleep(0.01)
            return answer

        return compute

    under_way: list[str] = []
    theirs, mine = of(w.theirs, SECRET), of(w.mine, "mine")
    # At once: neither waits for the other's flight.
    assert await asyncio.gather(theirs(), mine()) == [SECRET, "mine"]
    assert sorted(under_way) == sorted([SECRET, "mine"])


@tries("lock")
async def lock(w: World) -> None:
    async with w.theirs.lock(w.id, wait=0) as theirs, w.mine.lock(w.id, wait=0) as mine:
        assert not theirs.lost
        assert not mine.lost
        await w.make_mine()
        await w.mine.append(w.id, Message.user("x"), fence=theirs.fence)
    async with w.theirs.lock(w.id, wait=0) as again:
        assert again.fence > theirs.fence


@tries("rate_limited", "reset_rate_limit")
async def rate_limited(w: World) -> None:
    async def tool() -> None: ...

    of_theirs, of_mine = (
        store.rate_limited(1, 600, key=f"tool-{w.id}")(tool) for store in (w.theirs, w.mine)
    )
    await of_theirs()
    await of_mine()
    await w.mine.reset_rate_limit(f"tool-{w.id}")
    await of_mine()
    with pytest.raises(RateLimitedError):
        await of_theirs()


@tries("rate_limit")
async def rate_limit(w: World) -> None:
    for algorithm in ("fixed", "sliding", "bucket"):
        assert (await w.theirs.rate_limit(w.id, 1, 600, algorithm=algorithm)).allowed
        assert (await w.mine.rate_limit(w.id, 1, 600, algorithm=algorithm)).allowed
        assert not (await w.theirs.rate_limit(w.id, 1, 600, algorithm=algorithm)).allowed


# -- watching ----------------------------------------------------------------------------------------


@tries("watch")
async def watch(w: World) -> None:
    await not_found(anext(w.mine.watch(w.id)))
    here = (await w.make_mine()).position
    watchers = [w.mine.watch(), w.mine.watch(user_id=w.id), w.mine.watch(w.id, after=here)]
    heard = [asyncio.ensure_future(anext(each)) for each in watchers]
    await asyncio.sleep(0.05)
    await w.theirs.append(w.id, Message.user(SECRET))
    await w.theirs.create(theirs := f"watch-{w.id}", user_id=w.id)
    await asyncio.sleep(0.05)
    await w.mine.create(mine := f"mine-{w.id}", user_id=w.id)
    await w.mine.append(w.id, Message.user("mine too"))
    sessions = await soon(heard[2])
    stores, users = [
        await nudged(each, lambda: w.mine.append(mine, Message.user("x"))) for each in heard[:2]
    ]
    assert stores.session_id != theirs
    assert users.session_id == mine
    assert [entry.message.content for entry in sessions.entries] == ["mine too"]
    for each in watchers:
        await each.aclose()  # type: ignore[attr-defined]
    # From a position of theirs.
    after = w.mine.watch(w.id, after=w.session.position)
    event = await soon(anext(after))
    assert SECRET not in repr(event)
    await after.aclose()  # type: ignore[attr-defined]
    w.session = None  # they did change it


# -- running it --------------------------------------------------------------------------------------


@tries("stats")
async def stats(w: World) -> None:
    before = await w.mine.stats()
    await w.theirs.append(f"stats-{w.id}", Message.user("x"), create=True)
    assert before.to_dict() == (await w.mine.stats()).to_dict()


@tries("usage")
async def usage(w: World) -> None:
    record = record_id(w.id)
    await w.theirs.create(record, kind=USAGE, user_id=w.id)
    await w.theirs.state(record).add("2030-01-31/messages/helper", 5)
    assert [row.usage.messages for row in (await w.theirs.usage(w.id)).rows] == [5]
    assert (await w.mine.usage(w.id)).rows == ()
    assert w.id not in [row.user_id for row in (await w.mine.usage()).rows]


@tries("sweep")
async def sweep(w: World) -> None:
    await w.mine.sweep()
    await w.theirs.create(f"swept-{w.id}", ttl=0.01)

    async def is_gone() -> bool:
        page = await w.theirs.list(limit=1000)
        return f"swept-{w.id}" not in [each.id for each in page.items]

    await eventually(is_gone)
    assert await w.mine.sweep() == 0
    assert await w.theirs.sweep() == 1


@tries("count_sessions")
async def count_sessions(w: World) -> None:
    for filters in ({"user_id": w.id}, {"agent": w.id}, {"tags": [w.id]}, {"user_id": w.id, "agent": w.id}):
        assert await w.mine.count_sessions(**filters) == 0  # type: ignore[arg-type]
        assert await w.theirs.count_sessions(**filters) == 1  # type: ignore[arg-type]


@tries("sweeper")
async def sweeper(w: World) -> None:
    await w.theirs.create(f"swept-{w.id}", ttl=0.01)
    async with w.mine.sweeper(every=0.01) as mine, w.theirs.sweeper(every=3600) as theirs:
        # Each tenant elects its own.
        await eventually(lambda: mine.is_elected)
        await asyncio.sleep(0.1)
        assert not theirs.is_elected
    assert await w.theirs.sweep() == 1


@tries("reconcile")
async def reconcile(w: World) -> None:
    await w.mine.create(w.id, user_id=w.id)

    assert await w.mine.reconcile() == await w.theirs.reconcile() == 0
    assert await w.mine.count_sessions(user_id=w.id) == 1
    assert await w.mine.delete(w.id)


@tries("repair")
async def repair(w: World) -> None:
    before = (await w.mine.repair(dry_run=True)).sessions
    await w.theirs.create(f"repaired-{w.id}", user_id=w.id)

    report = await w.mine.repair(salvage=True)
    assert (report.sessions, report.damages) == (before, [])
    assert await w.theirs.delete(f"repaired-{w.id}")


@tries("count_expiring")
async def count_expiring(w: World) -> None:
    before = await w.mine.count_expiring("1h")
    await w.theirs.create(f"expiring-{w.id}", ttl="1m")

    assert await w.mine.count_expiring("1h") == before
    assert await w.theirs.delete(f"expiring-{w.id}")


@tries("reencrypt")
async def reencrypt(w: World) -> None:
    before = await w.mine.reencrypt(dry_run=True)
    await w.theirs.append(f"re-{w.id}", Message.user("x"), create=True)
    after = await w.mine.reencrypt()
    assert (before.sessions, before.values, after.failed) == (after.sessions, after.values, 0)


@tries("shred")
async def shred(w: World) -> None:
    await not_found(w.mine.shred(w.id))


# -- tenants -----------------------------------------------------------------------------------------


@tries("tenants", "delete_tenant")
async def tenants(w: World) -> None:
    name = f"t-{w.id}"
    await w.theirs.tenant(name).append(w.id, Message.user(SECRET), create=True)
    assert name not in await w.mine.tenants()
    assert name in await w.theirs.tenants()
    await not_found(w.mine.tenant(name).get(w.id))
    assert (await w.mine.delete_tenant(name, nested=True)).items == 0
    assert await w.theirs.tenant(name).count(w.id) == 1
    # Those that are below an open one are mine to delete only if I am above.
    assert (await w.theirs.delete_tenant(name)).sessions == 1
