"""A function that answers, and how its answer is collected."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from miniagent_store.agent.annotations import accepted
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.messages import as_message, text_of, visible
from miniagent_store.agent.models import ChatModel, ClosableModel, ModelRequest, TokenUsage
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.operation import AgentOperation
from miniagent_store.values import Message


class CallableResponder:
    """Asks a `ChatModel`.

    Args:
        model: the model.
        name: shown in events.
        tools: passed to a model that takes ``tools``.
        owned: whether to close it.

    Raises:
        ConfigurationError: there are tools, and the model cannot take them.
    """

    def __init__(self, model: ChatModel, *, name: str, tools: Any = None, owned: bool = False) -> None:
        if tools and not accepted(model, {"tools": tools}):
            raise ConfigurationError(
                f"the model {name!r} takes no tools; pass model= a function with a parameter 'tools', "
                "or an agent's class that is made with tools"
            )
        self.name, self.reads_thread = name, False
        self._model, self._tools, self._owned = model, tools, owned

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """Call the model and collect what it says."""
        question = Message.user(request.user_input)
        prompt = _prompt(request, question)
        await request.emit(Event(EventType.LLM_CALL, {"model": self.name, "messages": len(prompt)}))
        more = {
            "tools": self._tools,
            "stream": request.stream,
            "session": request.session,
            "usage": request.observer.wants_usage,
        }
        model: Callable[..., Any] = self._model
        with request.observer.chat(prompt) as chat:
            answer = model(prompt, request.config, **accepted(model, more))
            if inspect.isawaitable(answer):
                answer = await answer
            collected = _Collected(question, chat)
            async with aclosing(_chunks(answer, self.name)) as chunks:
                async for chunk in chunks:
                    await collected.add(chunk, request)
            return collected.finish()

    async def aclose(self) -> None:
        """Close the model if it was made for this agent and can be closed."""
        if self._owned and isinstance(self._model, ClosableModel):
            await self._model.aclose()


def _prompt(request: ModelRequest, question: Message) -> list[Message]:
    before = [text for text in (request.config.system_prompt, request.context) if text]
    return [*map(Message.system, before), *visible(request.history), question]


async def _chunks(answer: Any, name: str) -> AsyncGenerator[Any, None]:
    if isinstance(answer, str | Mapping | Event | TokenUsage):
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
            f"the model {name!r} must return a text, a message, or an async iterator of these, "
            f"not {type(answer).__name__}"
        )


class _Collected:
    """The messages of an answer as it comes in."""

    def __init__(self, question: Message, chat: AgentOperation) -> None:
        self._changes = ThreadChanges([question])
        self._chat, self._usage = chat, TokenUsage(0, 0)
        self._pieces: list[str] = []
        self._tool_names: dict[Any, Any] = {}

    async def add(self, chunk: Any, request: ModelRequest) -> None:
        if isinstance(chunk, str):
            self._note_first()
            self._pieces.append(chunk)
            await request.deliver(chunk)
        elif isinstance(chunk, Event):
            self._changes.events.append(chunk)
            await request.emit(chunk)
        elif isinstance(chunk, TokenUsage):
            self._add_usage(chunk)
        elif isinstance(chunk, Mapping):
            await self._add_message(as_message(chunk), request)
        else:
            raise InvalidArgumentError(
                "a model's chunk is a text, a message, an Event or a TokenUsage, "
                f"not {type(chunk).__name__}"
            )

    async def _add_message(self, message: Message, request: ModelRequest) -> None:
        self._flush()
        self._changes.messages.append(message)
        for call in message.tool_calls or ():
            function = call.get("function", call)
            self._tool_names[call.get("id")] = function.get("name")
            data = {"tool": function.get("name"), "arguments": function.get("arguments")}
            request.observer.tool_called(call.get("id"), data["tool"], data["arguments"])
            await request.emit(Event(EventType.TOOL_CALL, data))
        if message.role == "tool":
            tool = message.name or self._tool_names.get(message.tool_call_id)
            data = {"tool": tool, "tool_call_id": message.tool_call_id, "content": message.content}
            request.observer.tool_answered(message.tool_call_id, tool, message.content)
            await request.emit(Event(EventType.TOOL_RESULT, data))
        elif message.role == "assistant" and (text := text_of(message.content)):
            await request.deliver(text)

    def _note_first(self) -> None:
        if self._chat.first_chunk is None and self._chat.started:
            self._chat.first_chunk = time.perf_counter() - self._chat.started

    def _add_usage(self, usage: TokenUsage) -> None:
        before = self._usage
        self._usage = TokenUsage(
            before.input_tokens + usage.input_tokens, before.output_tokens + usage.output_tokens
        )
        chat = self._chat
        chat.input_tokens, chat.output_tokens = self._usage.input_tokens, self._usage.output_tokens

    def _flush(self) -> None:
        if self._pieces:
            self._changes.messages.append(Message.assistant("".join(self._pieces)))
            self._pieces.clear()

    def finish(self) -> tuple[str, ThreadChanges]:
        self._flush()
        last = self._changes.messages[-1]
        if last.role != "assistant" or last.tool_calls:
            # A model that said nothing has answered all the same: with nothing.
            last = Message.assistant("")
            self._changes.messages.append(last)
        if self._chat.input_tokens is not None:
            metadata = {**last.metadata, "usage": self._usage.to_dict()}
            last = self._changes.messages[-1] = Message.from_dict({**last, "metadata": metadata})
        self._chat.answered = self._changes.messages[1:]
        return text_of(last.content), self._changes
