"""The blocking face of a store: derived from the async one, not copied.

Every call is handed to the background loop of the process and waited for, so any thread may call, with a
loop of its own or without.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from miniagent_store.background_loop import END, DistantIterator, background_loop
from miniagent_store.errors import WrongLoopError
from miniagent_store.handle import StoreHandle
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

T = TypeVar("T")


class Caller:
    """Runs coroutines in the background loop, and holds the handle of the store that they belong to.

    Args:
        handle: what is closed when nothing refers to it any more.
    """

    def __init__(self, handle: StoreHandle) -> None:
        self._handle = handle

    def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` to its end and give what it returns or raises."""
        return background_loop().wait(work)


class BlockingFace:
    """An object of the async face whose calls block.

    Coroutines are waited for, ``async with`` becomes ``with``, async iterators become iterators, and
    handles (state, kv, cache, batch, turn) become faces like this one.
    """

    def __init__(self, caller: Caller, target: Any) -> None:
        self._caller, self._target = caller, target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._target, name)
        if inspect.isroutine(value) or inspect.isfunction(value):
            return _blocking_call(self._caller, value)
        return _face(self._caller, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._target, name, value)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __repr__(self) -> str:
        return f"<blocking {self._target!r}>"

    def __enter__(self) -> Any:
        entered = self._caller(self._target.__aenter__)
        return self if entered is self._target else _face(self._caller, entered)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._caller(lambda: self._target.__aexit__(kind, error, trace))


def _blocking_call(caller: Caller, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        async def work() -> Any:
            named = {name: _behind(value) for name, value in kwargs.items()}
            result = function(*map(_behind, args), **named)
            return await result if inspect.isawaitable(result) else result

        return _face(caller, caller(work))

    return call


def _behind(value: Any) -> Any:
    """What the async face takes, such as the lease behind a face of it."""
    return value._target if isinstance(value, BlockingFace) else value


def _face(caller: Caller, value: Any) -> Any:
    if isinstance(value, AsyncIterator):
        return _iterate(value)
    if inspect.isfunction(value):
        return _blocking_call(caller, value)
    if isinstance(value, AbstractAsyncContextManager) or _has_async_methods(type(value)):
        return BlockingFace(caller, value)
    return value


_known: dict[type, bool] = {}


def _has_async_methods(cls: type) -> bool:
    if cls not in _known:
        _known[cls] = cls.__module__.startswith("miniagent_store.") and any(
            inspect.iscoroutinefunction(getattr(cls, name, None)) for name in dir(cls)
        )
    return _known[cls]


def _iterate(source: AsyncIterator[T]) -> Iterator[T]:
    loop = background_loop()
    items = DistantIterator(source)
    try:
        while (value := loop.wait(items.step)) is not END:
            yield value
    finally:
        # Not waited for: this may be the garbage collector, in any thread, or after the loop has ended.
        with suppress(WrongLoopError):
            loop.submit(items.aclose)


if TYPE_CHECKING:
    # Derived from the async face by tests/store/blocking_stub.py.
    from miniagent_store.blocking_calls import StoreCalls  # pyright: ignore[reportMissingModuleSource]
else:
    StoreCalls = BlockingFace


class BlockingStore(StoreCalls):
    """A store without async: the calls of `SessionStore`, each of which blocks.

    Use it in a ``with``, or call `close`; what is left open is closed at exit. May be shared by threads,
    used on in a child after a fork, and pickled; handles such as `state` and `kv` belong to the process
    that asked for them.

    Args:
        handle: brings calls to the store.
    """

    def __init__(self, handle: StoreHandle) -> None:
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_caller", Caller(handle))

    @property
    def _target(self) -> SessionStore:
        handle: StoreHandle = self._handle
        return handle.background_store()

    def __reduce__(self) -> tuple[Any, ...]:
        return BlockingStore, (self._handle,)

    def __repr__(self) -> str:
        return f"<blocking store {self._handle.url}>"

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Connect now; otherwise the first call does."""
        self._caller(self._target.open)
        return self

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        self._handle.close()


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
    return BlockingStore(StoreHandle(url, **options))
