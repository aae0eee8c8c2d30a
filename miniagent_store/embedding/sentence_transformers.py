"""The embedder ``sentence-transformers``: transformers in this process (the package of that name)."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from miniagent_store.embedding.local import Encode, LocalModel
from miniagent_store.errors import ConfigurationError

# Not imported by name: types would be looked for in gigabytes that few have installed.
_package: Any = import_module("sentence_transformers")


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
            "say which model: 'sentence-transformers:<name or folder>', such as "
            "'sentence-transformers:all-MiniLM-L6-v2'"
        )

    def load() -> tuple[Encode, int]:
        transformer: Any = _package.SentenceTransformer(model)

        def encode(texts: list[str], query: bool) -> Any:
            # Models that tell questions from answers have a prompt for each.
            ask = transformer.encode_query if query else transformer.encode_document
            return ask(texts, show_progress_bar=False)

        # Of version 5 it has the longer name.
        named = "get_embedding_dimension", "get_sentence_embedding_dimension"
        found = next(getattr(transformer, each) for each in named if hasattr(transformer, each))
        return encode, int(found())

    return LocalModel(f"sentence-transformers:{model}", load)
