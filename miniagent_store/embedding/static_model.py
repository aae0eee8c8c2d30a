"""The embedder ``model2vec``: a table of vectors of words, small and quick (package ``model2vec``)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from model2vec import StaticModel

from miniagent_store.embedding.local import Encode, LocalModel
from miniagent_store.errors import ConfigurationError


@lru_cache(maxsize=8)
def make(model: str) -> LocalModel:
    """An embedder of a model, one a process.

    Args:
        model: its name at the Hugging Face Hub, or a folder.

    Raises:
        ConfigurationError: none is named.
    """
    if not model:
        raise ConfigurationError(
            "say which model: 'model2vec:<name or folder>', such as 'model2vec:minishlab/potion-base-8M'"
        )

    def load() -> tuple[Encode, int]:
        static: Any = StaticModel.from_pretrained(model)
        return lambda texts, query: static.encode(texts), static.dim

    return LocalModel(f"model2vec:{model}", load)
