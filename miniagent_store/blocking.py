"""The blocking face of a store: derived from the async one, not copied.

One daemon thread owns an event loop and the store's connections. Every call is handed to that loop and
waited for, so any thread may call, with a loop of its own or without.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

from miniagent_store.errors import StoreClosedError, StoreError, WrongLoopError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

T = TypeVar("T")
_END = object()


class LoopThread:
    """A daemon thread with an event loop, started on first need."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the thread's loop and wait for it.

        Raises:
            WrongLoopError: called from that loop itself, which would wait for ever, or after a fork.
        """
        loop = self._running()
        if threading.current_thread() is self._thread:
            raise WrongLoopError("this blocking store, called from its own thread,")
        future = asyncio.run_coroutine_threadsafe(_called(work), loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            raise WrongLoopError("this blocking store was opened before a fork and")
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="miniagent-store", daemon=True
                )
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """End the thread; may be called twice."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        # Not run_until_complete after the thread has ended: this thread may have a loop that is running.
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _called(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await work()


class BlockingFace:
    """An object of the async face whose calls block.

    Coroutines are waited for, ``async with`` becomes ``with``, async iterators become iterators, and
    handles (state, kv, cache, batch, turn) become faces like this one.
    """

    def __init__(self, thread: LoopThread, target: Any) -> None:
        self._thread, self._target = thread, target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._target, name)
        if inspect.isroutine(value) or inspect.isfunction(value):
            return _blocking_call(self._thread, value)
        return _face(self._thread, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._target, name, value)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __repr__(self) -> str:
        return f"<blocking {self._target!r}>"

    def __enter__(self) -> Self:
        entered = self._thread.run(self._target.__aenter__)
        return self if entered is self._target else _face(self._thread, entered)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(lambda: self._target.__aexit__(kind, error, trace))


def _blocking_call(thread: LoopThread, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        async def work() -> Any:
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return _face(thread, thread.run(work))

    return call


def _face(thread: LoopThread, value: Any) -> Any:
    if isinstance(value, AsyncIterator):
        return _iterate(thread, value)
    if inspect.isfunction(value):
        return _blocking_call(thread, value)
    if isinstance(value, AbstractAsyncContextManager) or _has_async_methods(type(value)):
        return BlockingFace(thread, value)
    return value


_known: dict[type, bool] = {}


def _has_async_methods(cls: type) -> bool:
    if cls not in _known:
        _known[cls] = cls.__module__.startswith("miniagent_store.") and any(
            inspect.iscoroutinefunction(getattr(cls, name, None)) for name in dir(cls)
        )
    return _known[cls]


def _iterate(thread: LoopThread, source: AsyncIterator[T]) -> Iterator[T]:
    async def step() -> Any:
        return await anext(source, _END)

    try:
        while (value := thread.run(step)) is not _END:
            yield value
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            thread.run(close)


class BlockingStore(BlockingFace):
    """A store without async: the calls of `SessionStore`, each of which blocks.

    Use it in a ``with``, or call `close`; what is left open is closed at exit.
    """

    def __init__(self, store: SessionStore) -> None:
        super().__init__(LoopThread(), store)
        self._closed = False
        atexit.register(self._close_quietly)

    def __getattr__(self, name: str) -> Any:
        if self._closed and not name.startswith("_"):
            raise StoreClosedError("this blocking store")
        return super().__getattr__(name)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Connect now; otherwise the first call does."""
        self._thread.run(self._target.open)
        return self

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        if self._closed:
            return
        object.__setattr__(self, "_closed", True)
        atexit.unregister(self._close_quietly)
        try:
            self._thread.run(self._target.close)
        finally:
            self._thread.stop()

    def _close_quietly(self) -> None:
        try:
            self.close()
        except StoreError:
            # At exit there is no one left to tell; what was acknowledged is stored.
            return


def open_store_sync(url: str | StoreURL | None = None, **options: Any) -> BlockingStore:
    """A blocking store for a URL; arguments and errors as `open_store`.

    Example:
        >>> from miniagent_store import Message, open_store_sync
        >>> with open_store_sync("memory://") as store:
        ...     session = store.create(user_id="ada")
        ...     with store.turn(session.id) as turn:
        ...         turn.append(Message.user("Hello"))
        ...     store.history(session.id)
        [Message(role='user', content='Hello')]
    """
    from miniagent_store.factory import open_store

    return BlockingStore(open_store(url, **options))
