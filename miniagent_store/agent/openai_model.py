"""Any OpenAI-compatible endpoint, through the `openai` package."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from openai import AsyncOpenAI

from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.messages import llm_dict
from miniagent_store.agent.models import TokenUsage
from miniagent_store.errors import ConfigurationError
from miniagent_store.values import Message


class OpenAIModel:
    """Chat completions of one model.

    The address is `OPENAI_BASE_URL`, else OpenAI's own; the key is `AgentConfig.api_key`, else
    `OPENAI_API_KEY`. Of the config it takes `temperature`, `max_tokens` and, where `retry_policy` is a
    number or has `max_retries`, that. Errors of the package are raised as they are.

    Args:
        model: the endpoint's name of it, such as "gpt-4o-mini".

    Raises:
        ConfigurationError: `model` is empty.
    """

    def __init__(self, model: str) -> None:
        if not model:
            raise ConfigurationError("say which model: 'openai:<model>', such as 'openai:gpt-4o-mini'")
        self._model = model
        self._client: AsyncOpenAI | None = None

    async def __call__(
        self, messages: list[Message], config: AgentConfig, /, *, stream: bool = False, usage: bool = False
    ) -> str | AsyncIterator[str | TokenUsage]:
        """Ask the endpoint; with `usage` also how many tokens it took.

        Raises:
            ConfigurationError: there is no key.
            ConnectionError: the answer broke off before it was finished.
        """
        client = self._client = self._client or _client(config)
        request: dict[str, Any] = {"model": self._model, "messages": list(map(llm_dict, messages))}
        if config.temperature is not None:
            request["temperature"] = config.temperature
        if config.max_tokens is not None:
            request["max_tokens"] = config.max_tokens
        if stream:
            if usage:
                request["stream_options"] = {"include_usage": True}
            return self._stream(client, request)
        completion = await client.chat.completions.create(**request)
        text = completion.choices[0].message.content or ""
        return _with_usage(text, completion.usage) if usage and completion.usage else text

    async def _stream(
        self, client: AsyncOpenAI, request: dict[str, Any]
    ) -> AsyncIterator[str | TokenUsage]:
        finished = False
        async with await client.chat.completions.create(**request, stream=True) as chunks:
            async for chunk in chunks:
                if "stream_options" in request and chunk.usage is not None:
                    yield TokenUsage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    finished = finished or choice.finish_reason is not None
                    if choice.delta.content:
                        yield choice.delta.content
        if not finished:
            # The package ends its iterator in silence where the stream was cut, and half an answer
            # would be stored as if it were a whole one.
            raise ConnectionError(f"the answer of {self._model!r} broke off before it was finished")

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


async def _with_usage(text: str, usage: Any) -> AsyncIterator[str | TokenUsage]:
    yield text
    yield TokenUsage(usage.prompt_tokens, usage.completion_tokens)


def _client(config: AgentConfig) -> AsyncOpenAI:
    key = config.api_key or os.environ.get("OPENAI_API_KEY")
    if not key and os.environ.get("OPENAI_BASE_URL"):
        key = "none"  # endpoints of one's own often want no key, and the package insists on one
    if not key:
        raise ConfigurationError("set OPENAI_API_KEY, or pass AgentConfig(api_key=…)")
    retries = getattr(config.retry_policy, "max_retries", config.retry_policy)
    if isinstance(retries, int):
        return AsyncOpenAI(api_key=key, max_retries=retries)
    return AsyncOpenAI(api_key=key)
