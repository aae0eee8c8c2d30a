"""Registers the indexes that need no server."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider
from miniagent_store.vector_index import IndexFactory


def _load_exact() -> IndexFactory:
    from miniagent_store.indexing.exact import CAPABILITIES, ExactIndex

    return IndexFactory(ExactIndex, CAPABILITIES["float32"])


def _load_int8() -> IndexFactory:
    from miniagent_store.indexing.exact import CAPABILITIES, ExactIndex

    return IndexFactory(partial(ExactIndex, precision="int8"), CAPABILITIES["int8"])


def _load_near() -> IndexFactory:
    from miniagent_store.indexing.near import CAPABILITIES, NearIndex

    return IndexFactory(NearIndex, CAPABILITIES)


@hookimpl
def provide_vector_indexes() -> Iterable[Provider[IndexFactory]]:
    return [
        Provider(
            "exact",
            _load_exact,
            summary="compares with each vector, in the process",
            package="numpy",
            extra="memory",
        ),
        Provider(
            "exact:int8",
            _load_int8,
            summary="as exact, in a quarter of the memory",
            package="numpy",
            extra="memory",
        ),
        Provider(
            "usearch",
            _load_near,
            summary="a graph of neighbours in the process, for large scopes",
            package="usearch",
            extra="usearch",
        ),
    ]
