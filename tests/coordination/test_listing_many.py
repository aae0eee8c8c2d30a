"""Listings of many sessions: the first page at once, and a walk that misses nothing while others write."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Message, SessionStore
from miniagent_store.backend import Create
from miniagent_store.testing.conformance import backend_of
from tests.coordination.many_sessions import make_sessions, opened, place_of

PAGE, USERS = 50, 10
WRITERS = 4
ROUND_TRIPS = 3


def owned(number: int) -> Create:
    return Create(user_id=f"user{number % USERS}", agent="helper" if number % 2 else None, tags=("all",))


def count_round_trips(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects what the store waits for, one after the other; on one server or several at once."""
    executor: Any = getattr(backend_of(store), "_executor", None)
    waited: list[str] = []
    if executor is None:
        return waited
    for name in ("run", "script", "write"):
        call = getattr(executor, name)

        async def counted(*args: Any, _call: Any = call, _name: str = name, **options: Any) -> Any:
            waited.append(_name)
            return await _call(*args, **options)

        monkeypatch.setattr(executor, name, counted)
    return waited


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "count", [pytest.param(1_000, id="some"), pytest.param(100_000, id="many", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["sqlite", "redis", "cluster"])
async def test_the_first_page_comes_at_once_and_a_walk_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, count: int
) -> None:
    ids = [f"s{number:06}" for number in range(count)]
    with place_of(kind, tmp_path) as place:
        async with opened(place) as store, opened(place) as other:
            await make_sessions(store, ids, owned, messages=0)
            started = time.perf_counter()
            assert await store.count_sessions() == count
            assert await store.count_sessions(user_id="user7") == count // USERS
            counted_ms = (time.perf_counter() - started) * 500

            times = []
            for number in range(USERS):
                with monkeypatch.context() as patch:
                    waited = count_round_trips(store, patch)
                    started = time.perf_counter()
                    page = await store.list(user_id=f"user{number}", limit=PAGE)
                    times.append((time.perf_counter() - started) * 1000)
                assert [session.user_id for session in page] == [f"user{number}"] * PAGE
                activity = [session.last_activity for session in page]
                assert activity == sorted(activity, reverse=True)
                assert len(waited) <= ROUND_TRIPS
            median = sorted(times)[len(times) // 2]
            print(f"{kind}, {count} sessions: first page {median:.1f} ms, a count {counted_ms:.1f} ms")

            untouched = set(ids[::2])
            walked = await walk_while_others_write(store, other, ids[1::2])
            assert untouched <= set(walked)
            assert {walked[session_id] for session_id in untouched} == {1}
            stats = await store.stats()
            assert stats.sessions == {"session": await store.count_sessions()}


async def walk_while_others_write(
    store: SessionStore, other: SessionStore, changing: list[str]
) -> Counter[str]:
    """How often each session came in a walk over all, while others were appended to, made and deleted."""
    over = asyncio.Event()

    async def write(number: int) -> None:
        chance = random.Random(number)
        for fresh in itertools.count():
            if over.is_set():
                return
            session_id = chance.choice(changing[number::WRITERS])
            match chance.randrange(8):
                case 0:
                    await other.create(f"new{number}-{fresh}", user_id="user1")
                case 1:
                    await other.delete(session_id)
                case _:
                    await other.append(session_id, Message.user("x"), create=True)

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    seen: Counter[str] = Counter()
    cursor = None
    while True:
        page = await store.list(cursor=cursor, limit=200)
        seen.update(session.id for session in page)
        cursor = page.next_cursor
        if cursor is None:
            break
    over.set()
    await asyncio.gather(*writers)
    return seen
