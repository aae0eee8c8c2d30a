"""A model that follows a script: each user's prompt is answered by a call of a tool, then by a text."""

from __future__ import annotations

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """A call of `add` after a prompt, its result in words after that."""
    last = messages[-1]
    assert isinstance(last, ModelRequest)
    for part in last.parts:
        if isinstance(part, ToolReturnPart):
            return ModelResponse([TextPart(f"that makes {part.content}")])
    turn = prompts(messages)
    return ModelResponse([ToolCallPart("add", {"a": turn, "b": 1}, f"call-{turn}")])


def prompts(messages: list[ModelMessage]) -> int:
    """How many prompts of the user there are."""
    return sum(isinstance(part, UserPromptPart) for message in messages for part in message.parts)


def make_agent(**options: object) -> Agent[None, str]:
    """An agent with that model and tool."""
    agent: Agent[None, str] = Agent(FunctionModel(answer), **options)  # type: ignore[arg-type]

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    return agent


def told(messages: list[ModelMessage]) -> list[tuple[str, ...]]:
    """What was said, without the ids and times that each run mints."""
    lines: list[tuple[str, ...]] = []
    for message in messages:
        for part in message.parts:
            content = getattr(part, "content", None)
            args = getattr(part, "args", None)
            lines.append((part.part_kind, str(content), str(args), str(getattr(part, "tool_call_id", ""))))
    return lines
