"""A handle brings calls from any event loop and thread to a store."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

import pytest

from miniagent_store import (
    InvalidArgumentError,
    Message,
    SessionNotFoundError,
    SessionStore,
    StoreClosedError,
    WrongLoopError,
    open_store,
)
from miniagent_store.background_loop import background_loop
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.store.store import Store
from miniagent_store.testing.waiting import wait_until


@pytest.fixture
def handle(anywhere: str) -> Iterator[StoreHandle]:
    handle = StoreHandle(anywhere)
    yield handle
    handle.close()


async def say(handle: StoreHandle, text: str) -> None:
    """Append a message from this loop."""
    await handle.run(lambda store: store.append("s", Message.user(text), create=True))


def say_blocking(handle: StoreHandle, text: str) -> None:
    """Append a message from this thread."""
    handle.run_blocking(lambda store: store.append("s", Message.user(text), create=True))


def said(handle: StoreHandle) -> list[str]:
    """What was said so far."""
    return [message.content for message in handle.run_blocking(lambda store: store.history("s"))]


def count_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail where threads, sockets or files are left open that were not open before."""
    background_loop().wait(lambda: asyncio.sleep(0))  # it stays, whoever needed it first

    def count() -> tuple[int, int, int]:
        gc.collect()
        # A loop's executor keeps its threads as long as the loop lives.
        threads = [each for each in threading.enumerate() if not each.name.startswith("asyncio_")]
        return len(threads), count_sockets(), len(os.listdir("/proc/self/fd"))

    before = count()
    yield

    def left() -> str | None:
        now = count()
        if all(mine <= theirs for mine, theirs in zip(now, before, strict=True)):
            return None
        return f"threads, sockets, files: {now}, not {before}"

    wait_until(left, 20)


# Making one


def test_no_io_when_it_is_made(tmp_path: Path) -> None:
    with nothing_left():
        handles = [StoreHandle(f"sqlite:///{tmp_path}/s.db"), StoreHandle("redis://nowhere:1/0")]
        assert not list(tmp_path.iterdir())
        for handle in handles:
            handle.close()


def test_its_url_shows_no_secret() -> None:
    handle = StoreHandle("redis://me:secret@nowhere:1/0")
    assert "secret" not in handle.url + repr(handle)


def test_a_handle_is_made_of_whatever_names_a_store(anywhere: str) -> None:
    with nothing_left():
        first = handle_of(anywhere)
        say_blocking(first, "hello")

        assert handle_of(first) is first
        assert first.url == handle_of(first).url == StoreHandle(first).url
        again = StoreHandle(first)
        assert said(again) == ["hello"]
        again.close()
        assert said(first) == ["hello"]
        first.close()


def test_options_belong_to_a_url() -> None:
    handle = StoreHandle("memory://", namespace="mine")
    with pytest.raises(InvalidArgumentError):
        StoreHandle(handle, ttl="1h")
    with pytest.raises(InvalidArgumentError):
        StoreHandle(open_store("memory://"), ttl="1h")


# From whichever loop and thread


def test_fresh_loops_one_after_the_other(handle: StoreHandle) -> None:
    say_blocking(handle, "-1")
    with nothing_left():
        for number in range(50):
            asyncio.run(say(handle, str(number)))
    assert said(handle) == [str(number) for number in range(-1, 50)]


def test_a_handle_for_each_loop(anywhere: str) -> None:
    with nothing_left():
        keeper = StoreHandle(anywhere)  # what is in memory goes with the last store that is open
        say_blocking(keeper, "-1")
        for number in range(50):
            handle = StoreHandle(anywhere)
            asyncio.run(say(handle, str(number)))
            if number % 2:
                handle.close()
        assert said(keeper) == [str(number) for number in range(-1, 50)]
        keeper.close()
        del handle  # those that were not closed go with who held them


@pytest.mark.parametrize(("threads", "appends"), [(8, 5), pytest.param(32, 100, marks=pytest.mark.slow)])
def test_many_threads_with_loops_and_without(handle: StoreHandle, threads: int, appends: int) -> None:
    def work(thread: int) -> None:
        for number in range(appends):
            if thread % 2:
                asyncio.run(say(handle, f"{thread}/{number}"))
            else:
                say_blocking(handle, f"{thread}/{number}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))

    found = said(handle)
    assert sorted(found) == sorted(f"{one}/{number}" for one in range(threads) for number in range(appends))
    for thread in range(threads):
        mine = [text for text in found if text.startswith(f"{thread}/")]
        assert mine == [f"{thread}/{number}" for number in range(appends)]


async def test_blocking_inside_a_running_loop(handle: StoreHandle) -> None:
    say_blocking(handle, "hello")
    await say(handle, "again")
    assert said(handle) == ["hello", "again"]


async def test_a_store_of_the_loop_that_blocks(anywhere: str) -> None:
    async with open_store(anywhere) as store:
        handle = StoreHandle(store)
        await say(handle, "straight")
        say_blocking(handle, "while its loop stands")
        await asyncio.to_thread(say_blocking, handle, "from a thread")
        await asyncio.to_thread(lambda: asyncio.run(say(handle, "from another loop")))

        assert [message.content for message in await store.history("s")] == [
            "straight",
            "while its loop stands",
            "from a thread",
            "from another loop",
        ]
        assert await handle.run(_itself) is store
        await handle.aclose()
        assert await store.count("s") == 4


async def _itself(store: SessionStore) -> SessionStore:
    return store


async def test_a_store_that_is_closed_is_refused(anywhere: str) -> None:
    with nothing_left():
        async with open_store(anywhere) as store:
            handle = StoreHandle(store)
            await say(handle, "straight")
            await asyncio.to_thread(say_blocking, handle, "from a thread")
        with pytest.raises(StoreClosedError):
            await say(handle, "late")
        with pytest.raises(StoreClosedError):
            await asyncio.to_thread(say_blocking, handle, "late")
        del handle, store


async def test_a_view_of_a_tenant(anywhere: str) -> None:
    async with open_store(anywhere) as store:
        tenant = store.tenant("acme")
        handle = StoreHandle(tenant)
        await say(handle, "straight")
        await asyncio.to_thread(say_blocking, handle, "from a thread")

        assert [message.content for message in await tenant.history("s")] == ["straight", "from a thread"]
        with pytest.raises(SessionNotFoundError):
            await store.get("s")
        handle.close()


async def test_errors_come_through(handle: StoreHandle) -> None:
    with pytest.raises(SessionNotFoundError):
        await handle.run(lambda store: store.get("none"))
    with pytest.raises(SessionNotFoundError):
        handle.run_blocking(lambda store: store.get("none"))


async def test_its_own_thread_cannot_wait_for_itself(handle: StoreHandle) -> None:
    async def work(store: SessionStore) -> None:
        handle.run_blocking(lambda _: store.health())

    with pytest.raises(WrongLoopError, match="async calls"):
        await handle.run(work)


async def test_a_work_may_use_the_handle_again(handle: StoreHandle) -> None:
    async def work(store: SessionStore) -> int:
        await say(handle, "inner")
        return await handle.run_to_end(lambda store: store.count("s"))

    assert await handle.run(work) == 1


async def test_iterating(handle: StoreHandle) -> None:
    for number in range(5):
        await say(handle, str(number))

    assert [message.content async for message in handle.iterate(lambda store: store.replay("s"))] == [
        str(number) for number in range(5)
    ]
    with pytest.raises(SessionNotFoundError):
        async for _ in handle.iterate(lambda store: store.replay("none")):
            pass


async def test_a_watch_that_is_left_or_cancelled_ends(handle: StoreHandle) -> None:
    await say(handle, "first")
    position = (await handle.run(lambda store: store.get("s"))).position
    async with aclosing(handle.iterate(lambda store: store.watch("s", after=position))) as events:
        await say(handle, "the first one makes the connection of notifications")
        await anext(events)
    with nothing_left():
        for _ in range(20):
            told = asyncio.Event()

            async def watch(told: asyncio.Event = told) -> None:
                async for _ in handle.iterate(lambda store: store.watch("s", after=position)):
                    told.set()

            watching = asyncio.create_task(watch())
            await say(handle, "more")
            await asyncio.wait_for(told.wait(), 20)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
        tasks = await handle.run(_count_tasks)
    assert tasks <= 6


async def _count_tasks(store: SessionStore) -> int:
    return len(asyncio.all_tasks())


# Being cancelled


class Slow:
    """A work that tells when it has begun and waits until it may end."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.cancelled = False

    async def __call__(self, store: SessionStore) -> None:
        self.begun.set()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            await store.append("s", Message.user("whole"), create=True)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


async def test_who_is_cancelled_cancels_the_work(handle: StoreHandle) -> None:
    work = Slow()
    calling = asyncio.create_task(handle.run(work))
    await asyncio.to_thread(work.begun.wait, 20)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(work.ended.wait, 20)
    assert work.cancelled


@pytest.mark.parametrize("near", [True, False])
async def test_a_commit_ends_though_its_caller_is_cancelled_again_and_again(
    anywhere: str, near: bool
) -> None:
    async with open_store(anywhere) as store:
        handle = StoreHandle(store if near else anywhere)
        work = Slow()
        calling = asyncio.create_task(handle.run_to_end(work))
        await asyncio.to_thread(work.begun.wait, 20)
        for _ in range(5):
            calling.cancel()
            await asyncio.sleep(0.02)
        assert not calling.done()
        work.go.set()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert not work.cancelled
        assert await store.count("s") == 1
        await handle.aclose()


def test_a_commit_ends_though_its_loop_ends_around_it(handle: StoreHandle) -> None:
    work = Slow()

    async def main() -> None:
        task = asyncio.create_task(handle.run_to_end(work))
        await asyncio.to_thread(work.begun.wait, 20)
        asyncio.get_running_loop().call_later(0.1, work.go.set)
        assert not task.done()

    asyncio.run(main())  # which cancels all tasks that are left

    assert work.ended.is_set()
    assert not work.cancelled
    assert said(handle) == ["whole"]


# Ending


async def test_a_handle_that_is_closed_refuses(anywhere: str) -> None:
    handle = StoreHandle(anywhere)
    with nothing_left():
        await say(handle, "hello")
        await handle.aclose()
        await handle.aclose()
        handle.close()

        assert handle.closed
        for call in (handle.run, handle.run_to_end):
            with pytest.raises(StoreClosedError):
                await call(lambda store: store.count("s"))
        with pytest.raises(StoreClosedError):
            handle.run_blocking(lambda store: store.count("s"))
        with pytest.raises(StoreClosedError):
            async for _ in handle.iterate(lambda store: store.replay("s")):
                pass


def test_closing_while_others_call(anywhere: str) -> None:
    with nothing_left():
        for _ in range(5):
            handle = StoreHandle(anywhere)
            say_blocking(handle, "hello")
            started = threading.Barrier(5)

            def work(handle: StoreHandle = handle, started: threading.Barrier = started) -> int:
                started.wait(20)
                count = 0
                with suppress(StoreClosedError):
                    while True:
                        say_blocking(handle, "more")
                        count += 1
                return count

            before = _count(anywhere)
            with ThreadPoolExecutor(4) as pool:
                counts = [pool.submit(work) for _ in range(4)]
                started.wait(20)
                handle.close()
            # What was acknowledged is stored; what was refused may be, where it was under way.
            acknowledged = sum(count.result() for count in counts)
            assert before + acknowledged <= _count(anywhere) <= before + acknowledged + 4


def _count(url: str) -> int:
    async def main() -> int:
        async with open_store(url) as store:
            return await store.count("s")

    return asyncio.run(main())


def test_what_nobody_holds_any_more_is_closed(anywhere: str) -> None:
    with nothing_left():
        for _ in range(5):
            say_blocking(StoreHandle(anywhere), "hello")


def test_pickled(anywhere: str) -> None:
    handle = StoreHandle(anywhere, ttl="1h")
    say_blocking(handle, "hello")
    copy = pickle.loads(pickle.dumps(handle))

    assert said(copy) == ["hello"]
    assert copy.run_blocking(lambda store: store.create("t")).ttl == 3600
    handle.close()
    say_blocking(copy, "again")
    assert said(pickle.loads(pickle.dumps(handle))) == ["hello", "again"]
    copy.close()


async def test_a_handle_on_a_store_is_pickled_as_that_was_opened(anywhere: str) -> None:
    async with open_store(anywhere, ttl="1h") as store:
        handle = StoreHandle(store)
        await say(handle, "hello")
        copy = pickle.loads(pickle.dumps(handle))
        await say(copy, "again")
        assert await store.count("s") == 2
        assert (await copy.run(lambda store: store.create("t"))).ttl == 3600
        await copy.aclose()


def test_the_password_is_pickled_but_not_shown() -> None:
    handle = StoreHandle("redis://me:secret@nowhere:1/0")
    copy = pickle.loads(pickle.dumps(handle))
    assert "secret" not in repr(copy)
    assert copy._source.password == "secret"


def test_a_server_that_is_away_is_an_error_and_leaves_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with nothing_left():
        handle = StoreHandle(f"redis://127.0.0.1:{port}/0", deadline=0.2, connect_timeout=0.2)
        for _ in range(3):
            with pytest.raises(Exception, match=r"127\.0\.0\.1"):
                say_blocking(handle, "hello")
        handle.close()


class Foreign(SessionStore):
    """Somebody's own store around one of ours."""

    closed = False

    def __init__(self, inner: SessionStore) -> None:
        self.inner = inner

    async def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def _concrete(cls: type[SessionStore]) -> type[SessionStore]:
    """With all that is abstract passed on to `inner`."""

    def passed_on(name: str) -> property:
        return property(lambda self: getattr(self.inner, name))

    for name in list(cls.__abstractmethods__):
        setattr(cls, name, passed_on(name))
    cls.__abstractmethods__ = frozenset()
    return cls


def test_a_store_of_another_class_that_was_given_is_not_closed() -> None:
    store = _concrete(Foreign)(open_store("memory://"))  # type: ignore[call-arg, type-abstract]
    handle = StoreHandle(store)
    say_blocking(handle, "hello")
    handle.close()
    del handle
    gc.collect()
    background_loop().wait(lambda: asyncio.sleep(0))
    assert not store.closed  # type: ignore[attr-defined]
    background_loop().wait(store.inner.close)  # type: ignore[attr-defined]


def test_handles_of_one_url_share_its_store(place: str) -> None:
    first, second = StoreHandle(place), StoreHandle(place)
    told_more = StoreHandle(place, ttl="1h")

    store = first.background_store()
    assert second.background_store() is store
    assert told_more.background_store() is not store

    first.close()
    first.close()
    second.run_blocking(lambda store: store.append("s", Message.user("hello"), create=True))
    assert second.run_blocking(lambda store: store.count("s")) == 1
    second.close()
    assert isinstance(store, Store)
    assert store.closed


def test_private_memory_is_not_shared() -> None:
    first, second = StoreHandle("memory://"), StoreHandle("memory://")

    first.run_blocking(lambda store: store.append("s", Message.user("hello"), create=True))
    assert first.background_store() is not second.background_store()
    with pytest.raises(SessionNotFoundError):
        second.run_blocking(lambda store: store.get("s"))
