"""A store that any event loop and any thread may call: what integrations with other frameworks hold.

Frameworks call their session layer from wherever they run: a fresh event loop for each call, a thread
pool, a blocking function inside a running loop. A store belongs to one loop. A handle brings each call to
a store that belongs to the loop it runs in.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from miniagent_store.background_loop import END, BackgroundLoop, DistantIterator, background_loop, let_go
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import InvalidArgumentError, StoreClosedError
from miniagent_store.factory import default_url, open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.url import StoreURL

T = TypeVar("T")
Work = Callable[[SessionStore], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class _Borrowed:
    """A store in the background loop, and how to give it back; to do so again does nothing."""

    store: SessionStore
    give_back: Callable[[], Future[None] | None]


class StoreHandle:
    """Brings calls to a store, from any event loop and any thread.

    Given a `SessionStore` that is open, calls in its own loop go straight to it. All others, and all
    calls of a handle that was given a URL, run in one background loop of the process, on connections of
    their own that are made when they are first needed. Handles of the same URL or store share them, and the
    last one closes them, at exit at the latest. In a child after a fork they are made anew.

    No I/O when it is made. Pickles as URL and options, the URL's password included.

    Args:
        source: a URL; a store, which is not closed with the handle; another handle; by default as
            `open_store`.
        **options: as `open_store`, with a URL.

    Raises:
        InvalidArgumentError: options are given for a store that is made already.
    """

    def __init__(
        self, source: str | StoreURL | SessionStore | StoreHandle | None = None, **options: Any
    ) -> None:
        if isinstance(source, StoreHandle):
            if options:
                raise InvalidArgumentError("options belong to a URL; this is a handle already")
            options = source._options
            source = source._source
        if isinstance(source, SessionStore) and options:
            raise InvalidArgumentError("options belong to a URL; this is a store already")
        if not isinstance(source, SessionStore | StoreURL):
            source = StoreURL.parse(source or default_url())
        self._source: StoreURL | SessionStore = source
        self._options: dict[str, Any] = options
        self._closed = False
        # One; after a fork also the parent's, which stay as they are.
        self._distant: dict[BackgroundLoop, _Borrowed] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._source, self._options)

    def __repr__(self) -> str:
        return f"<StoreHandle {self.url}>"

    @property
    def url(self) -> str:
        """The store's URL, without secrets."""
        return str(self._source) if isinstance(self._source, StoreURL) else self._source.url

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    # Calls

    async def run(self, work: Work[T]) -> T:
        """Do `work` with a store that belongs to the loop it runs in; cancelling this cancels it.

        Raises:
            StoreClosedError: the handle or the store it was given is closed.
            Exception: whatever `work` raises.
        """
        near = self._near()
        if near is not None:
            return await work(near)
        loop, store = self._far()
        return await asyncio.wrap_future(loop.submit(lambda: work(store)))

    async def run_to_end(self, work: Work[T]) -> T:
        """As `run`, but `work` goes on to its end even if the caller is cancelled, again and again.

        For commits: whether they are stored is known before the caller goes on.
        """
        near = self._near()
        if near is not None:
            return await to_the_end(work(near))
        loop, store = self._far()
        # A future, not a task: a loop that ends cancels all of its tasks.
        return await to_the_end(asyncio.wrap_future(loop.submit(lambda: work(store))))

    def run_blocking(self, work: Work[T]) -> T:
        """Do `work` in the background loop, and block this thread until it is done.

        May be called from any thread, whether an event loop runs in it (which stands meanwhile) or not.

        Raises:
            WrongLoopError: called from the background loop itself.
            StoreClosedError: the handle or the store it was given is closed.
            Exception: whatever `work` raises.
        """
        loop, store = self._far()
        return loop.wait(lambda: work(store))

    async def iterate(self, source: Callable[[SessionStore], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
        """What an async iterator of the store gives, such as ``lambda store: store.replay(id)``."""
        near = self._near()
        if near is not None:
            items = source(near)
            try:
                async for item in items:
                    yield item
            finally:
                await let_go(items)
            return
        loop, store = self._far()
        far = DistantIterator(source(store))
        try:
            while (item := await asyncio.wrap_future(loop.submit(far.step))) is not END:
                yield item
        finally:
            await to_the_end(asyncio.wrap_future(loop.submit(far.aclose)))

    def background_store(self) -> SessionStore:
        """The store whose calls run in the background loop; made now if there is none."""
        return self._far()[1]

    # Ending it

    def close(self) -> None:
        """Let go of what was opened here, and wait until that is done; calls afterwards raise.

        May be called twice, and from any thread.
        """
        self._closed = True
        closing = self._let_go()
        if closing is not None and not background_loop().is_current():
            closing.result()

    async def aclose(self) -> None:
        """As `close`, without blocking the caller's loop."""
        self._closed = True
        closing = self._let_go()
        if closing is not None:
            await asyncio.wrap_future(closing)

    def _let_go(self) -> Any:
        borrowed = self._distant.get(background_loop())
        return None if borrowed is None else borrowed.give_back()

    # Which store

    def _near(self) -> SessionStore | None:
        """The store that was given, in its own loop."""
        self._check()
        source = self._source
        if isinstance(source, StoreURL):
            return None
        if isinstance(source, Store):
            return source if source.is_home() else None
        return source

    def _far(self) -> tuple[BackgroundLoop, SessionStore]:
        """The background loop of this process and the store in it."""
        self._check()
        loop = background_loop()
        borrowed = self._distant.get(loop)
        if borrowed is None:
            made = self._borrow(loop)
            # Two threads may come at once.
            borrowed = self._distant.setdefault(loop, made)
            if borrowed is not made:
                made.give_back()
        return loop, borrowed.store

    def _borrow(self, loop: BackgroundLoop) -> _Borrowed:
        source = self._source
        if isinstance(source, SessionStore) and not isinstance(source, Store):
            return _Borrowed(source, lambda: None)
        # Those that were told more than a URL are their own.
        known_as = object() if self._options else source
        store = loop.borrow(known_as, self._made)
        giving_back = weakref.finalize(self, loop.give_back, store)
        giving_back.atexit = False
        return _Borrowed(store, giving_back)

    def _made(self) -> SessionStore:
        before = next((each.store for each in self._distant.values()), self._source)
        if isinstance(before, StoreURL):
            return open_store(before, **self._options)
        assert isinstance(before, Store)
        return before.again()

    def _check(self) -> None:
        if self._closed:
            raise StoreClosedError("this handle of a store")
        if isinstance(self._source, Store) and self._source.closed:
            # It is not opened again, so what was opened beside it is of no more use.
            self._let_go()
            raise StoreClosedError


def handle_of(source: str | StoreURL | SessionStore | StoreHandle | None) -> StoreHandle:
    """A handle as it is, else a new one on what was given."""
    return source if isinstance(source, StoreHandle) else StoreHandle(source)


def _unpickled(
    cls: type[StoreHandle], source: StoreURL | SessionStore, options: dict[str, Any]
) -> StoreHandle:
    return cls(source, **options)
