"""A graph with a tool, a model that is made up, and runs of it that may be cut short."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph

from miniagent_store.integrations.langgraph import MiniAgentSaver

TURNS = 5
Watch = Callable[[str], None]


def build(checkpointer: BaseCheckpointSaver[Any], watch: Watch = lambda _: None) -> Any:
    """Each turn: the model asks for a tool, the tool answers, the model says so."""

    def model(state: MessagesState) -> dict[str, Any]:
        messages = state["messages"]
        number = sum(isinstance(message, HumanMessage) for message in messages)
        last = messages[-1]
        watch(f"model {len(messages)}")
        if isinstance(last, ToolMessage):
            return {"messages": [AIMessage(f"It is {last.content}.", id=f"answer-{len(messages)}")]}
        call = {"name": "square", "args": {"of": number}, "id": f"call-{len(messages)}"}
        return {"messages": [AIMessage("", tool_calls=[call], id=f"ask-{len(messages)}")]}

    def tools(state: MessagesState) -> dict[str, Any]:
        messages = state["messages"]
        last = messages[-1]
        assert isinstance(last, AIMessage)
        watch(f"tool {len(messages)}")
        return {
            "messages": [
                ToolMessage(str(call["args"]["of"] ** 2), tool_call_id=call["id"], id=f"tool-{call['id']}")
                for call in last.tool_calls
            ]
        }

    def route(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=checkpointer)


def config_for(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def question(text: str) -> HumanMessage:
    return HumanMessage(text, id=text)


def plain(messages: list[AnyMessage]) -> list[dict[str, Any]]:
    """All that messages hold; their ids are not minted here."""
    return [message.model_dump() for message in messages]


def run_turns(graph: Any, thread: str, turns: int = TURNS) -> None:
    """Go on where the thread stands, as after a crash, up to so many turns."""
    config = config_for(thread)
    # Not `next`: a task that had ended, but was not applied yet, is none that comes next.
    if graph.get_state(config).tasks:
        graph.invoke(None, config)
    messages = graph.get_state(config).values.get("messages", [])
    for done in range(sum(isinstance(message, HumanMessage) for message in messages), turns):
        graph.invoke({"messages": [question(f"question {done + 1}")]}, config)


def die_once_at(point: str, marker: Path) -> Watch:
    def watch(where: str) -> None:
        if where == point and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


def main() -> None:
    """A process of its own: ``crash URL THREAD POINT MARKER``, ``race`` or ``fork URL THREAD NAME N``."""
    what, url, thread, *rest = sys.argv[1:]
    if what == "crash":
        point, marker = rest
        run_turns(build(MiniAgentSaver(url), die_once_at(point, Path(marker))), thread)
        return
    name, turns = rest
    saver = MiniAgentSaver(url, writers="exclusive" if what == "race" else "shared")
    graph = build(saver)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(turns)):
        text = f"{name} {number}"
        if what == "race":
            with saver.turn(thread, wait=120):
                graph.invoke({"messages": [question(text)]}, config_for(thread))
        else:
            graph.invoke({"messages": [question(text)]}, config_for(thread))


if __name__ == "__main__":
    main()
