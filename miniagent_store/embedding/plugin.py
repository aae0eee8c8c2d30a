"""Registers the embedders ``hash``, ``openai``, ``model2vec`` and ``sentence-transformers``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from miniagent_store.embedder import Embedder
from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider

Make = Callable[[str], Embedder]


def _load_hash() -> Make:
    from miniagent_store.embedding.hashing import make

    return make


def _load_openai() -> Make:
    from miniagent_store.embedding.openai import OpenAIEmbedder

    return OpenAIEmbedder


def _load_model2vec() -> Make:
    from miniagent_store.embedding.static_model import make

    return make


def _load_sentence_transformers() -> Make:
    from miniagent_store.embedding.sentence_transformers import make

    return make


@hookimpl
def provide_embedders() -> Iterable[Provider[Make]]:
    return [
        Provider("hash", _load_hash, summary="offline: words and their parts; knows no meaning"),
        Provider(
            "openai",
            _load_openai,
            summary="openai:<model>, at OpenAI or any compatible endpoint",
            package="openai",
            extra="openai",
        ),
        Provider(
            "model2vec",
            _load_model2vec,
            summary="model2vec:<name or folder>: in the process, small and quick",
            package="model2vec",
            extra="model2vec",
        ),
        Provider(
            "sentence-transformers",
            _load_sentence_transformers,
            summary="sentence-transformers:<name or folder>: in the process, by torch",
            package="sentence-transformers",
            extra="sentence-transformers",
        ),
    ]
