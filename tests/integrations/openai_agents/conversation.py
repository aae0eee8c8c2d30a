"""Turns with a call of a tool, by the SDK's runner and a model that reads its answers off its input.

As a program: ``python -m tests.integrations.openai_agents.conversation URL SESSION NAME TURNS [POINT]``
holds a conversation, and kills itself at a point such as "tool t3", "call t3" (the model asked first) or
"answer t3" (the model asked after the tool).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from miniagent_store.integrations.openai_agents import MiniAgentSession

PLACEHOLDER = "__fake_id__"  # what models that are not OpenAI's give every item


def kill_at(point: str) -> None:
    """Die here, if it is the point that was asked for."""
    if os.environ.get("KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


@function_tool
async def look_up(turn: str) -> str:
    """What stands for a turn."""
    kill_at(f"tool {turn}")
    return f"found {turn}"


class ReadingModel(Model):
    """Asks for the tool after a user's words, and answers after the tool's."""

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        last = input[-1] if isinstance(input, list) else {"role": "user", "content": input}
        if last.get("type") == "function_call_output":
            turn = last["output"].removeprefix("found ")
            kill_at(f"answer {turn}")
            text = ResponseOutputText(text=f"it is {last['output']}", type="output_text", annotations=[])
            output: Any = ResponseOutputMessage(
                id=PLACEHOLDER, type="message", role="assistant", status="completed", content=[text]
            )
        else:
            turn = last["content"].removeprefix("turn ")
            kill_at(f"call {turn}")
            output = ResponseFunctionToolCall(
                id=PLACEHOLDER,
                type="function_call",
                call_id=f"call-{turn}",
                name="look_up",
                arguments=json.dumps({"turn": turn}),
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=f"response-{turn}")

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


AGENT = Agent(name="reader", model=ReadingModel(), tools=[look_up])
CONFIG = RunConfig(tracing_disabled=True)


async def take_turn(session: MiniAgentSession, turn: str) -> str:
    """One turn of the conversation; what was answered."""
    async with session:
        result = await Runner.run(AGENT, f"turn {turn}", session=session, run_config=CONFIG)
    return str(result.final_output)


async def resume(session: MiniAgentSession, name: str, turns: int) -> None:
    """Take back a turn that was cut short, as the SDK advises, and take all that are left."""
    async with session:
        items = await session.get_items()
        while items and not (items[-1].get("type") == "message" and items[-1].get("role") == "assistant"):
            await session.pop_item()
            items = await session.get_items()
    done = sum(item.get("role") == "user" for item in items)
    for number in range(done + 1, turns + 1):
        await take_turn(session, f"{name}{number}")


async def main(
    url: str, session_id: str, name: str, turns: str, point: str = "", exclusive: str = ""
) -> None:
    os.environ["KILL_AT"] = point
    session = MiniAgentSession(session_id, url, exclusive=bool(exclusive), wait=60)
    for number in range(1, int(turns) + 1):
        await take_turn(session, f"{name}{number}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
