"""An agent with a fake model that always asks the weather tool first, and how a run is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from ag2 import Agent, MemoryStream
from ag2.config import LLMClient
from ag2.context import ConversationContext
from ag2.events import (
    BaseEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolCallsEvent,
    ToolResultsEvent,
)
from ag2.testing import TestConfig
from ag2.tools import tool

from miniagent_store.integrations.ag2 import MiniAgentStorage

TRIGGERS = (ModelRequest, ToolCallsEvent, ToolResultsEvent)
CITIES = ("Oslo", "Rome", "Bern", "Kyiv", "Riga")


def nothing(moment: str) -> None:
    """Does nothing at a moment."""


class FakeClient(LLMClient):
    """Answers from its input alone."""

    def __init__(self, at: Callable[[str], None]) -> None:
        self._at = at

    async def __call__(
        self, messages: Sequence[BaseEvent], context: ConversationContext, **_: Any
    ) -> ModelResponse:
        self._at("model")
        last = messages[-1]
        if isinstance(last, ToolResultsEvent):
            return ModelResponse(ModelMessage(f"They say: {_text(last.results[0].result.parts)}"))
        assert isinstance(last, ModelRequest)
        number = sum(isinstance(message, ModelRequest) for message in messages)
        call = ToolCallEvent(
            id=f"call-{number}", name="weather", arguments=f'{{"city": "{_text(last.parts)}"}}'
        )
        return ModelResponse(tool_calls=ToolCallsEvent([call]))


class FakeConfig(TestConfig):
    """Makes a `FakeClient`."""

    def __init__(self, at: Callable[[str], None]) -> None:
        super().__init__()
        self._at = at

    def copy(self, /, **_: Any) -> FakeConfig:
        return FakeConfig(self._at)

    def create(self) -> Any:
        return FakeClient(self._at)


def agent(at: Callable[[str], None] = nothing, middleware: Iterable[Any] = ()) -> Agent:
    """An agent.

    Args:
        at: called in the middle of each model call and of each call of the tool.
        middleware: of the agent.
    """

    @tool
    async def weather(city: str) -> str:
        """The weather in a city."""
        at("tool")
        return f"sunny in {city}"

    return Agent("weather", config=FakeConfig(at), tools=[weather], middleware=middleware)


async def converse(storage: MiniAgentStorage, stream_id: UUID, at: Callable[[str], None] = nothing) -> None:
    """Ask about each city that was not asked about; a turn that was cut short is ended first."""
    stream = MemoryStream(storage, id=stream_id)
    events = list(await stream.history.get_events())
    asked = sum(isinstance(event, ModelRequest) for event in events)
    if unfinished(events):
        await agent(at).resume(*unfinished(events), stream=stream)
    for city in CITIES[asked:]:
        await agent(at).ask(city, stream=stream)


def unfinished(events: Sequence[BaseEvent]) -> list[BaseEvent]:
    """What to resume: the history up to the event that has to be worked on again; nothing after a turn."""
    for number in range(len(events), 0, -1):
        event = events[number - 1]
        if isinstance(event, ModelResponse):
            return [*events[:number], event.tool_calls] if event.tool_calls else []
        if isinstance(event, TRIGGERS):
            return list(events[:number])
    return []


def plain(events: Iterable[BaseEvent]) -> list[str]:
    """What is compared of events: all but the times at which they were made."""
    return [f"{type(event).__name__} {_without_times(event.to_dict())}" for event in events]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if key != "created_at"}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _text(parts: Sequence[Any]) -> str:
    return "".join(part.content for part in parts if isinstance(part, TextInput))
