"""pydantic-ai-harness: a run that dies in the middle, and goes on from its last step. Offline.

python examples/frameworks/pydantic_ai_steps.py                          # a file in a temporary folder
python examples/frameworks/pydantic_ai_steps.py redis://localhost:6379   # or any store
"""

import asyncio
import sys
import tempfile
import uuid

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai_harness import StepPersistence
from pydantic_ai_harness.step_persistence import continue_run

from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

power_fails = True


def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """In place of a model: calls the tool, then says what it was told."""
    last = messages[-1].parts[-1]
    if not isinstance(last, ToolReturnPart):
        return ModelResponse([ToolCallPart("book", {"seat": 7})])
    if power_fails:
        raise RuntimeError("the power failed")
    return ModelResponse([TextPart(f"Done: {last.content}.")])


async def main(url: str) -> None:
    global power_fails
    store = MiniAgentStepStore(url)
    agent = Agent(FunctionModel(script), capabilities=[StepPersistence(store=store)])

    @agent.tool_plain
    def book(seat: int) -> str:
        """Book a seat."""
        print(f"tool:  booking seat {seat}")
        return f"seat {seat} is booked"

    conversation = uuid.uuid4().hex
    try:
        await agent.run("Book me a seat", conversation_id=conversation)
    except RuntimeError as error:
        print(f"agent: {error}")

    # In another process, later: the seat was booked, and is not booked again.
    power_fails = False
    run = (await store.list_runs(conversation_id=conversation))[-1]
    history = await continue_run(store, run_id=run.run_id)
    result = await agent.run(message_history=history, conversation_id=conversation)
    print(f"agent: {result.output}")
    for each in await store.list_runs(conversation_id=conversation):
        events = await store.list_events(run_id=each.run_id)
        print("run:  ", ", ".join(event.kind for event in events))
    await store.aclose()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(*sys.argv[1:2] or [f"sqlite:///{folder}/steps.db"]))
