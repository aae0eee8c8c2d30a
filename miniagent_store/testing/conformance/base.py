"""Fixtures and helpers that all parts of the suite share."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pytest
import pytest_asyncio

from miniagent_store.backend import Append, Backend, Commit, CommitIdentity, Create, NewEntry
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.factory import open_store
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.testing.report import note_backend
from miniagent_store.values import MESSAGES, Message, Session

T = TypeVar("T")
# Long enough for a busy machine; nothing waits so long unless a promise is broken.
PATIENCE = 20.0


class OpenHere(Protocol):
    """Opens one more store on the URL under test; it is closed after the test."""

    async def __call__(self, **options: Any) -> SessionStore: ...


class ConformanceBase:
    """What the author gives, and what each test is given.

    Attributes:
        same_place: whether a second store opened on the same URL in this process sees the same sessions;
            None: as `Capabilities.shared` says.
    """

    same_place: ClassVar[bool | None] = None

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        """The URL under test; the author's to give."""
        raise NotImplementedError("give your test class a fixture store_url that returns a URL")

    @pytest.fixture
    def store_options(self) -> dict[str, Any]:
        """Options for every store of the test, such as a serializer."""
        return {}

    @pytest_asyncio.fixture(loop_scope="function")
    async def open_here(
        self, request: pytest.FixtureRequest, store_url: str, store_options: dict[str, Any]
    ) -> AsyncGenerator[OpenHere, None]:
        """Opens stores on the URL under test, in the test's own namespace."""
        common = {"namespace": f"test-{os.urandom(6).hex()}", **store_options}
        async with AsyncExitStack() as stack:

            async def open_one(**options: Any) -> SessionStore:
                every = {**common, **options}
                # What the backend comes from may be a plugin itself.
                every["plugins"] = [*common.get("plugins", ()), *options.get("plugins", ())]
                store = await stack.enter_async_context(open_store(store_url, **every))
                backend = backend_of(store)
                note_backend(request.node, backend.name, backend.capabilities)
                return store

            yield open_one

    @pytest_asyncio.fixture(loop_scope="function")
    async def store(self, open_here: OpenHere) -> SessionStore:
        """The store under test, opened."""
        return await open_here()

    @pytest.fixture
    def backend(self, store: SessionStore) -> Backend:
        """The backend of the store under test, opened."""
        return backend_of(store)

    @pytest_asyncio.fixture(loop_scope="function")
    async def other(self, store: SessionStore, backend: Backend, open_here: OpenHere) -> SessionStore:
        """A second store on the same sessions, with connections and caches of its own."""
        shared = backend.capabilities.shared if self.same_place is None else self.same_place
        if not shared:
            pytest.skip("each store on this URL has its own sessions")
        return await open_here()

    @pytest_asyncio.fixture(loop_scope="function")
    async def session(self, store: SessionStore) -> Session:
        """A fresh session."""
        return await store.create(user_id="ada", agent="helper")


def backend_of(store: SessionStore) -> Backend:
    """The backend under an opened store."""
    assert isinstance(store, Store)
    return store._core.backend


# -- waiting -----------------------------------------------------------------------------------------


async def eventually(condition: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """What `condition` returns once it is true; it may be a coroutine function.

    Raises:
        AssertionError: it did not become true in time.
    """
    last: Any = None
    try:
        async with asyncio.timeout(within):
            while True:
                last = condition()
                if inspect.isawaitable(last):
                    last = await last
                if last:
                    return last
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not come true within {within:g} s; it was {last!r}") from None


async def changed_until(backend: Backend, cursor: str, last: str) -> set[str]:
    """Ids of the sessions that changed after a cursor, up to the change of `last`, which must come."""
    seen: set[str] = set()

    async def complete() -> bool:
        nonlocal cursor
        changes, cursor = await backend.changes(cursor, 10)
        seen.update(change.session_id for change in changes)
        return last in seen

    await eventually(complete)
    return seen


async def soon(work: Awaitable[T], *, within: float = PATIENCE) -> T:
    """The result of `work`, which must not hang."""
    async with asyncio.timeout(within):
        return await work


async def gone(store: SessionStore, session_id: str) -> None:
    """Wait until a session has expired."""

    async def is_gone() -> bool:
        try:
            await store.get(session_id)
        except SessionNotFoundError:
            return True
        return False

    await eventually(is_gone)


async def take(stream: AsyncIterator[T], count: int) -> list[T]:
    """The next so many items of a stream."""
    return [await soon(anext(stream)) for _ in range(count)]


# -- making ------------------------------------------------------------------------------------------


async def say(store: SessionStore, session_id: str, *texts: str, log: str = MESSAGES) -> Session:
    """Append one message a text, each with a commit of its own; the session afterwards."""
    session = None
    for text in texts:
        session = await store.append(session_id, Message.user(text), log=log)
    assert session is not None
    return session


async def texts(store: SessionStore, session_id: str, log: str = MESSAGES) -> list[Any]:
    """The contents of all entries of a log."""
    return contents(entry.value for entry in await store.entries(session_id, log=log))


def contents(messages: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The content of each message."""
    return [message["content"] for message in messages]


def identity(
    backend: Backend, counter: int = 1, *, writer: str = "writer", lasts_ms: int = 10_000
) -> CommitIdentity:
    """The identity of a commit that is good for `lasts_ms`."""
    return CommitIdentity(writer, counter, backend.now_ms() + lasts_ms)


def commit(
    backend: Backend, session_id: str, counter: int = 1, *, writer: str = "writer", **fields: Any
) -> Commit:
    """A commit as the store would make it."""
    who = fields.pop("identity", None) or identity(backend, counter, writer=writer)
    return Commit(session_id, who, backend.now_ms(), **fields)


def entry(payload: bytes = b"payload", *, caller_id: str | None = None, time_ms: int = 1_000) -> NewEntry:
    """A new entry; one with a caller's id has its payload for a digest."""
    digest = payload if caller_id is not None else None
    return NewEntry(os.urandom(12), time_ms, payload, caller_id, digest)


def append(*payloads: bytes, log: str = MESSAGES) -> tuple[Append]:
    """The changes of a commit that appends."""
    return (Append(log, tuple(entry(payload) for payload in payloads)),)


async def make(backend: Backend, session_id: str, *payloads: bytes, **create: Any) -> None:
    """A session with these entries, made below the store."""
    changes = append(*payloads) if payloads else ()
    await backend.commit(
        commit(backend, session_id, writer="maker", create=Create(**create), changes=changes)
    )


def payloads(entries: Sequence[Any]) -> list[bytes]:
    """The payload of each stored entry."""
    return [each.payload for each in entries]
