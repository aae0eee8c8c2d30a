"""Registers the scheme ``memory``."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.hookspecs import BackendFactory, hookimpl
from miniagent_store.provider import Provider


def _load() -> BackendFactory:
    from miniagent_backends.memory.backend import open_memory

    return open_memory


@hookimpl
def provide_backends() -> Iterable[Provider[BackendFactory]]:
    return [
        Provider("memory", _load, summary="in this process; memory://name is shared between its stores")
    ]
