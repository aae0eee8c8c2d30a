"""The embedder ``openai``: any OpenAI-compatible endpoint, through the ``openai`` package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import openai

from miniagent_store.errors import ConfigurationError, EmbedderUnavailableError, EmbeddingError

# OpenAI takes 2,048 texts and 300,000 tokens a request; a character is a token at worst, mostly a quarter.
TEXTS_AT_ONCE = 256
CHARACTERS_AT_ONCE = 250_000
TIMEOUT = 30.0
RETRIES = 4


class OpenAIEmbedder:
    """Embeddings of one model.

    The address is `OPENAI_BASE_URL`, else OpenAI's own; the key is `OPENAI_API_KEY`. What is refused for
    now (429, 5xx, a connection that breaks) is asked again up to 4 times, later and later, or when the
    endpoint says. Its vectors are kept in the store's cache by content, so that the same text is not paid
    for twice.

    Args:
        model: the endpoint's name of it, such as "text-embedding-3-small"; with "@256" behind it, vectors
            of so many dimensions are asked for.
        client: instead of one made of the environment.

    Raises:
        ConfigurationError: `model` is empty, or there is no key.
    """

    cached: bool = True

    def __init__(self, model: str, *, client: openai.AsyncOpenAI | None = None) -> None:
        name, _, dimensions = model.partition("@")
        if not name or (dimensions and not dimensions.isdecimal()):
            raise ConfigurationError(
                "say which model: 'openai:<model>', such as 'openai:text-embedding-3-small', or "
                "'openai:text-embedding-3-small@256' for vectors of 256 dimensions"
            )
        self.name: str = f"openai:{model}"
        self.dimensions: int | None = int(dimensions) if dimensions else None
        self._model, self._asked = name, {"dimensions": int(dimensions)} if dimensions else {}
        self._client = client

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        """A vector for each text, in order; in as many requests as their number and size need.

        Raises:
            EmbedderUnavailableError: the endpoint cannot be reached, or refuses for now.
            EmbeddingError: it refuses for good, or its answer is none.
        """
        client = self._client = self._client or _client()
        found: list[Sequence[float]] = []
        for some in _batches(texts):
            found += await self._ask(client, some)
        return found

    async def _ask(self, client: openai.AsyncOpenAI, texts: list[str]) -> list[Sequence[float]]:
        asked: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        asked |= self._asked
        try:
            answer = await client.embeddings.create(**asked)
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            raise EmbedderUnavailableError(self.name, f"is not available: {_said(error)}") from error
        except openai.OpenAIError as error:
            raise EmbeddingError(self.name, f"refused: {_said(error)}") from error
        # Each says which text it is of; nothing says that they come in order.
        vectors = {each.index: each.embedding for each in answer.data}
        if len(answer.data) != len(texts) or sorted(vectors) != list(range(len(texts))):
            raise EmbeddingError(self.name, f"gave {len(answer.data)} vectors for {len(texts)} texts")
        return [vectors[at] for at in range(len(texts))]

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _batches(texts: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if batches[-1] and (len(batches[-1]) == TEXTS_AT_ONCE or size + len(text) > CHARACTERS_AT_ONCE):
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += len(text)
    return batches


def _said(error: openai.OpenAIError) -> str:
    """What an error says; its class where that is nothing. Never the request, which holds the key."""
    return str(getattr(error, "message", "") or type(error).__name__)[:300]


def _client() -> openai.AsyncOpenAI:
    key = os.environ.get("OPENAI_API_KEY")
    if not key and os.environ.get("OPENAI_BASE_URL"):
        key = "none"  # endpoints of one's own often want no key, and the package insists on one
    if not key:
        raise ConfigurationError("set OPENAI_API_KEY, for embeddings by 'openai:…'")
    return openai.AsyncOpenAI(api_key=key, timeout=TIMEOUT, max_retries=RETRIES)
