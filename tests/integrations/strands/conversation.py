"""A conversation of five turns with a tool, run as a process that may be killed at any point of it.

    python -m tests.integrations.strands.conversation MANAGER URL [KILL_AT]

MANAGER is "repository", or "message" or "invocation": a snapshot at each of these. Points are counted over
model calls and tool calls: at the one numbered KILL_AT the process kills itself. What ends prints all that
is stored, but for ids and times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

from strands import Agent, ToolContext, tool
from strands.agent.conversation_manager import NullConversationManager
from strands.models import Model
from strands.session import RepositorySessionManager, SnapshotSessionManager
from strands.session.session_manager import SessionManager

from miniagent_store.integrations.strands import MiniAgentSessionRepository, MiniAgentStorage

TURNS = 5
POINTS = 3 * TURNS  # a model call, a tool, a model call


class Points:
    """Counts, and kills this process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self._kill_at, self._seen = kill_at, 0

    def reach(self) -> None:
        self._seen += 1
        if self._seen == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class FakeModel(Model):
    """Asks for the weather of the city that the user names, then tells it."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> dict[str, Any]:
        return {"context_window_limit": 200_000}

    def structured_output(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        yield {"messageStart": {"role": "assistant"}}
        self._points.reach()
        last = messages[-1]["content"][0]
        if "toolResult" in last:
            said = last["toolResult"]["content"][0]["text"]
            text = f"{said} ({len(messages)} messages so far)"
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": text}}}
        else:
            use = {"name": "weather", "toolUseId": f"use-{len(messages)}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            city = json.dumps({"city": last["text"].split()[-1]})
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": city}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if "toolResult" in last else "tool_use"}}


def session_manager(kind: str, url: str, session_id: str = "trip") -> SessionManager[Any]:
    if kind == "repository":
        return RepositorySessionManager(session_id, MiniAgentSessionRepository(url))
    when: Any = kind
    return SnapshotSessionManager(session_id, storage=MiniAgentStorage(url), save_latest_on=when)


def agent(kind: str, url: str, kill_at: int | None = None, session_id: str = "trip") -> Agent:
    points = Points(kill_at)

    @tool(context=True)
    def weather(city: str, tool_context: ToolContext) -> str:
        """The weather in a city."""
        state = tool_context.agent.state
        state.set("visited", [*(state.get("visited") or []), city])
        points.reach()
        return f"It is sunny in {city}"

    manager = session_manager(kind, url, session_id)
    return Agent(
        model=FakeModel(points),
        tools=[weather],
        session_manager=manager,
        agent_id="guide",
        conversation_manager=NullConversationManager(),  # else it forgets all but the last 40
        callback_handler=None,
    )


def turns_begun(messages: list[Any]) -> int:
    """Each begins with a text of the user."""
    return sum(1 for each in messages if each["role"] == "user" and "text" in each["content"][0])


def turns_done(messages: list[Any]) -> int:
    """Each ends with a text of the assistant."""
    return sum(1 for each in messages if each["role"] == "assistant" and "text" in each["content"][0])


def plain(found: Agent) -> dict[str, Any]:
    """What is stored of an agent, but for tracking ids, usage and times."""
    messages = [{"role": each["role"], "content": each["content"]} for each in found.messages]
    return {"messages": messages, "state": found.state.get()}


def main(kind: str, url: str, kill_at: int | None) -> None:
    guide = agent(kind, url, kill_at)
    if turns_done(guide.messages) < turns_begun(guide.messages):
        guide(None)  # One was cut short: what is missing of it is done now.
    while (done := turns_done(guide.messages)) < TURNS:
        guide(f"How is it in City{done}")
    print(json.dumps(plain(agent(kind, url))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
