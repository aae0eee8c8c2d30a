"""A conversation of five turns with a tool, and a workflow of ten steps, each of which may be killed.

    python -m tests.integrations.agent_framework.conversation WHAT URL [KILL_AT]

WHAT is "history" (an agent with our history provider), "session" (our session store, with the framework's
provider, which keeps messages in the session) or "workflow" (our checkpoints). Points are counted over
model calls and tool calls, or over steps: at the one numbered KILL_AT the process kills itself. What ends
prints all that is stored, but for ids and times.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    Content,
    Executor,
    FunctionInvocationLayer,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    tool,
)

from miniagent_store.integrations.agent_framework import (
    MiniAgentCheckpointStorage,
    MiniAgentHistoryProvider,
    MiniAgentSessionStore,
)

TURNS = 5
POINTS = 3 * TURNS  # a model call, a tool, a model call
STEPS = 10


class Points:
    """Counts, and kills this process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self._kill_at, self._seen = kill_at, 0

    def reach(self) -> None:
        self._seen += 1
        if self._seen == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class FakeClient(FunctionInvocationLayer[Any], ChatMiddlewareLayer[Any], BaseChatClient[Any]):
    """Asks for the weather of the city that the user names, then tells it."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self.points = points

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse]:
        return self._answer(messages)

    async def _answer(self, messages: Sequence[Message]) -> ChatResponse:
        self.points.reach()
        last = messages[-1].contents[-1]
        if last.type == "function_result":
            said = Content.from_text(f"{last.result} ({len(messages)} messages so far)")
        else:
            city = messages[-1].text.split()[-1]
            said = Content.from_function_call(f"use-{len(messages)}", "weather", arguments={"city": city})
        return ChatResponse(messages=[Message("assistant", [said])])


def agent(points: Points, *providers: Any) -> Agent[Any]:
    @tool(approval_mode="never_require")
    def weather(city: str) -> str:
        """The weather in a city."""
        points.reach()
        return f"It is sunny in {city}"

    return Agent(FakeClient(points), name="guide", tools=[weather], context_providers=providers)


def plain(messages: Sequence[Message]) -> list[Any]:
    """What is stored of messages, but for ids and times."""
    return [[each.role, [_content(content) for content in each.contents]] for each in messages]


def _content(content: Content) -> Any:
    return content.text or content.result or content.arguments


async def history(url: str, kill_at: int | None) -> Any:
    provider = MiniAgentHistoryProvider(url)
    guide, session = agent(Points(kill_at), provider), AgentSession(session_id="trip")
    # A turn is stored whole at its end: what was cut short is asked again.
    while (turn := sum(each.role == "user" for each in await provider.get_messages("trip"))) < TURNS:
        await guide.run(f"How is it in City{turn}", session=session)
    return plain(await MiniAgentHistoryProvider(url).get_messages("trip"))


async def session(url: str, kill_at: int | None) -> Any:
    store, guide = MiniAgentSessionStore(url), agent(Points(kill_at))
    while True:
        found = await store.get("trip") or AgentSession(session_id="trip")
        turn = found.state.setdefault("turn", 0)
        if turn == TURNS:
            return plain(found.state["in_memory"]["messages"])
        await guide.run(f"How is it in City{turn}", session=found)
        found.state["turn"] += 1
        await store.set("trip", found)


class Counting(Executor):
    """Hands a number, and what was done so far, from one to the other, until there were enough steps."""

    def __init__(self, id: str, points: Points) -> None:
        super().__init__(id)
        self.points, self.seen = points, 0

    @handler
    async def step(self, done: list[str], ctx: WorkflowContext[list[str], list[str]]) -> None:
        self.points.reach()
        self.seen += 1
        done = [*done, f"{self.id}{len(done)} with {self.seen}"]
        if len(done) < STEPS:
            await ctx.send_message(done)
        else:
            await ctx.yield_output(done)

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"seen": self.seen}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


def built(points: Points, storage: Any) -> Workflow:
    one, other = Counting("one", points), Counting("other", points)
    builder = WorkflowBuilder(
        name="counting", start_executor=one, checkpoint_storage=storage, output_from=[one, other]
    )
    return builder.add_edge(one, other).add_edge(other, one).build()


async def workflow(url: str, kill_at: int | None) -> Any:
    storage = MiniAgentCheckpointStorage(url, scope="trip")
    counting = built(Points(kill_at), storage)
    latest = await storage.get_latest(workflow_name="counting")
    if latest is None:
        events = await counting.run([])
    else:
        events = await counting.run(checkpoint_id=latest.checkpoint_id)
    found = await storage.list_checkpoints(workflow_name="counting")
    # One that was begun again may have its first checkpoint twice.
    states = {each.iteration_count: each.state["_executor_state"] for each in found}
    return [events.get_outputs(), sorted(states.items())]


def main(what: str, url: str, kill_at: int | None) -> None:
    print(json.dumps(asyncio.run(globals()[what](url, kill_at))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
