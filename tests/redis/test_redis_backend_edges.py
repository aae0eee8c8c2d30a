"""What the Redis backend must do at the edges: keys that others left, removed or own; errors; order."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from miniagent_store import (
    CapacityError,
    ConfigurationError,
    InvalidArgumentError,
    Message,
    OutcomeUnknownError,
    SessionDamagedError,
    SessionNotFoundError,
    open_store,
)
from miniagent_store.backend import (
    Append,
    Backend,
    CacheItem,
    Commit,
    CommitIdentity,
    Create,
    ListQuery,
    LogRange,
    NewEntry,
    ReadPlan,
    StateAdd,
    StateScan,
    StateSet,
    Topic,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing import backend_of, eventually
from miniagent_store.testing.servers import Server, find_servers


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(find_servers()["redis"]) as server:
        yield server


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def store(server: Server, namespace: str) -> AsyncIterator[SessionStore]:
    async with open_store(f"{server.url}?namespace={namespace}") as store:
        yield store


@pytest.fixture
def backend(store: SessionStore) -> Backend:
    return backend_of(store)


def entry(text: str, caller_id: str | None = None, digest: bytes | None = None) -> NewEntry:
    return NewEntry(os.urandom(12), 1, text.encode(), caller_id, digest)


def commit(backend: Backend, counter: int, **parts: Any) -> Commit:
    now = backend.now_ms()
    writer = parts.pop("writer", "w1")
    return Commit("s", CommitIdentity(writer, counter, now + 10_000), parts.pop("time_ms", now), **parts)


async def payloads(backend: Backend, log: str = "messages") -> list[bytes]:
    result = await backend.read(ReadPlan("s", (LogRange(log),)))
    return [each.payload for each in result.entries[0]]


# What others left or took


async def test_what_a_removed_record_left_is_not_taken_for_the_new_sessions(
    backend: Backend, server: Server, namespace: str
) -> None:
    changes = (Append("messages", (entry("old", "m1", b"d"),)), Append("notes", (entry("old"),)))
    state = (StateSet("a", b"old"), StateAdd("n", 5))
    await backend.commit(commit(backend, 1, create=Create(), changes=changes, state=state))
    server.command("DEL", f"{namespace}/session:s")

    changes = (Append("messages", (entry("new", "m1", b"d"),)), Append("notes", (entry("new"),)))
    state = (StateSet("a", b"new", if_version=0), StateAdd("n", 1))
    made = await backend.commit(commit(backend, 2, create=Create(), changes=changes, state=state))

    assert made.outcome.counters == (1,)
    assert await payloads(backend) == [b"new"]
    assert await payloads(backend, "notes") == [b"new"]
    values = (await backend.read(ReadPlan("s", names=("a", "n")))).values
    assert [(value.payload, value.counter) for value in values] == [(b"new", None), (None, 1)]


@pytest.mark.parametrize("stood", [1, 2, 5])
@pytest.mark.parametrize("added", [1, 2, 5, 7])
async def test_an_append_to_a_log_that_was_evicted_is_damage(
    backend: Backend, server: Server, namespace: str, stood: int, added: int
) -> None:
    old = tuple(entry(f"old {number}") for number in range(stood))
    await backend.commit(commit(backend, 1, create=Create(), changes=(Append("messages", old),)))
    server.command("DEL", f"{namespace}/thread:{{{namespace}/session:s}}")

    new = tuple(entry(f"new {number}") for number in range(added))
    for counter in (2, 3):
        with pytest.raises(SessionDamagedError):
            await backend.commit(commit(backend, counter, changes=(Append("messages", new),)))
    with pytest.raises(SessionDamagedError):
        await payloads(backend)


async def test_a_key_of_the_applications_own_under_an_index_refuses_the_create_as_a_whole(
    server: Server,
) -> None:
    name = f"u{uuid.uuid4().hex}"
    server.command("SET", f"user:{name}", "the application's own")
    async with open_store(server.url) as store:
        with pytest.raises(ConfigurationError):
            await store.create(f"s-{name}", user_id=name)

        with pytest.raises(SessionNotFoundError):
            await store.get(f"s-{name}")
    assert server.command("GET", f"user:{name}") == b"the application's own"


# Fences and identities


async def test_callers_ids_without_a_digest_stand_too(backend: Backend) -> None:
    await backend.commit(commit(backend, 1, create=Create()))
    twice = (Append("messages", (entry("one", "m1"), entry("one", "m1"))),)

    first = await backend.commit(commit(backend, 2, changes=twice))
    second = await backend.commit(commit(backend, 3, changes=twice))

    assert first.outcome.sequences == second.outcome.sequences == (1, 1)
    result = await backend.read(ReadPlan("s", (LogRange("messages"),)))
    assert [(each.caller_id, each.digest) for each in result.entries[0]] == [("m1", None)]


async def test_an_append_of_nothing_names_no_log(backend: Backend) -> None:
    await backend.commit(commit(backend, 1, create=Create()))

    result = await backend.commit(commit(backend, 2, changes=(Append("notes", ()),)))

    assert dict(result.record.logs) == {}


async def test_a_writer_that_commits_elsewhere_too_keeps_all_its_outcomes(
    server: Server, namespace: str, backend: Backend
) -> None:
    async with open_store(f"{server.url}?namespace={namespace}") as other_store:
        other = backend_of(other_store)
        plain = (Append("messages", (entry("x"),)),)
        await backend.commit(commit(backend, 1, create=Create(), changes=plain))
        await backend.commit(commit(backend, 1, writer="w2", changes=plain))
        elsewhere = commit(other, 2, writer="w2", changes=plain)
        await other.commit(elsewhere)
        # On the general path, since it has a condition: it learns the record that the other one left.
        await backend.commit(commit(backend, 2, state=(StateSet("a", b""),)))
        await backend.commit(commit(backend, 3, writer="w2", changes=plain))

        again = await other.commit(elsewhere)

    assert again.replayed


@pytest.mark.parametrize("off_ms", [-1_000, 40_000])
async def test_a_commit_out_of_its_time_is_refused_on_the_fast_path_too(
    backend: Backend, off_ms: int
) -> None:
    plain = (Append("messages", (entry("x"),)),)
    await backend.commit(commit(backend, 1, create=Create(), changes=plain))
    untimely = CommitIdentity("w1", 2, backend.now_ms() + off_ms)

    with pytest.raises((OutcomeUnknownError, InvalidArgumentError)):
        await backend.commit(Commit("s", untimely, backend.now_ms(), changes=plain))

    assert await payloads(backend) == [b"x"]


async def test_an_append_of_nothing_to_a_session_that_is_known_is_a_commit(backend: Backend) -> None:
    await backend.commit(commit(backend, 1, create=Create(), changes=(Append("messages", (entry("x"),)),)))

    result = await backend.commit(commit(backend, 2, changes=(Append("messages", ()),)))

    assert (result.record.version, result.record.message_count) == (2, 1)


async def test_many_names_are_scanned_both_ways(backend: Backend) -> None:
    names = sorted(f"n{number:04}" for number in range(1_000))
    state = tuple(
        StateSet(name, b"", ttl_ms=1 if number % 2 else None) for number, name in enumerate(names)
    )
    await backend.commit(commit(backend, 1, create=Create(), state=state))
    await asyncio.sleep(0.01)

    up, down, some = (
        await backend.read(
            ReadPlan("s", scans=(StateScan(), StateScan(reverse=True), StateScan(start="n0100", limit=300)))
        )
    ).scans

    assert [value.name for value in up] == names[::2]
    assert [value.name for value in down] == names[::2][::-1]
    assert [value.name for value in some] == names[100::2][:300]


# Errors are the store's


async def test_a_full_server_refuses_cache_and_stage_with_the_stores_error() -> None:
    with Server(find_servers()["redis"]) as full:
        async with open_store(full.url) as store:
            await store.create("s")
            await store.cache.set("k", 1)
            full.command("CONFIG", "SET", "maxmemory", "1")

            with pytest.raises(CapacityError):
                await backend_of(store).cache_set([CacheItem("k", b"2")])
            with pytest.raises(CapacityError):
                await store.fork("s", new_id="t")


async def test_a_foreign_key_under_an_index_is_told_as_the_stores_error(
    server: Server, namespace: str, store: SessionStore
) -> None:
    server.command("SET", f"{namespace}/user:ada", "x")

    with pytest.raises(ConfigurationError):
        await store.list(user_id="ada")


async def test_a_second_subscriber_is_not_let_go_before_the_first_is_heard(backend: Backend) -> None:
    first, second = await asyncio.gather(
        backend.subscribe(Topic("session", "s")), backend.subscribe(Topic("session", "s"))
    )
    await asyncio.gather(first.wait(0.2), second.wait(0.2))

    await backend.commit(commit(backend, 1, create=Create()))

    assert await first.wait(3)
    assert await second.wait(3)


# Listings


async def test_a_new_tag_is_listed_even_if_nothing_comes_after_the_commit(
    server: Server, namespace: str, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("s", tags=["old"])
    await store.create("t", kind="task")
    backend: Any = backend_of(store)
    # As a process that dies right after its commit.
    monkeypatch.setattr(backend._executor, "notify", lambda *commands: None)
    await store.update("s", tags=["new"])
    await store.update("t", tags=["new"])
    monkeypatch.undo()

    assert [session.id for session in (await store.list(tags=["new"])).items] == ["s"]
    assert [session.id for session in (await store.list(tags=["new"], kind="task")).items] == ["t"]


async def test_a_session_is_counted_and_listed_even_if_its_maker_dies_at_once(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = backend_of(store)._executor  # type: ignore[attr-defined]
    monkeypatch.setattr(node, "notify", lambda *commands: None)
    await store.create("s", user_id="ada", kind="task")
    await store.fork("s", new_id="t")
    monkeypatch.undo()

    listed = (await store.list(user_id="ada", kind="task")).items
    assert {session.id for session in listed} == {"s", "t"}
    assert (await store.stats()).sessions == {"task": 2}


async def test_a_late_removal_from_a_listing_spares_the_session_that_came_after(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = backend_of(store)._executor  # type: ignore[attr-defined]
    late: list[Any] = []
    await store.create("s", user_id="ada")
    monkeypatch.setattr(node, "notify", lambda *commands: late.append((node.notify, commands)))
    monkeypatch.setattr(node, "notify_script", lambda *told: late.append((node.notify_script, told)))
    await store.delete("s")
    monkeypatch.undo()
    await asyncio.sleep(0.005)
    await store.create("s", user_id="ada")
    for _, told in late:
        if isinstance(told[0], tuple):
            node.notify(*told)
        else:
            node.notify_script(*told)
    await backend_of(store).ping()

    assert [session.id for session in (await store.list(user_id="ada")).items] == ["s"]
    assert [session.id for session in (await store.list()).items] == ["s"]


async def test_what_was_committed_just_before_closing_is_in_order_in_the_listing(
    server: Server, namespace: str
) -> None:
    url = f"{server.url}?namespace={namespace}"
    async with open_store(url) as store:
        for name in "abc":
            await store.create(name)
            await asyncio.sleep(0.005)
    async with open_store(url) as store:
        await asyncio.gather(*(store.append("a", Message.user("x")) for _ in range(50)))

    async with open_store(url) as store:
        assert [session.id for session in (await store.list()).items] == ["a", "c", "b"]


async def test_a_listing_puts_right_a_score_that_is_behind(
    server: Server, namespace: str, store: SessionStore
) -> None:
    await store.create("a", user_id="ada")
    await asyncio.sleep(0.005)
    await store.create("b", user_id="ada")
    await asyncio.sleep(0.005)
    await store.append("a", Message.user("x"))
    backend = backend_of(store)
    await backend.ping()
    server.command("ZADD", f"{namespace}/user:ada", 5, "a")
    await backend.list(ListQuery(user_id="ada"))

    async def in_order() -> bool:
        return [session.id for session in (await store.list(user_id="ada")).items] == ["a", "b"]

    await eventually(in_order, within=3)


# Options


@pytest.mark.parametrize(
    "options",
    [
        "session_prefix=",
        "session_prefix=user:",
        "session_prefix=thread:",
        "thread_prefix=events:",
        "cache_prefix=session:",
        "lock_prefix=index:",
    ],
)
async def test_prefixes_that_would_mix_up_keys_are_refused(server: Server, options: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        async with open_store(f"{server.url}?{options}"):
            pass


async def test_the_health_check_interval_is_an_option(server: Server, namespace: str) -> None:
    url = f"{server.url}?namespace={namespace}&health_check_interval=30"
    async with open_store(url) as store:
        await store.create("s")
