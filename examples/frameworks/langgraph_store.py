"""LangGraph: what an agent knows of its users, over all threads, in a store of your choice. Offline.

python examples/frameworks/langgraph_store.py                          # a file in a temporary folder
python examples/frameworks/langgraph_store.py redis://localhost:6379   # or any store
"""

import sys
import tempfile
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.types import CachePolicy

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph import MiniAgentNodeCache, MiniAgentStore


class State(TypedDict):
    user: str
    said: str
    answer: str


def remember(state: State, *, store: BaseStore) -> dict[str, str]:
    """Keep what the user likes; say what is known."""
    thing = state["said"].removeprefix("I like ")
    store.put((state["user"], "likes"), thing, {"thing": thing})
    known = [item.key for item in store.search((state["user"], "likes"))]
    return {"answer": f"{state['user']} likes {', '.join(sorted(known))}"}


def shout(state: State) -> dict[str, str]:
    """Something expensive: done once for the same input."""
    print("  (shouting is hard work)")
    return {"answer": state["answer"].upper()}


def main(url: str) -> None:
    handle = StoreHandle(url)
    graph = StateGraph(State)
    graph.add_node("remember", remember)
    graph.add_node("shout", shout, cache_policy=CachePolicy(ttl=3600))
    graph.add_edge(START, "remember")
    graph.add_edge("remember", "shout")
    graph.add_edge("shout", END)
    agent = graph.compile(store=MiniAgentStore(handle), cache=MiniAgentNodeCache(handle))

    for user, said in [
        ("ada", "I like tea"),
        ("ada", "I like chess"),
        ("bob", "I like tea"),
        ("ada", "I like tea"),
    ]:
        print(f"{user}: {said}\nagent: {agent.invoke({'user': user, 'said': said})['answer']}")
    print("whose memories there are:", MiniAgentStore(handle).list_namespaces(max_depth=1))
    handle.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(*sys.argv[1:2] or [f"sqlite:///{folder}/memories.db"])
