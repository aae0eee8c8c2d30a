"""The blocking face does what the async one does, from any thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from miniagent_store import (
    Message,
    RateLimitedError,
    SessionNotFoundError,
    StoreClosedError,
    open_store_sync,
)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/sessions.db"


def test_a_conversation_without_async(url: str) -> None:
    with open_store_sync(url) as store:
        session = store.create("s", user_id="ada")
        with store.turn(session.id) as turn:
            turn.append(Message.user("hello"))
            turn.state.set("mood", "good")
        with store.batch("s") as batch:
            batch.metadata = {"topic": "tea"}
            batch.append({"type": "note"}, log="events")

        assert turn.result.sequences == (1,)
        assert [message.content for message in store.history("s")] == ["hello"]
        assert [message.content for message in store.replay("s")] == ["hello"]
        assert store.state("s").get("mood") == "good"
        assert store.get("s").metadata == {"topic": "tea"}
        assert store.kv("settings").set("a", 1) == store.kv("settings").item("a").version
        assert [session.id for session in store.list(user_id="ada")] == ["s"]
        with store.lock("door") as lease:
            assert not lease.lost
        assert store.url == url


def test_an_exception_in_a_turn_stores_nothing(url: str) -> None:
    with open_store_sync(url) as store:
        store.create("s")
        with pytest.raises(RuntimeError), store.turn("s") as turn:
            turn.append(Message.user("hello"))
            raise RuntimeError

        assert store.count("s") == 0
        with store.turn("s", wait=0):
            pass


def test_errors_are_the_same(url: str) -> None:
    with open_store_sync(url) as store, pytest.raises(SessionNotFoundError):
        store.get("none")
    with pytest.raises(StoreClosedError):
        store.get("none")
    store.close()


def test_many_threads_share_one_store(url: str) -> None:
    with open_store_sync(url) as store, ThreadPoolExecutor(8) as threads:
        store.create("s")
        list(threads.map(lambda number: store.append("s", Message.user(str(number))), range(200)))

        contents = [message.content for message in store.history("s")]
    assert sorted(contents, key=int) == [str(number) for number in range(200)]


async def test_it_may_be_called_from_a_thread_of_a_program_with_a_loop(url: str) -> None:
    with open_store_sync(url) as store:
        await asyncio.to_thread(store.create, "s")
        await asyncio.to_thread(store.append, "s", Message.user("hello"))

        assert await asyncio.to_thread(store.count, "s") == 1


def test_watching_blocks_until_something_happens(url: str) -> None:
    with open_store_sync(url) as store:
        position = store.create("s").position
        told = []

        def watch() -> None:
            for event in store.watch("s", after=position):
                told.append(event)
                if event.type == "deleted":
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        store.append("s", Message.user("hello"))
        store.delete("s")
        watcher.join(timeout=20)

        assert told[-1].type == "deleted"


def test_closing_leaves_no_thread(url: str) -> None:
    before = threading.active_count()
    with open_store_sync(url) as store:
        store.create("s")
        store.cache.set("a", 1)

    assert threading.active_count() == before


def test_cached_and_limited_functions_are_plain_ones() -> None:
    with open_store_sync("memory://") as store:
        calls: list[int] = []

        @store.cache.cached(ttl=60, tags=["squares"], negative=LookupError)
        @store.rate_limited(2, "1h", key="square")
        def square(number: int) -> int:
            if number < 0:
                raise LookupError(number)
            calls.append(number)
            return number * number

        assert [square(3), square(3)] == [9, 9]
        for _ in range(3):
            with pytest.raises(LookupError):
                square(-1)
        with pytest.raises(RateLimitedError) as caught:
            square(4)
        assert caught.value.retry_after > 3500
        store.reset_rate_limit("square")
        assert square(4) == 16
        assert calls == [3, 4]
        assert store.cache.clear(tag="squares") == 3
        assert store.cache.hits == 3
        assert store.rate_limit("other", 1, 60).headers()["RateLimit-Limit"] == "1"
