"""Registers the embedder ``hash``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from miniagent_store.embedder import Embedder
from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider


def _load_hash() -> Callable[[str], Embedder]:
    from miniagent_store.embedding.hashing import HashEmbedder

    return lambda rest: HashEmbedder()


@hookimpl
def provide_embedders() -> Iterable[Provider[Callable[[str], Embedder]]]:
    return [Provider("hash", _load_hash, summary="offline: words and their parts; knows no meaning")]
