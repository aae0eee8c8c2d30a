"""LangGraph: one turn with a call of a tool, run by LangGraph itself with a model that is made up.

The history is a thread of so many messages in a list channel, and, apart from it, in a delta channel, of
which checkpoints hold only what was added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypedDict

from benchmarks.frameworks.contestant import Contestant, Places, Turn

PACKAGE = "langgraph"


def build(saver: Any, channel: Any) -> Any:
    """A graph that answers each question after one call of a tool."""
    from langchain_core.messages import AIMessage, ToolMessage
    from langgraph.graph import START, StateGraph

    State = TypedDict("State", {"messages": channel})  # noqa: UP013

    def model(state: Any) -> dict[str, Any]:
        if isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage("It is sunny there.")]}
        call = {"name": "weather", "args": {"of": "Bern"}, "id": "call"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    def tools(state: Any) -> dict[str, Any]:
        return {"messages": [ToolMessage("sunny", tool_call_id="call")]}

    def route(state: Any) -> str:
        return "tools" if getattr(state["messages"][-1], "tool_calls", None) else "__end__"

    builder = StateGraph(State)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "__end__"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


def list_channel() -> Any:
    from langgraph.graph.message import add_messages

    return Annotated[list[Any], add_messages]


def delta_channel() -> Any:
    from langgraph.channels.delta import DeltaChannel
    from langgraph.graph.message import _messages_delta_reducer

    return Annotated[list[Any], DeltaChannel(_messages_delta_reducer)]


@asynccontextmanager
async def prepare(
    saver_for: Callable[[int], AbstractAsyncContextManager[Any]], channel: Callable[[], Any], history: int
) -> AsyncIterator[Turn]:
    from langchain_core.messages import AIMessage, HumanMessage

    async with saver_for(history) as saver:
        graph = build(saver, channel())
        config: Any = {"configurable": {"thread_id": f"{channel.__name__} {history}"}}
        earlier = [
            (AIMessage if number % 2 else HumanMessage)(f"This is message {number} of a conversation.")
            for number in range(history)
        ]
        await graph.aupdate_state(config, {"messages": earlier}, as_node="model")

        async def turn() -> None:
            question = HumanMessage("How is the weather in Bern?")
            await graph.ainvoke({"messages": [question]}, config, durability="sync")

        yield turn


@asynccontextmanager
async def ours(url: str, history: int) -> AsyncIterator[Any]:
    from miniagent_store import open_store
    from miniagent_store.integrations.langgraph import MiniAgentSaver

    async with open_store(url) as store:
        yield MiniAgentSaver(store)


@asynccontextmanager
async def theirs(folder: Any, history: int) -> AsyncIterator[Any]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with AsyncSqliteSaver.from_conn_string(f"{folder}/theirs-{history}.db") as saver:
        yield saver


def contestants(places: Places) -> list[Contestant]:
    savers = {
        "ours, sqlite": partial(ours, places.sqlite),
        "ours, redis": partial(ours, places.redis),
        "AsyncSqliteSaver": partial(theirs, places.folder),
    }
    channels = {"list": list_channel, "delta": delta_channel}
    return [
        Contestant(f"{name}, {kind} channel", partial(prepare, saver, channel))
        for kind, channel in channels.items()
        for name, saver in savers.items()
    ]
