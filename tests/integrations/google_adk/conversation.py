"""Turns with a call of a tool, by ADK's runner and a model that reads its answers off its request.

As a program: ``python -m tests.integrations.google_adk.conversation URL SESSION NAME TURNS [POINT]`` holds
a conversation, and kills itself at a point such as "tool t3", "call t3" (the model asked first) or
"answer t3" (the model asked after the tool); with "contend" for a point it takes its turns while others do.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import Agent
from google.adk.apps import App, ResumabilityConfig
from google.adk.errors import StaleSessionError
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import BaseSessionService, Session
from google.adk.tools import ToolContext
from google.genai import types

from miniagent_store.integrations.google_adk import MiniAgentSessionService

APP, USER = "reader", "ada"


def kill_at(point: str) -> None:
    """Die here, if it is the point that was asked for."""
    if os.environ.get("KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


def look_up(turn: str, tool_context: ToolContext) -> dict[str, str]:
    """What stands for a turn."""
    kill_at(f"tool {turn}")
    tool_context.state["latest"] = turn
    tool_context.state["user:seen"] = turn
    tool_context.state[f"app:{turn}"] = True
    tool_context.state["temp:scratch"] = turn
    return {"found": turn}


class ReadingModel(BaseLlm):
    """Asks for the tool after a user's words, and answers after the tool's."""

    model: str = "reading"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        part = (llm_request.contents[-1].parts or [])[-1]
        if part.function_response is not None:
            turn = (part.function_response.response or {})["found"]
            kill_at(f"answer {turn}")
            said = types.Part(text=f"it is {turn}")
        else:
            turn = (part.text or "").removeprefix("turn ")
            kill_at(f"call {turn}")
            said = types.Part.from_function_call(name="look_up", args={"turn": turn})
        yield LlmResponse(content=types.Content(role="model", parts=[said]))


def runner_on(service: BaseSessionService) -> Runner:
    """A runner of an app that may be resumed."""
    agent = Agent(name="reader", model=ReadingModel(), tools=[look_up])
    app = App(name=APP, root_agent=agent, resumability_config=ResumabilityConfig(is_resumable=True))
    return Runner(app=app, session_service=service)


async def take_turn(runner: Runner, session_id: str, turn: str | None, **more: Any) -> None:
    """One turn; None to finish one that was cut short."""
    said = None if turn is None else types.Content(role="user", parts=[types.Part(text=f"turn {turn}")])
    async for _ in runner.run_async(user_id=USER, session_id=session_id, new_message=said, **more):
        pass


async def load(service: BaseSessionService, session_id: str) -> Session:
    """The session, made if it is missing."""
    names = {"app_name": APP, "user_id": USER, "session_id": session_id}
    return await service.get_session(**names) or await service.create_session(**names, state={"began": 1})


async def resume(service: BaseSessionService, session_id: str, name: str, turns: int) -> None:
    """Finish the turn that was cut short, by its invocation, and take all that are left."""
    runner = runner_on(service)
    session = await load(service, session_id)
    if session.events and not session.events[-1].actions.end_of_agent:
        await take_turn(runner, session_id, None, invocation_id=session.events[-1].invocation_id)
        session = await load(service, session_id)
    done = sum(event.author == "user" for event in session.events)
    for number in range(done + 1, turns + 1):
        await take_turn(runner, session_id, f"{name}{number}")


async def contend(service: BaseSessionService, session_id: str, name: str, turns: int) -> dict[str, Any]:
    """Take turns while others do, each until it ends; what was stored, and how often others were first."""
    runner, stored, conflicts = runner_on(service), list[str](), 0
    for number in range(1, turns + 1):
        while True:
            said = types.Content(role="user", parts=[types.Part(text=f"turn {name}{number}")])
            try:
                async for event in runner.run_async(user_id=USER, session_id=session_id, new_message=said):
                    stored.append(event.id)
            except StaleSessionError:
                conflicts += 1
                await asyncio.sleep(random.uniform(0, 0.05 * min(conflicts, 10)))
            else:
                break
    return {"stored": stored, "conflicts": conflicts}


async def main(url: str, session_id: str, name: str, turns: str, point: str = "") -> None:
    service = MiniAgentSessionService(url)
    if point == "contend":
        print(json.dumps(await contend(service, session_id, name, int(turns))))
        return
    os.environ["KILL_AT"] = point
    await load(service, session_id)
    runner = runner_on(service)
    for number in range(1, int(turns) + 1):
        await take_turn(runner, session_id, f"{name}{number}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
