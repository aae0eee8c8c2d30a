"""An agent with a tool that writes memories; as a program it kills itself where it is told to.

python -m tests.integrations.langgraph.remembering URL NAME TURNS [POINT]
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph.saver import MiniAgentSaver
from miniagent_store.integrations.langgraph.store import MiniAgentStore


def joined(before: list[str], after: list[str]) -> list[str]:
    return before + after


class State(TypedDict):
    said: Annotated[list[str], joined]


def graph_on(handle: StoreHandle, name: str, reached: Callable[[str], None] = lambda point: None) -> Any:
    """A graph with checkpoints and memories of `name`; `reached` hears where it is."""

    def model(state: State) -> dict[str, list[str]]:
        last = state["said"][-1]
        turn = sum(each.startswith("turn") for each in state["said"])
        reached(f"{'answer' if last.startswith('found') else 'call'} {turn}")
        return {"said": [f"answer {turn}" if last.startswith("found") else f"call {turn}"]}

    def tool(state: State, *, store: BaseStore) -> dict[str, list[str]]:
        turn = state["said"][-1].split()[-1]
        store.put((name, "facts"), turn, {"fact": f"found {turn}"})
        reached(f"tool {turn}")
        known = store.search((name, "facts"), limit=100)
        store.put((name, "known"), "count", {"count": len(known)})
        return {"said": [f"found {turn}"]}

    def chosen(state: State) -> str:
        return "tool" if state["said"][-1].startswith("call") else END

    graph = StateGraph(State)
    graph.add_node("model", model)
    graph.add_node("tool", tool)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", chosen, ["tool", END])
    graph.add_edge("tool", "model")
    return graph.compile(checkpointer=MiniAgentSaver(handle), store=MiniAgentStore(handle))


def converse(graph: Any, name: str, turns: int) -> None:
    """Go on where it stopped, until there were so many turns."""
    config = {"configurable": {"thread_id": name}}
    # A task that had ended, but not its step, is none of those that come next.
    if graph.get_state(config).tasks:
        graph.invoke(None, config)
    said = graph.get_state(config).values.get("said", [])
    for turn in range(sum(each.startswith("turn") for each in said) + 1, turns + 1):
        graph.invoke({"said": [f"turn {turn}"]}, config)


def remembered(graph: Any, name: str) -> Any:
    """What was said, and all memories, without ids and times."""
    said = graph.get_state({"configurable": {"thread_id": name}}).values["said"]
    items = graph.store.search((name,), limit=1000)
    return said, {(item.namespace[1:], item.key): item.value for item in items}


def main(url: str, name: str, turns: str, point: str = "") -> None:
    def reached(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    converse(graph_on(StoreHandle(url), name, reached), name, int(turns))


if __name__ == "__main__":
    main(*sys.argv[1:])
