"""With encryption on, no word of a message, a state or a tool's result stands in Redis."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from miniagent_store.integrations.langgraph import MiniAgentSaver
from tests.integrations.conftest import Encrypted

WORD = "canarybird"


class State(TypedDict):
    text: str
    items: list[str]


def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    def write(state: State) -> dict[str, Any]:
        return {"items": [*state.get("items", []), f"{WORD} in a list"]}

    def ask(state: State) -> dict[str, Any]:
        return {"text": interrupt(f"{WORD} in a question")}

    saver = MiniAgentSaver(encrypted.url)
    builder = StateGraph(State)
    builder.add_node("write", write)
    builder.add_node("ask", ask)
    builder.add_edge(START, "write")
    builder.add_edge("write", "ask")
    graph = builder.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "thread"}, "metadata": {"note": f"{WORD} in metadata"}}

    graph.invoke({"text": f"{WORD} in a text", "items": []}, config)

    assert WORD in str(graph.get_state(config))
    encrypted.assert_absent(WORD.encode())
    saver.handle.close()
