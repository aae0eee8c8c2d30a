"""The blocking face does what the async one does, from any thread."""

from __future__ import annotations

import ast
import asyncio
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagent_store import (
    FencedError,
    Message,
    RateLimitedError,
    SessionNotFoundError,
    StoreClosedError,
    open_store_sync,
)
from miniagent_store.store.store import Store
from tests.store.blocking_stub import FACES, PLACE, formatted, stub


@pytest.fixture
def url(anywhere: str) -> str:
    return anywhere


def test_a_conversation_without_async(url: str) -> None:
    with open_store_sync(url) as store:
        session = store.create("s", user_id="ada")
        with store.turn(session.id) as turn:
            turn.append(Message.user("hello"))
            turn.state.set("mood", "good")
        with store.batch("s") as batch:
            batch.metadata = {"topic": "tea"}
            batch.append({"type": "note"}, log="events")

        assert turn.result is not None
        assert turn.result.sequences == (1,)
        assert [message.content for message in store.history("s")] == ["hello"]
        assert [message.content for message in store.replay("s")] == ["hello"]
        assert store.state("s").get("mood") == "good"
        assert store.get("s").metadata == {"topic": "tea"}
        assert store.kv("settings").set("a", 1) == getattr(store.kv("settings").item("a"), "version", None)
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


def test_closing_leaves_no_thread_of_its_own(url: str) -> None:
    with open_store_sync("memory://") as store:
        store.create("s")  # the background loop stays
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


@pytest.mark.parametrize(("threads", "appends"), [(8, 10), pytest.param(32, 100, marks=pytest.mark.slow)])
def test_what_many_threads_append_stands_in_the_order_of_each(url: str, threads: int, appends: int) -> None:
    with open_store_sync(url) as store, ThreadPoolExecutor(threads) as pool:
        store.create("s")

        def work(thread: int) -> None:
            for number in range(appends):
                store.append("s", Message.user([thread, number]))

        list(pool.map(work, range(threads)))
        contents = [message.content for message in store.history("s")]
    for thread in range(threads):
        assert [number for one, number in contents if one == thread] == list(range(appends))
    assert len(contents) == threads * appends


def test_turns_of_many_threads_come_one_after_the_other(url: str) -> None:
    with open_store_sync(url) as store, ThreadPoolExecutor(8) as pool:
        store.create("s")

        def work(_: int) -> None:
            with store.turn("s", wait=60) as turn:
                turn.append(Message.user(len(turn.history)), Message.assistant(len(turn.history)))

        list(pool.map(work, range(24)))
        assert [message.content for message in store.history("s")] == [
            number - number % 2 for number in range(48)
        ]


async def test_it_may_be_called_inside_a_running_loop(url: str) -> None:
    with open_store_sync(url) as store:
        with store.turn("s", create=True) as turn:
            turn.append(Message.user("hello"))
        assert [message.content for message in store.replay("s")] == ["hello"]
        assert store.kv("settings").get("a") is None


def test_several_stores_share_the_background_loop(url: str) -> None:
    with open_store_sync(url) as keeper:
        keeper.create("s")
        before = threading.active_count()
        names = {thread.name for thread in threading.enumerate()}
        stores = [open_store_sync("memory://") for _ in range(5)]
        for number, store in enumerate(stores):
            store.create(str(number))
        assert threading.active_count() == before
        assert "miniagent-store" in names
        stores[0].close()
        assert stores[1].get("1").id == "1"
        for store in stores:
            store.close()


def test_a_lease_protects_a_commit(url: str) -> None:
    with open_store_sync(url) as store:
        store.create("s")
        with store.lock("door") as lease:
            store.append("s", Message.user("hello"), fence=lease)
            with store.batch("s", fence=lease) as batch:
                batch.append(Message.user("again"))
        with store.lock("door") as newer:
            store.append("s", Message.user("by the next"), fence=newer)
        with pytest.raises(FencedError):
            store.append("s", Message.user("late"), fence=lease)
        assert store.count("s") == 3


def test_a_tenant_and_its_sweeper(url: str) -> None:
    with open_store_sync(url) as store:
        tenant = store.tenant("acme")
        tenant.create("s")
        with tenant.sweeper(every=60) as sweeper:
            assert sweeper.is_elected in (True, False)
        assert store.tenants() == ["acme"]
        assert store.delete_tenant("acme").sessions == 1


def test_an_iterator_that_is_left_lets_go(url: str) -> None:
    with open_store_sync(url) as store:
        for number in range(3):
            store.append("s", Message.user(number), create=True)
        for message in store.replay("s"):
            assert message.content == 0
            break
        replay = store.replay("s")
        assert next(replay).content == 0
        del replay
        gc.collect()
        assert store.count("s") == 3


def test_pickled_it_reaches_the_same_data(url: str) -> None:
    with open_store_sync(url, ttl="1h") as store:
        store.create("s")
        copy = pickle.loads(pickle.dumps(store))
        assert copy.get("s").ttl == 3600
        assert repr(copy) == repr(store)
        copy.close()
        assert store.get("s").id == "s"


def test_its_types_are_those_of_the_async_face() -> None:
    """Else run ``python -m tests.store.blocking_stub``."""
    assert ast.dump(ast.parse(PLACE.read_text())) == ast.dump(ast.parse(formatted(stub())))


def test_all_that_becomes_a_face_has_types() -> None:
    with open_store_sync("memory://") as store:
        store.create("s")
        handles: list[Any] = [
            store, store.batch("s"), store.turn("s"), store.state("s"), store.kv("c"), store.user("u"),
            store.cache, store.lock("l"), store.sweeper(), store.tenant("t"),
        ]  # fmt: skip
        named = PLACE.read_text()
        for handle in handles:
            cls = (
                "StoreCalls" if isinstance(handle._target, Store) else FACES[type(handle._target).__name__]
            )
            assert f"class {cls}(" in named
