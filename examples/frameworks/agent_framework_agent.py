"""An agent of Microsoft's framework with its history in a store, and a workflow that is resumed; offline.

    python examples/frameworks/agent_framework_agent.py [URL]

Any store URL will do, such as redis://localhost:6379/0; a SQLite file in a new folder by default.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatResponse,
    Content,
    Executor,
    FunctionInvocationLayer,
    Message,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    tool,
)

from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
)


class FakeClient(FunctionInvocationLayer[Any], BaseChatClient[Any]):
    """Asks for the weather of the last word, then tells it."""

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse]:
        return self._answer(messages)

    async def _answer(self, messages: Sequence[Message]) -> ChatResponse:
        last = messages[-1].contents[-1]
        said = (
            Content.from_text(str(last.result))
            if last.type == "function_result"
            else Content.from_function_call(
                f"use-{len(messages)}", "weather", arguments={"city": messages[-1].text.split()[-1]}
            )
        )
        return ChatResponse(messages=[Message("assistant", [said])])


@tool(approval_mode="never_require")
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


class Packing(Executor):
    """Packs one thing after another; breaks down once, on the way."""

    broken = True

    @handler
    async def pack(self, packed: list[str], ctx: WorkflowContext[list[str], list[str]]) -> None:
        things = ["tent", "map", "tea"]
        if len(packed) == 2 and Packing.broken:
            Packing.broken = False
            raise RuntimeError("the bag broke")
        packed = [*packed, things[len(packed)]]
        await (ctx.send_message(packed) if len(packed) < len(things) else ctx.yield_output(packed))


async def main(url: str) -> None:
    for question in ("What about Rome", "And Oslo"):
        # A new agent and session object each time, as in another process.
        history = MiniAgentHistoryProvider(url)
        guide = Agent(FakeClient(), tools=[weather], context_providers=[history])
        before = len(await history.get_messages("trip"))
        answer = await guide.run(question, session=AgentSession(session_id="trip"))
        print(f"{before} messages so far. {question}? {answer.text}")

    storage = MiniAgentCheckpointStorage(url, scope="trip")
    one, other = Packing("one"), Packing("other")
    builder = WorkflowBuilder(
        name="packing", start_executor=one, checkpoint_storage=storage, output_from=[one, other]
    )
    workflow = builder.add_edge(one, other).add_edge(other, one).build()
    try:
        await workflow.run([])
    except RuntimeError as error:
        print(f"The workflow stopped: {error}.")
    latest = await storage.get_latest(workflow_name="packing")
    assert latest is not None
    result = await workflow.run(checkpoint_id=latest.checkpoint_id)
    print(f"Resumed at step {latest.iteration_count}, it packed: {', '.join(result.get_outputs()[0])}.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/trip.db"))
