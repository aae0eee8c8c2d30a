"""An agent with the shapes of MiniAgent's: its own classes, found by their annotations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar


class EventType(Enum):
    USER_INPUT = "user_input"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    LLM_RESPONSE = "llm_response"
    STREAM_CHUNK = "stream_chunk"
    SESSION_CREATED = "session_created"


@dataclass
class Event:
    type: EventType
    data: Any = None
    timestamp: datetime = field(default_factory=datetime.now)


class StreamCallback:
    def __init__(self) -> None:
        self.handlers: dict[EventType, Callable[[Event], Any]] = {}
        self.any: list[Callable[[Event], Any]] = []

    def on(self, event_type: EventType, handler: Callable[[Event], Any]) -> None:
        self.handlers[event_type] = handler

    def on_any(self, handler: Callable[[Event], Any]) -> None:
        self.any.append(handler)

    async def emit(self, event: Event) -> None:
        for handler in (*filter(None, [self.handlers.get(event.type)]), *self.any):
            with suppress(Exception):
                told = handler(event)
                if asyncio.iscoroutine(told):
                    await told


@dataclass
class ToolResult:
    success: bool
    data: Any = None
    error: str | None = None
    llm_content: str | None = None


class Lookup:
    """A tool with the shape of MiniAgent's."""

    name = "lookup"
    description = "How long a word is."
    parameters: ClassVar = {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
    }

    async def execute(self, **arguments: Any) -> ToolResult:
        word = arguments["word"]
        if len(word) < 2:
            return ToolResult(False, error="too short")
        return ToolResult(True, {"letters": len(word)}, llm_content=f"{len(word)} letters")


class ToolRegistry:
    def __init__(self) -> None:
        self.tools: dict[str, Any] = {}

    def register(self, tool: Any) -> None:
        self.tools[tool.name] = tool


@dataclass
class Message:
    role: str
    content: str
    timestamp: datetime = field(default_factory=datetime.now)
    metadata: dict[str, Any] = field(default_factory=dict)
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class Thread:
    def __init__(self, thread_id: str | None = None) -> None:
        self.id = thread_id or "new"
        self.messages: list[Message] = []
        self.events: list[Event] = []
        self.metadata: dict[str, Any] = {}
        self.created_at = datetime.now()

    def add_message(self, message: Message) -> Thread:
        assert isinstance(message, Message)
        self.messages.append(message)
        kind = EventType.USER_INPUT if message.role == "user" else EventType.LLM_RESPONSE
        return self.add_event(Event(kind, {"role": message.role}))

    def add_event(self, event: Event) -> Thread:
        self.events.append(event)
        return self


@dataclass
class AgentConfig:
    provider: str = "openai"
    model: str = "gpt-4.1"
    stream_by_default: bool = False


class Agent:
    """Answers with how many messages it has seen; keeps count in the thread's metadata."""

    def __init__(
        self,
        config: AgentConfig | None = None,
        tools: Any = None,
        callbacks: StreamCallback | None = None,
    ) -> None:
        assert config is None or isinstance(config, AgentConfig)
        self.config, self.tools = config, tools
        self.max_iterations: list[int] = []
        self.callbacks = callbacks or StreamCallback()

    async def run(
        self,
        user_input: str,
        thread: Thread | None = None,
        context: str | None = None,
        stream: bool | None = None,
        max_iterations: int = 10,
    ) -> str:
        thread = thread or Thread()
        assert all(isinstance(message, Message) for message in thread.messages)
        assert all(isinstance(event, Event) for event in thread.events)
        if len(thread.events) > 3:
            thread.events = thread.events[-1:]
        self.max_iterations.append(max_iterations)
        thread.add_message(Message("user", user_input))
        if user_input.startswith("look up ") and isinstance(self.tools, ToolRegistry):
            await self._look_up(user_input.removeprefix("look up "), thread)
        thread.metadata["runs"] = thread.metadata.get("runs", 0) + 1
        answer = f"{len(thread.messages)} messages, run {thread.metadata['runs']}"
        if stream:
            for word in answer.split(" "):
                await asyncio.sleep(0)
                await self.callbacks.emit(Event(EventType.STREAM_CHUNK, f"{word} "))
        thread.add_message(Message("assistant", answer))
        return answer

    async def _look_up(self, word: str, thread: Thread) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": word}}
        thread.add_message(Message("assistant", "", tool_calls=[call]))
        await self.callbacks.emit(Event(EventType.TOOL_CALL, {"tool": "lookup", "arguments": word}))
        assert self.tools is not None
        result = await self.tools.tools["lookup"].execute(word=word)
        await self.callbacks.emit(Event(EventType.TOOL_RESULT, {"tool": "lookup", "result": result.data}))
        thread.add_message(Message("tool", result.llm_content, tool_call_id="c1", name="lookup"))
