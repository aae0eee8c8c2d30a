"""Any OpenAI-compatible endpoint, through the `openai` package."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI

from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.messages import llm_dict
from miniagent_store.agent.models import TokenUsage
from miniagent_store.agent.tool_calls import ToolCall
from miniagent_store.agent.tools import Tool
from miniagent_store.errors import ConfigurationError
from miniagent_store.values import Message

Chunk = str | ToolCall | TokenUsage


class OpenAIModel:
    """Chat completions of one model, which may call tools.

    The address is `OPENAI_BASE_URL`, else OpenAI's own; the key is `AgentConfig.api_key`, else
    `OPENAI_API_KEY`. Of the config it takes `temperature`, `max_tokens`, `llm_timeout` and, where
    `retry_policy` is a number or has `max_retries`, that. Errors of the package are raised as they are.

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
        self,
        messages: list[Message],
        config: AgentConfig,
        /,
        *,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
        tool_choice: str = "auto",
        stream: bool = False,
    ) -> AsyncIterator[Chunk]:
        """Ask the endpoint; it also tells how many tokens it took.

        Raises:
            ConfigurationError: there is no key.
            ConnectionError: the answer broke off before it was finished.
        """
        client = self._client = self._client or _client(config)
        request: dict[str, Any] = {"model": self._model, "messages": list(map(llm_dict, messages))}
        for name in ("temperature", "max_tokens"):
            if (value := getattr(config, name)) is not None:
                request[name] = value
        if tools:
            request["tools"] = [each.schema if isinstance(each, Tool) else dict(each) for each in tools]
            if tool_choice != "auto":
                request["tool_choice"] = tool_choice
        if stream:
            return self._stream(client, {**request, "stream_options": {"include_usage": True}})
        return self._whole(await client.chat.completions.create(**request))

    async def _whole(self, completion: Any) -> AsyncIterator[Chunk]:
        message = completion.choices[0].message
        if message.content:
            yield message.content
        for call in message.tool_calls or ():
            if call.type == "function":
                yield ToolCall(call.id, call.function.name, call.function.arguments)
        if completion.usage is not None:
            yield _usage(completion.usage)

    async def _stream(self, client: AsyncOpenAI, request: dict[str, Any]) -> AsyncIterator[Chunk]:
        finished = False
        calls: dict[int, _Pieces] = {}
        async with await client.chat.completions.create(**request, stream=True) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    yield _usage(chunk.usage)
                for choice in chunk.choices:
                    finished = finished or choice.finish_reason is not None
                    if choice.delta.content:
                        yield choice.delta.content
                    for piece in choice.delta.tool_calls or ():
                        calls.setdefault(piece.index, _Pieces()).add(piece)
        if not finished:
            # The package ends its iterator in silence where the stream was cut, and half an answer
            # would be stored as if it were a whole one.
            raise ConnectionError(f"the answer of {self._model!r} broke off before it was finished")
        for index, call in sorted(calls.items()):
            # Some endpoints give no ids; the results have to name the calls all the same.
            yield ToolCall(call.id or f"call-{index}", call.name, "".join(call.arguments))

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


@dataclass(slots=True)
class _Pieces:
    """A call of a tool, as it comes in."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def add(self, piece: Any) -> None:
        self.id = piece.id or self.id
        if piece.function is not None:
            self.name = piece.function.name or self.name
            self.arguments.append(piece.function.arguments or "")


def _usage(usage: Any) -> TokenUsage:
    return TokenUsage(usage.prompt_tokens, usage.completion_tokens)


def _client(config: AgentConfig) -> AsyncOpenAI:
    key = config.api_key or os.environ.get("OPENAI_API_KEY")
    if not key and os.environ.get("OPENAI_BASE_URL"):
        key = "none"  # endpoints of one's own often want no key, and the package insists on one
    if not key:
        raise ConfigurationError("set OPENAI_API_KEY, or pass AgentConfig(api_key=…)")
    options: dict[str, Any] = {}
    retries = getattr(config.retry_policy, "max_retries", config.retry_policy)
    if isinstance(retries, int):
        options["max_retries"] = retries
    if config.llm_timeout is not None:
        options["timeout"] = config.llm_timeout
    return AsyncOpenAI(api_key=key, **options)
