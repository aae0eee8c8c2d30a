"""Brings the backend ``sqlite://``. Light: sqlite3 is imported when the first store is opened on it."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.hookspecs import BackendFactory, hookimpl
from miniagent_store.provider import Provider


@hookimpl
def provide_backends() -> Iterable[Provider[BackendFactory]]:
    """The provider of ``sqlite``."""
    return [
        Provider(
            name="sqlite",
            load=_load,
            options=frozenset({"synchronous"}),
            summary="a file on this machine, shared by its processes; durable on return",
        )
    ]


def _load() -> BackendFactory:
    from miniagent_backends.sqlite.backend import SqliteBackend

    return SqliteBackend.from_url
