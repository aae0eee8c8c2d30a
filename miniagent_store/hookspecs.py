"""All that a plugin can do, on one page.

A plugin is a module (or object) registered under the entry-point group ``miniagent_store`` whose
functions carry `hookimpl`. Built-ins are registered in the same way. *Providing* hooks return
`Provider` values: names now, imports when the thing is first used. *Observing* hooks are called around
the life of sessions; those whose names start with ``before_`` may change or refuse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pluggy

from miniagent_store.provider import Provider

if TYPE_CHECKING:
    from miniagent_store.agent.models import ChatModel
    from miniagent_store.backend import Backend, BackendOptions, ConnectionEvent
    from miniagent_store.embedder import Embedder
    from miniagent_store.keys.provider import KeyProvider
    from miniagent_store.operation import Operation
    from miniagent_store.serializer import Layer, LegacyReader, Serializer
    from miniagent_store.store.draft import CommitDraft
    from miniagent_store.url import StoreURL
    from miniagent_store.values import Session, Snapshot
    from miniagent_store.vector_index import IndexFactory

PROJECT = "miniagent_store"
hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)


BackendFactory = Callable[["StoreURL", "BackendOptions"], "Backend"]


# -- providing ---------------------------------------------------------------------------------------


@hookspec
def provide_backends() -> Iterable[Provider[BackendFactory]]:
    """Backends, one provider a URL scheme; `load` returns a factory ``(url, options) -> Backend``."""
    return ()


@hookspec
def provide_serializers() -> Iterable[Provider[Serializer]]:
    """Serializers: value ↔ bytes."""
    return ()


@hookspec
def provide_layers() -> Iterable[Provider[Layer]]:
    """Layers around serializers: compression, integrity, encryption."""
    return ()


@hookspec
def provide_legacy_readers() -> Iterable[Provider[LegacyReader]]:
    """Readers for ``legacy=``: values that other programs wrote, without an envelope."""
    return ()


@hookspec
def provide_key_providers() -> Iterable[Provider[Callable[[], KeyProvider]]]:
    """Key services for ``keys=provider:<name>``; `load` returns what makes one, without arguments."""
    return ()


@hookspec
def provide_models() -> Iterable[Provider[Callable[[str], ChatModel]]]:
    """Chat models; ``echo`` serves "echo", ``openai`` serves ``openai:<rest>``: `load()(rest)`."""
    return ()


@hookspec
def provide_embedders() -> Iterable[Provider[Callable[[str], Embedder]]]:
    """Embedders; ``openai`` serves ``openai:<rest>``: `load()(rest)`."""
    return ()


@hookspec
def provide_vector_indexes() -> Iterable[Provider[IndexFactory]]:
    """Indexes for memories: exact ones, those of a server."""
    return ()


@hookspec
def provide_observers() -> Iterable[Provider[Callable[[], Any]]]:
    """Observers for ``observe=<name>``; `load` returns what makes a plugin, without arguments."""
    return ()


# -- observing and shaping ---------------------------------------------------------------------------


@hookspec
def session_created(session: Session) -> None:
    """A session was created by this store."""


@hookspec
def session_resumed(session: Session) -> None:
    """An agent took up an existing session."""


@hookspec
def session_ended(session_id: str) -> None:
    """A session was deleted or ended by this store."""


@hookspec
def session_expired(session_id: str) -> None:
    """An expired session is being removed; told once, or again if the sweep that told it died then."""


@hookspec
def session_archive(session: Session, snapshot: Snapshot) -> Awaitable[None] | None:
    """A session has expired and is about to be removed: the last time that it can be read, as a whole.

    May be a coroutine function. If it raises, the session is not removed, and comes again later; it may
    come again too if the process dies right after.
    """


@hookspec
def before_commit(draft: CommitDraft) -> None:
    """A commit is about to be encoded. May change the draft, or raise `VetoedError` to refuse it."""


@hookspec
def after_commit(session: Session, draft: CommitDraft) -> None:
    """A commit was applied."""


@hookspec
def store_error(operation: str, session_id: str | None, error: BaseException) -> None:
    """An operation failed for good."""


@hookspec
def store_retry(operation: str, session_id: str | None, attempt: int, error: BaseException) -> None:
    """An operation is about to be tried again with the same identity."""


@hookspec
def connection_event(event: ConnectionEvent) -> None:
    """A connection to the backend was made or lost, or another server is the one to speak to."""


@hookspec
def lock_acquired(name: str, waited: float) -> None:
    """A lock or turn was taken by this store, after so many seconds."""


@hookspec
def lock_lost(name: str) -> None:
    """A lock or turn of this store was lost before it was released."""


@hookspec
def observe(operation: Operation) -> AbstractContextManager[Any] | None:
    """An operation begins; what is returned is entered before it and left after it.

    At its exit `operation` tells how it went. It is the same object all along, an `Operation` of a store
    or an `AgentOperation`.
    """


def providing_hooks() -> dict[str, str]:
    """Names of the providing hooks and what they provide, in words."""
    return {
        "provide_backends": "backend",
        "provide_serializers": "serializer",
        "provide_layers": "layer",
        "provide_legacy_readers": "legacy reader",
        "provide_key_providers": "key provider",
        "provide_models": "model",
        "provide_observers": "observer",
        "provide_embedders": "embedder",
        "provide_vector_indexes": "vector index",
    }


def is_observer(name: str, plugin: Any) -> bool:
    """Whether `plugin` implements the observing hook `name`."""
    return name not in providing_hooks() and callable(getattr(plugin, name, None))
