"""Registers the index ``exact``."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider
from miniagent_store.vector_index import IndexFactory


def _load_exact() -> IndexFactory:
    from miniagent_store.indexing.exact import CAPABILITIES, ExactIndex

    return IndexFactory(ExactIndex, CAPABILITIES)


@hookimpl
def provide_vector_indexes() -> Iterable[Provider[IndexFactory]]:
    return [
        Provider(
            "exact",
            _load_exact,
            summary="compares with each vector, in the process",
            package="numpy",
            extra="memory",
        )
    ]
