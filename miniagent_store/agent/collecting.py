"""What a model says, as it comes in, and what is to be stored of it."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from typing import Any

from miniagent_store.agent.annotations import accepted
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.messages import as_message, text_of
from miniagent_store.agent.models import ModelRequest, TokenUsage
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.agent.tool_calls import ToolCall
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.operation import AgentOperation
from miniagent_store.values import Message


async def chunks_of(model: Any, messages: list[Message], config: AgentConfig, **more: Any) -> Any:
    """Call a `ChatModel` with what it takes by name; its answer as an async iterator that can be closed."""
    answer = model(messages, config, **accepted(model, more))
    return _chunks(await answer if inspect.isawaitable(answer) else answer)


async def _chunks(answer: Any) -> AsyncGenerator[Any, None]:
    if isinstance(answer, str | Mapping | Event | TokenUsage | ToolCall):
        yield answer
    elif isinstance(answer, AsyncIterable):
        try:
            async for chunk in answer:
                yield chunk
        finally:
            # A generator that is left early would end in the garbage collector's time.
            if isinstance(answer, AsyncGenerator):
                await answer.aclose()
    else:
        raise InvalidArgumentError(
            "a model must return a text, a message, or an async iterator of these, "
            f"not {type(answer).__name__}"
        )


async def text_from(model: Any, messages: list[Message], config: AgentConfig) -> str:
    """All the text that a model answers with."""
    said: list[str] = []
    async with aclosing(await chunks_of(model, messages, config)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, str):
                said.append(chunk)
            elif isinstance(chunk, Mapping):
                said.append(text_of(chunk.get("content")))
    return "".join(said)


class Collected:
    """The messages of a turn as they come in.

    Args:
        question: the user's message.
        request: whom to tell.

    Attributes:
        changes: what is to be stored, the question first.
    """

    def __init__(self, question: Message, request: ModelRequest) -> None:
        self.changes: ThreadChanges = ThreadChanges([question])
        self._request = request
        self._pieces: list[str] = []
        self._calls: list[ToolCall] = []
        self._tool_names: dict[Any, Any] = {}
        self._usage: TokenUsage | None = None
        self._began = 1

    async def answer(self, chunks: AsyncIterable[Any], chat: AgentOperation) -> None:
        """Take in one answer of the model; its usage stands in its last message."""
        self._began, self._usage = len(self.changes.messages), None
        async for chunk in chunks:
            await self._add(chunk, chat)
        await self._flush()
        messages = self.changes.messages
        if self._usage is not None:
            if len(messages) == self._began:
                messages.append(Message.assistant(""))
            last = messages[-1]
            metadata = {**last.metadata, "usage": self._usage.to_dict()}
            messages[-1] = Message.from_dict({**last, "metadata": metadata})
        chat.answered = messages[self._began :]

    async def _add(self, chunk: Any, chat: AgentOperation) -> None:
        if isinstance(chunk, str):
            if chat.first_chunk is None and chat.started:
                chat.first_chunk = time.perf_counter() - chat.started
            self._pieces.append(chunk)
            await self._request.deliver(chunk)
        elif isinstance(chunk, ToolCall):
            self._calls.append(chunk)
        elif isinstance(chunk, Event):
            self.changes.events.append(chunk)
            await self._request.emit(chunk)
        elif isinstance(chunk, TokenUsage):
            before = self._usage or TokenUsage(0, 0)
            self._usage = usage = TokenUsage(
                before.input_tokens + chunk.input_tokens, before.output_tokens + chunk.output_tokens
            )
            chat.input_tokens, chat.output_tokens = usage.input_tokens, usage.output_tokens
        elif isinstance(chunk, Mapping):
            await self._flush()
            await self._add_message(as_message(chunk))
        else:
            raise InvalidArgumentError(
                "a model's chunk is a text, a message, a ToolCall, an Event or a TokenUsage, "
                f"not {type(chunk).__name__}"
            )

    async def _flush(self) -> None:
        """The pieces, and the calls that came with them, are one message."""
        if not self._pieces and not self._calls:
            return
        text = "".join(self._pieces)
        calls = [call.to_dict() for call in self._calls]
        self._pieces.clear()
        self._calls.clear()
        if calls:
            message = Message.assistant(text or None, tool_calls=calls)
            self.changes.messages.append(message)
            await self._tell_calls(message)
        else:
            self.changes.messages.append(Message.assistant(text))

    async def _add_message(self, message: Message) -> None:
        self.changes.messages.append(message)
        await self._tell_calls(message)
        if message.role == "tool":
            await self.tell_result(message)
        elif message.role == "assistant" and (text := text_of(message.content)):
            await self._request.deliver(text)

    async def _tell_calls(self, message: Message) -> None:
        for call in message.tool_calls or ():
            function = call.get("function", call)
            self._tool_names[call.get("id")] = function.get("name")
            data = {
                "tool": function.get("name"),
                "tool_call_id": call.get("id"),
                "arguments": function.get("arguments"),
            }
            self._request.observer.tool_called(call.get("id"), data["tool"], data["arguments"])
            await self._request.emit(Event(EventType.TOOL_CALL, data))

    async def tell_result(self, message: Message) -> None:
        """Tell of a tool's result."""
        tool = message.name or self._tool_names.get(message.tool_call_id)
        data = {"tool": tool, "tool_call_id": message.tool_call_id, "content": message.content}
        self._request.observer.tool_answered(message.tool_call_id, tool, message.content)
        await self._request.emit(Event(EventType.TOOL_RESULT, data))

    def open_calls(self) -> list[ToolCall]:
        """The calls of the last answer that have no result in it."""
        said = self.changes.messages[self._began :]
        answered = {message.tool_call_id for message in said if message.tool_call_id}
        calls = [ToolCall.from_dict(call) for message in said for call in message.tool_calls or ()]
        return [call for call in calls if call.id not in answered]

    def finish(self) -> tuple[str, ThreadChanges]:
        """The answer's text, and all that is to be stored."""
        messages = self.changes.messages
        if messages[-1].role != "assistant" or messages[-1].tool_calls:
            # A model that said nothing has answered all the same: with nothing.
            messages.append(Message.assistant(""))
        return text_of(messages[-1].content), self.changes
