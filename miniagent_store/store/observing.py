"""Calls of a store as operations that observers are entered around; nothing of it runs unless asked for."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from miniagent_store.operation import Operation, Place, current_operation
from miniagent_store.store.latency import LatencyRecorder
from miniagent_store.values import Latency, Page, Session

if TYPE_CHECKING:
    from miniagent_store.options import StoreOptions
    from miniagent_store.plugins import Plugins
    from miniagent_store.store.core import StoreCore
    from miniagent_store.store.draft import CommitDraft
    from miniagent_store.store.retrying import Retrying
    from miniagent_store.url import StoreURL

logger: logging.Logger = logging.getLogger("miniagent_store")
Observer = Callable[[Operation], AbstractContextManager[Any] | None]
AnyOperation = TypeVar("AnyOperation", bound=Operation)
# Records that are nobody's conversation; their ids may name users and keys.
NO_CONVERSATIONS = ("kv/", "user/", "usage/")
# Operations that are about a key, or a topic, which may be a user's.
NO_SESSIONS = ("cache", "lock", "rate", "watch")
LIFE_CYCLE = {"open", "close"}


class Observing:
    """Enters observers around operations. One that fails is logged and harms nobody.

    An operation within another of the same task is part of it: `pop` is one, though it reads and commits.

    Args:
        observers: called with each operation; may return what is entered around it.
        recorder: told of each operation of the store that has ended; None for nobody.
        place: where the operations go.
    """

    observers: Sequence[Observer]
    recorder: LatencyRecorder | None
    place: Place

    def __init__(
        self, observers: Sequence[Observer], recorder: LatencyRecorder | None, place: Place
    ) -> None:
        self.observers, self.recorder, self.place = observers, recorder, place

    def operation(self, name: str, session_id: str | None) -> AbstractContextManager[Operation]:
        """A call of the store, or the one that it is part of."""
        outer = current_operation.get()
        if outer is not None and outer.seconds is None:
            return nullcontext(outer)
        if session_id and (session_id.startswith(NO_CONVERSATIONS) or name.startswith(NO_SESSIONS)):
            session_id = None
        return _Observed(self, Operation(name, session_id, self.place), self.recorder)

    def around(self, operation: AnyOperation) -> AbstractContextManager[AnyOperation]:
        """An operation that is none of the store's."""
        return _Observed(self, operation, None)

    def attach(self, core: StoreCore) -> None:
        """Observe whatever passes a core."""
        commit, read = core.commit, core.read

        async def observed_commit(draft: CommitDraft, *, operation: str, **rest: Any) -> Any:
            with self.operation(operation, draft.session_id) as seen:
                result = await commit(draft, operation=operation, **rest)
                _add_entries(seen, sum(1 for _ in draft.entries))
                return result

        async def observed_read(plan: Any) -> Any:
            name = "state.read" if (plan.names or plan.scans) and not plan.ranges else "read"
            with self.operation(name, plan.session_id) as seen:
                result = await read(plan)
                _add_entries(seen, sum(map(len, result.entries)))
                return result

        vars(core).update(commit=observed_commit, read=observed_read)
        self.attach_retrying(core.retrying)

    def attach_retrying(self, retrying: Retrying) -> None:
        """Observe calls of a backend."""
        attempt = retrying.attempt

        async def observed_attempt(operation: str, session_id: str, once: Any, **rest: Any) -> Any:
            with self.operation(operation, session_id or None) as seen:
                result = await attempt(operation, session_id, once, **rest)
                if operation == "cache.get":
                    seen.hits += sum(1 for each in result if each is not None)
                    seen.misses += sum(1 for each in result if each is None)
                return result

        vars(retrying).update(attempt=observed_attempt)

    def attach_calls(self, store: Any) -> None:
        """Observe the public calls of a store under their own names."""
        for name in dir(type(store)):
            call = getattr(type(store), name)
            if not name.startswith("_") and name not in LIFE_CYCLE and inspect.iscoroutinefunction(call):
                vars(store)[name] = self._observed_call(name, getattr(store, name))

    def attach_wait(self, holder: Any, name: str, session_id: str | None) -> None:
        """Observe how long a lease is waited for."""
        acquire = holder.acquire

        async def observed_acquire(*args: Any, **more: Any) -> Any:
            with self.operation(name, session_id):
                return await acquire(*args, **more)

        vars(holder).update(acquire=observed_acquire)

    def _observed_call(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        names_session = next(iter(inspect.signature(call).parameters), None) == "session_id"

        @functools.wraps(call)
        async def observed(*args: Any, **more: Any) -> Any:
            session_id = (args[0] if args else more.get("session_id")) if names_session else None
            with self.operation(name, session_id) as seen:
                result = await call(*args, **more)
                if isinstance(result, Page):
                    seen.entries = len(result.items)
                elif seen.session_id is None and isinstance(result, Session):
                    seen.session_id = result.id
                return result

        return observed


def _add_entries(operation: Operation, count: int) -> None:
    if count:
        operation.entries = (operation.entries or 0) + count


class _Observed(AbstractContextManager[AnyOperation], Generic[AnyOperation]):
    """An operation while it runs."""

    __slots__ = ("_entered", "_observing", "_operation", "_recorder", "_token")

    def __init__(
        self, observing: Observing, operation: AnyOperation, recorder: LatencyRecorder | None
    ) -> None:
        self._observing, self._operation, self._recorder = observing, operation, recorder
        self._entered: list[AbstractContextManager[Any]] = []
        self._token: Any = None

    def __enter__(self) -> AnyOperation:
        operation = self._operation
        if type(operation) is Operation:
            self._token = current_operation.set(operation)
        operation.started = time.perf_counter()
        for observe in self._observing.observers:
            try:
                context = observe(operation)
                if context is not None:
                    context.__enter__()
                    self._entered.append(context)
            except Exception:
                logger.exception("an observer of %s failed", operation.name)
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        operation = self._operation
        operation.seconds = time.perf_counter() - operation.started
        operation.error = error
        if self._token is not None:
            current_operation.reset(self._token)
        if self._recorder is not None:
            self._recorder.record(operation)
        for context in reversed(self._entered):
            try:
                context.__exit__(kind, error, trace)
            except Exception:
                logger.exception("an observer of %s failed", operation.name)
        # What an observer keeps must not keep the whole stack alive.
        operation.error = None


class Measured(TypedDict, total=False):
    """What `Stats` has of times and retries; nothing without ``measure=true``."""

    latency: dict[str, Latency]
    retried: dict[str, int]


def measured(core: StoreCore) -> Measured:
    """Times and retries of a store's operations so far."""
    if core.observing is None or core.observing.recorder is None:
        return {}
    recorder = core.observing.recorder
    return {"latency": recorder.latency(), "retried": recorder.retries()}


def observing_for(plugins: Plugins, options: StoreOptions, url: StoreURL, backend: str) -> Observing | None:
    """What observes a store; None where nobody asked for it."""
    observers = plugins.observers()
    recorder = LatencyRecorder() if options.measure else None
    if not observers and recorder is None:
        return None
    host, port = url.hosts[0] if url.hosts else ("", None)
    server = f"{host}:{port}" if host and port else host
    # Of a file its name, not where on this machine it is.
    database = url.path.rpartition("/")[2]
    if backend == "redis" and not host:
        server, database = url.path, ""
    return Observing(observers, recorder, Place(backend, options.namespace, server, database))
