"""One event loop of the process that belongs to no caller, in a daemon thread of its own.

Blocking code and foreign event loops reach stores through it. It starts on first need, and at exit closes
the stores that were left open in it. After a fork the child has none of it: it makes its own.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from miniagent_store.errors import WrongLoopError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.url import StoreURL

T = TypeVar("T")
END = object()
# At exit a server that does not answer must not hold the process.
LAST_WAIT = 5.0


class BackgroundLoop:
    """An event loop in a daemon thread, and the stores that were opened for it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="miniagent-store", daemon=True)
        # Reentrant: a handle may be collected, and give back its store, in a thread that has the lock.
        self._lock, self._ending = threading.RLock(), False
        self._holders: Counter[SessionStore] = Counter()
        self._known: dict[Hashable, SessionStore] = {}
        self._pid = os.getpid()
        self._closing: set[concurrent.futures.Future[None]] = set()
        self._thread.start()
        atexit.register(self.stop)

    def submit(self, work: Callable[[], Awaitable[T]]) -> concurrent.futures.Future[T]:
        """Begin a coroutine in the loop, with the caller's context variables.

        Raises:
            WrongLoopError: the loop has ended, or is that of the process which this one was forked from.
        """
        if self._pid != os.getpid():
            raise WrongLoopError(whose="the process that this one was forked from")
        with self._lock:
            if not self._ending:
                return self._submit(work)
        raise WrongLoopError(whose="a loop that has ended with the process", instead="call it earlier")

    def _submit(self, work: Callable[[], Awaitable[T]]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(_begun(work), self._loop)

    def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine in the loop, and block the caller's thread until it is done.

        Raises:
            WrongLoopError: called from the loop itself, which would wait for ever.
        """
        if threading.current_thread() is self._thread:
            raise WrongLoopError(
                "this thread",
                whose="the event loop that blocking calls wait for",
                instead="use the async calls here",
            )
        try:
            future = self.submit(work)
            try:
                return future.result()
            finally:
                future.cancel()
        except BaseException:
            if self._ending and threading.current_thread().daemon:
                # The process ends, and this thread with it, in the middle of whatever it does.
                time.sleep(LAST_WAIT)
            raise

    def is_current(self) -> bool:
        """Whether the caller runs in this loop's thread."""
        return threading.current_thread() is self._thread

    def borrow(self, known_as: Hashable, make: Callable[[], SessionStore]) -> SessionStore:
        """A store that others may hold too, to be given back; closed at exit if it was not.

        Args:
            known_as: stores of the same name are one, unless their data lives in them.
            make: makes it, without I/O, if nobody holds one of that name.
        """
        with self._lock:
            store = self._known.get(known_as)
            if store is None:
                store = make()
                in_it = isinstance(store, Store) and store.holds_its_data
                if not (in_it and isinstance(known_as, StoreURL)):
                    self._known[known_as] = store
            self._holders[store] += 1
            return store

    def give_back(self, store: SessionStore) -> concurrent.futures.Future[None] | None:
        """Begin to close a store if nobody else holds it; None where there is nothing to close."""
        with self._lock:
            self._holders[store] -= 1
            if self._holders[store] > 0:
                return None
            return self._close(store)

    def _close(self, store: SessionStore) -> concurrent.futures.Future[None] | None:
        with self._lock:
            if self._holders.pop(store, None) is None:
                return None
            self._known = {name: each for name, each in self._known.items() if each is not store}
        with suppress(WrongLoopError):
            closing = self.submit(store.close)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            return closing
        return None

    def stop(self) -> None:
        """Close what is open and end the thread."""
        atexit.unregister(self.stop)
        with self._lock:
            if self._ending:
                return
            self._ending = True
        closing = [self._submit(store.close) for store in [*self._holders]]
        concurrent.futures.wait([*closing, *self._closing], LAST_WAIT)
        # Who waits for an answer hears that there will be none.
        concurrent.futures.wait([self._submit(_cancel_all)], LAST_WAIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LAST_WAIT)
        if not self._thread.is_alive():
            self._loop.close()


class DistantIterator(Generic[T]):
    """An async iterator that is asked for its items in a background loop, one call after the other.

    Who waits for an item may leave before that step has ended, and close at once.

    Args:
        source: what is iterated.
    """

    def __init__(self, source: AsyncIterator[T]) -> None:
        self._items = source
        self._stepping = asyncio.Lock()  # used in the background loop only

    async def step(self) -> T | Any:
        """The next item, or `END`."""
        async with self._stepping:
            return await anext(self._items, END)

    async def aclose(self) -> None:
        """Let go of it."""
        async with self._stepping:
            await let_go(self._items)


async def let_go(source: AsyncIterator[Any]) -> None:
    """Close an async iterator that can be closed."""
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


async def _begun(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


_lock = threading.RLock()
_current: BackgroundLoop | None = None
# A child's copies of its parent's loop and connections: to close or to free them would reach into what
# the parent still uses (an epoll set, SQLite's locks), so they stay as they are.
_left_behind: list[Any] = []


def background_loop() -> BackgroundLoop:
    """The loop of this process, started now if there is none."""
    global _current
    with _lock:
        if _current is None:
            _current = BackgroundLoop()
        return _current


def _forget() -> None:
    global _current, _lock
    _lock = threading.RLock()
    if _current is not None:
        atexit.unregister(_current.stop)
        _left_behind.append(_current)
        _current = None


os.register_at_fork(after_in_child=_forget)
