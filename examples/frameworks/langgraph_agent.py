"""A LangGraph agent whose threads outlive the process: it stops for an approval, and goes on elsewhere.

    python examples/frameworks/langgraph_agent.py [URL]

Needs no key and no network: the model is made up. The URL is a file in a temporary folder by default.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from miniagent_store.integrations.langgraph import MiniAgentSaver


def model(state: MessagesState) -> dict[str, Any]:
    last = state["messages"][-1]
    if isinstance(last, ToolMessage):
        return {"messages": [AIMessage(f"Done: {last.content}.")]}
    if "book" in str(last.content):
        call = {"name": "book_table", "args": {"people": 4}, "id": "call-1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}
    return {"messages": [AIMessage("Hello! Shall I book a table?")]}


def tools(state: MessagesState) -> dict[str, Any]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    call = last.tool_calls[0]
    answer = interrupt(f"May I book a table for {call['args']['people']}?")
    booked = "a table is booked" if answer == "yes" else "nothing was booked"
    return {"messages": [ToolMessage(booked, tool_call_id=call["id"])]}


def route(state: MessagesState) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else "__end__"


def build(saver: MiniAgentSaver) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


def main() -> None:
    folder = tempfile.TemporaryDirectory()
    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder.name}/agent.db"
    config: Any = {"configurable": {"thread_id": "ada"}}

    saver = MiniAgentSaver(url)
    graph = build(saver)
    graph.invoke({"messages": [HumanMessage("Hi")]}, config)
    result = graph.invoke({"messages": [HumanMessage("Please book one for four")]}, config)
    print("The agent asks:", result["__interrupt__"][0].value)
    saver.handle.close()

    # Another process would do just this: the thread is all that it needs.
    saver = MiniAgentSaver(url)
    graph = build(saver)
    graph.invoke(Command(resume="yes"), config)
    for message in graph.get_state(config).values["messages"]:
        print(f"  {message.type:>5}: {message.content or message.tool_calls[0]['name']}")

    checkpoints = list(graph.get_state_history(config))
    print(f"{len(checkpoints)} checkpoints; each can be gone back to.")
    saver.handle.close()
    folder.cleanup()


if __name__ == "__main__":
    main()
