"""A conversation of five turns in a process of its own, which may kill itself at a point.

    python -m tests.integrations.pydantic_ai.conversation (conversations|steps) URL [POINT]

Whatever an earlier process has left is gone on from, as users of the framework do. Points are "tool 3" (in
the tool, in turn 3), "first 3" and "second 3" (in the calls of the model of turn 3), "saved 3".
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.integrations.pydantic_ai.scripted import answer, prompts, told

TURNS = 5
CONVERSATION = "c"
Reach = Callable[[str, int], None]


def make_agent(reach: Reach, **options: object) -> Agent[None, str]:
    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        last = messages[-1]
        assert isinstance(last, ModelRequest)
        second = any(isinstance(part, ToolReturnPart) for part in last.parts)
        reach("second" if second else "first", prompts(messages))
        return answer(messages, info)

    agent: Agent[None, str] = Agent(FunctionModel(model), **options)  # type: ignore[arg-type]

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        reach("tool", a)
        return a + b

    return agent


async def with_conversations(url: str, reach: Reach) -> list[ModelMessage]:
    from pydantic_ai.conversation import Conversation

    from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

    store = MiniAgentConversationStore(url)
    agent = make_agent(reach)
    while True:
        conversation = await store.load(CONVERSATION) or Conversation(conversation_id=CONVERSATION)
        turn = prompts(conversation.messages) + 1
        if turn > TURNS:
            assert conversation.usage.requests == 2 * TURNS
            return conversation.messages
        await store.save(await agent.run(f"turn {turn}", conversation=conversation))
        reach("saved", turn)


async def with_steps(url: str, reach: Reach) -> list[ModelMessage]:
    from pydantic_ai_harness import StepPersistence

    from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

    store = MiniAgentStepStore(url)
    agent = make_agent(reach, capabilities=[StepPersistence(store=store)])
    while True:
        history: list[ModelMessage] = []
        for run in reversed(await store.list_runs(conversation_id=CONVERSATION)):
            # A run that was killed before its first settled step has left nothing to go on from.
            snapshot = await store.latest_snapshot(run_id=run.run_id)
            if snapshot is not None:
                history = snapshot.messages
                break
        turn = prompts(history) + 1
        if history and isinstance(history[-1], ModelRequest):
            await agent.run(message_history=history, conversation_id=CONVERSATION)
        elif turn > TURNS:
            return history
        else:
            await agent.run(f"turn {turn}", message_history=history, conversation_id=CONVERSATION)
            reach("saved", turn)


def main(kind: str, url: str, point: str = "") -> None:
    def reach(where: str, turn: int) -> None:
        if point == f"{where} {turn}":
            os.kill(os.getpid(), signal.SIGKILL)

    talk = with_conversations if kind == "conversations" else with_steps
    print(json.dumps(told(asyncio.run(talk(url, reach)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
