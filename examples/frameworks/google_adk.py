"""Google ADK: sessions, and state of sessions, users and the app, in a store of your choice. Offline.

python examples/frameworks/google_adk.py                          # a file in a temporary folder
python examples/frameworks/google_adk.py redis://localhost:6379   # or any store
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator

from google.adk.agents import Agent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.tools import ToolContext
from google.genai import types

from miniagent_store.integrations.google_adk import MiniAgentSessionService


def remember(city: str, tool_context: ToolContext) -> dict[str, str]:
    """Remember the city of the user, for all their sessions."""
    tool_context.state["user:city"] = city
    tool_context.state["asked"] = tool_context.state.get("asked", 0) + 1
    return {"remembered": city}


class Scripted(BaseLlm):
    """In place of a model such as "gemini-2.5-flash"."""

    model: str = "scripted"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        part = llm_request.contents[-1].parts[-1]
        if part.function_response:
            said = types.Part(text=f"I shall remember {part.function_response.response['remembered']}.")
        else:
            said = types.Part.from_function_call(name="remember", args={"city": part.text.split()[-1]})
        yield LlmResponse(content=types.Content(role="model", parts=[said]))


async def main(url: str) -> None:
    async with MiniAgentSessionService(url) as service:
        agent = Agent(name="assistant", model=Scripted(), tools=[remember])
        runner = Runner(app_name="example", agent=agent, session_service=service, auto_create_session=True)
        for session_id, text in (
            ("first", "I live in Paris"),
            ("first", "I moved to Rome"),
            ("second", "I love Oslo"),
        ):
            print(f"{session_id}, you:   {text}")
            message = types.Content(role="user", parts=[types.Part(text=text)])
            async for event in runner.run_async(user_id="ada", session_id=session_id, new_message=message):
                if event.is_final_response():
                    print(f"{session_id}, agent: {event.content.parts[0].text}")
        for session in (await service.list_sessions(app_name="example", user_id="ada")).sessions:
            print(f"state of {session.id}: {session.state}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/sessions.db"]))
