"""What a crash, a failover or an eviction leaves wrong beside the sessions is put right."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from miniagent_backends.redis import noting, places
from miniagent_backends.redis.keys import Keys, bucket_of
from miniagent_store import (
    Message,
    SessionExistsError,
    SessionStore,
    SessionTooLargeError,
    open_store,
)
from miniagent_store.testing.conformance import backend_of, eventually
from miniagent_store.testing.conformance.base import gone
from miniagent_store.testing.servers import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def store(server: Server, namespace: str) -> AsyncIterator[SessionStore]:
    async with open_store(server.url, namespace=namespace) as store:
        yield store


def keys_like(server: Server, pattern: str) -> list[str]:
    return sorted(key.decode() for key in server.command("KEYS", pattern))


async def fill(store: SessionStore) -> None:
    for number in range(40):
        await store.create(
            f"s{number}",
            user_id=f"user{number % 4}",
            agent="helper",
            tags=["t"],
            ttl="1h" if number % 2 else None,
        )
        await store.append(f"s{number}", Message.user("hello"))
    await store.create("k", kind="thread", user_id="user1")


async def seen(store: SessionStore) -> tuple[Any, ...]:
    stats = await store.stats()
    return (
        stats.sessions,
        stats.messages,
        stats.size,
        stats.users,
        stats.agents,
        {session.id for session in await store.list(limit=100)},
        {session.id for session in await store.list(user_id="user1", limit=100)},
        {session.id for session in await store.list(tags=["t"], limit=100)},
        await store.count_sessions(agent="helper"),
    )


@pytest.mark.parametrize(
    "lost", ["places:*", "index:*", "expiry:*", "totals:*", "user:*", "users:*", "agent*", "tag:*", "*"]
)
async def test_what_was_lost_is_there_again(
    server: Server, namespace: str, store: SessionStore, lost: str
) -> None:
    await fill(store)
    before = await seen(store)
    gone_keys = [key for key in keys_like(server, f"{namespace}/{lost}") if "session:" not in key]
    server.command("DEL", *gone_keys)

    assert await store.reconcile() > 0

    assert await seen(store) == before
    assert await store.reconcile() == 0


async def test_what_has_no_session_is_dropped(server: Server, namespace: str, store: SessionStore) -> None:
    await fill(store)
    # As after a failover to a replica that had not heard of them yet.
    for number in range(0, 40, 2):
        keys = keys_like(server, f"{namespace}/*session:s{number}*")
        server.command("DEL", *[key for key in keys if key.endswith((f":s{number}", f":s{number}}}"))])

    await store.reconcile()

    stats = await store.stats()
    assert stats.sessions == {"session": 20, "thread": 1}
    assert (stats.messages, stats.agents) == (20, {"helper": 20})
    assert await store.count_sessions(user_id="user0") == 0
    assert not [key for key in keys_like(server, f"{namespace}/user:*") if key.endswith("user:user0")]
    assert await store.reconcile() == 0


async def test_wrong_facts_are_put_right(server: Server, namespace: str, store: SessionStore) -> None:
    await fill(store)
    before = await seen(store)
    bucket = Keys(namespace).bucket("session", bucket_of("s1"))
    server.command("HSET", bucket["totals"], "messages", 1_000_000)
    server.command("ZADD", bucket["expiry"], 1, "s1")
    server.command("ZADD", f"{namespace}/user:user1", 1, "no such session")

    assert await store.reconcile() >= 2

    assert await seen(store) == before


async def test_a_session_that_lives_longer_than_its_place_says_is_not_told(
    server: Server, namespace: str, store: SessionStore
) -> None:
    await store.create("s", user_id="ada", ttl="1h")
    expiry = Keys(namespace).bucket("session", bucket_of("s"))["expiry"]
    was = server.command("ZSCORE", expiry, "s")
    server.command("ZADD", expiry, 1, "s")

    assert await store.sweep() == 0

    assert server.command("ZSCORE", expiry, "s") == was
    assert await store.count_sessions() == 1


async def test_a_late_note_does_not_raise_what_is_gone(
    server: Server, namespace: str, store: SessionStore
) -> None:
    async with open_store(server.url, namespace=namespace) as late:
        await store.create("s", user_id="ada", tags=["t"])
        for text in ("a", "b"):
            await late.append("s", Message.user(text))
        await store.delete("s")
        # Closing sends what was held back.
    assert await store.count_sessions() == 0

    async def nothing_left() -> bool:
        left = keys_like(server, f"{namespace}/*")
        return all("changes:" in key for key in left)

    await eventually(nothing_left)


async def test_a_place_that_was_lost_comes_with_the_next_commit(
    server: Server, namespace: str, store: SessionStore
) -> None:
    await store.create("s", user_id="ada", tags=["t"], ttl="1h")
    server.command("DEL", *[key for key in keys_like(server, f"{namespace}/*") if "session:" not in key])

    await store.append("s", Message.user("still here"))

    assert [session.id for session in await store.list(user_id="ada")] == ["s"]
    assert await store.count_sessions() == await store.count_sessions(tags=["t"]) == 1
    stats = await store.stats()
    assert (stats.sessions, stats.messages, stats.users) == ({"session": 1}, 1, 1)


async def test_many_commits_send_few_notes(server: Server, store: SessionStore) -> None:
    await store.create("s", user_id="ada", tags=["t"])
    server.command("CONFIG", "RESETSTAT")

    for number in range(200):
        await store.append("s", Message.user(str(number)))

    calls = {
        line.split(":")[0]: int(line.split("calls=")[1].split(",")[0])
        for line in server.command("INFO", "commandstats").decode().splitlines()
        if "calls=" in line
    }
    assert calls["cmdstat_rpush"] == 200
    # Those of the user and of the tag, and what index.lua does.
    assert calls.get("cmdstat_zadd", 0) <= 40


async def test_changes_are_forgotten_and_every_session_is_told_instead(
    server: Server, namespace: str, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_of(store)
    await fill(store)
    _, cursor = await backend.changes(None, 10)
    assert (await backend.changes(cursor, 10))[0] == []
    read_ms = backend.now_ms()
    monkeypatch.setattr(backend, "now_ms", lambda: read_ms + places.KEPT_CHANGES_MS)
    monkeypatch.setattr(backend._executor, "now_ms", lambda: read_ms + places.KEPT_CHANGES_MS)  # type: ignore[attr-defined]

    told: list[str] = []
    while True:
        changes, cursor = await backend.changes(cursor, 7)
        assert len(changes) <= 7
        told += [change.session_id for change in changes]
        if not changes:
            break

    assert sorted(told) == sorted([*(f"s{number}" for number in range(40)), "k"])
    monkeypatch.undo()
    await store.create("new")
    assert [change.session_id for change in (await backend.changes(cursor, 7))[0]] == ["new"]


async def test_an_index_of_changes_vanishes_by_itself(
    server: Server, namespace: str, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "KEPT_CHANGES_MS", 500)
    await store.create("s", ttl=0.2)
    await gone(store, "s")
    await store.sweep()

    await eventually(lambda: keys_like(server, f"{namespace}/*") == [])


async def test_what_is_held_back_goes_out_at_the_end_of_its_window(
    server: Server, namespace: str, store: SessionStore
) -> None:
    await store.create("s")
    for number in range(5):
        await store.append("s", Message.user(str(number)))
    totals = Keys(namespace).bucket("session", bucket_of("s"))["totals"]
    assert server.command("HGET", totals, "messages") in {None, b"1"}

    await asyncio.sleep(noting.WINDOW_SECONDS)

    await eventually(lambda: server.command("HGET", totals, "messages") == b"5", within=5)


async def test_a_session_whose_maker_died_at_once_is_told_when_it_expires(
    server: Server, namespace: str, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = backend_of(store)._executor  # type: ignore[attr-defined]
    monkeypatch.setattr(executor, "notify", lambda *commands, **_: None)
    await store.create("s", user_id="ada", tags=["t"], ttl=0.3)
    monkeypatch.undo()
    assert await store.count_sessions() == await store.count_sessions(user_id="ada") == 1
    await gone(store, "s")

    async def is_swept() -> bool:
        return await store.sweep() == 1

    # Its place says a little longer than it lasts.
    await eventually(is_swept)
    assert [key for key in keys_like(server, f"{namespace}/*") if "changes:" not in key] == []


async def test_a_refused_session_leaves_no_place(
    server: Server, namespace: str, store: SessionStore
) -> None:
    await store.create("s", user_id="ada")
    with pytest.raises(SessionExistsError):
        await store.create("s", user_id="bob", agent="helper", tags=["t"])
    async with open_store(server.url, namespace=namespace, max_session_size=1) as small:
        with pytest.raises(SessionTooLargeError):
            await small.append("new", Message.user("too long"), create=True)

        stats = await small.stats()

    assert (stats.sessions, stats.users, stats.agents) == ({"session": 1}, 1, {})
    assert await store.count_sessions(tags=["t"]) == await store.count_sessions(user_id="bob") == 0
    assert await store.reconcile() == 0
