"""Removing checkpoints, and threads, while others go on with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from langgraph.types import Command, interrupt

from miniagent_store import InvalidArgumentError, SessionExistsError, VersionConflictError
from miniagent_store.integrations.langgraph import MiniAgentSaver

from .graphs import build, config_for, plain, question, run_turns


class Savers:
    """Savers of one store that remember nothing of each other, as in several processes."""

    def __init__(self, url: str) -> None:
        self._url, self._all = url, []  # type: ignore[var-annotated]

    def __call__(self) -> MiniAgentSaver:
        self._all.append(MiniAgentSaver(self._url))
        saver: MiniAgentSaver = self._all[-1]
        return saver

    def close(self) -> None:
        for saver in self._all:
            saver.handle.close()


@pytest.fixture
def savers(url: str) -> Iterator[Savers]:
    some = Savers(url)
    yield some
    some.close()


def messages(saver: MiniAgentSaver, thread: str = "thread") -> list[dict[str, Any]]:
    return plain(build(saver).get_state(config_for(thread)).values["messages"])


def checkpoints(saver: MiniAgentSaver, thread: str = "thread") -> list[str]:
    return [each.config["configurable"]["checkpoint_id"] for each in saver.list(config_for(thread))]


def size(saver: MiniAgentSaver, thread: str = "thread") -> int:
    return saver.handle.run_blocking(lambda store: store.get(f"langgraph/{thread}")).size


class DeltaState(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer, snapshot_frequency=40)]


def delta_graph(saver: MiniAgentSaver) -> Any:
    def answer(state: DeltaState) -> dict[str, Any]:
        return {"messages": [AIMessage("yes", id=f"answer-{len(state['messages'])}")]}

    builder = StateGraph(DeltaState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def ask_delta(saver: MiniAgentSaver, *numbers: int) -> None:
    graph = delta_graph(saver)
    for number in numbers:
        graph.invoke({"messages": [question(str(number))]}, config_for("thread"))


def test_prune_keeps_the_newest_and_lets_go_of_the_rest(savers: Savers) -> None:
    saver = savers()
    run_turns(build(saver), "thread")
    before, bytes_before = messages(saver), size(saver)

    saver.prune(["thread"])

    assert len(checkpoints(saver)) == 1
    assert messages(savers()) == before
    assert size(saver) < bytes_before / 5


def test_prune_while_others_remember(savers: Savers) -> None:
    saver, other = savers(), savers()
    graph = build(saver)
    run_turns(graph, "thread", 3)
    messages(other)

    other.prune(["thread"])
    run_turns(graph, "thread", 4)
    other.prune(["thread"])
    run_turns(graph, "thread", 5)

    assert len(messages(savers())) == 20
    assert messages(savers()) == messages(saver) == messages(other)


@pytest.mark.parametrize("turns", [3, 30])
def test_prune_keeps_what_delta_channels_are_made_of(savers: Savers, turns: int) -> None:
    saver = savers()
    ask_delta(saver, *range(turns))
    before = plain(delta_graph(saver).get_state(config_for("thread")).values["messages"])
    assert len(before) == 2 * turns

    saver.prune(["thread"])

    assert plain(delta_graph(savers()).get_state(config_for("thread")).values["messages"]) == before
    ask_delta(saver, turns)
    assert len(delta_graph(savers()).get_state(config_for("thread")).values["messages"]) == 2 * turns + 2


def test_prune_while_a_subgraph_waits_for_an_answer(savers: Savers) -> None:
    class State(TypedDict):
        text: str

    def ask(state: State) -> dict[str, Any]:
        return {"text": state["text"] + interrupt("how?")}

    def before(state: State) -> dict[str, Any]:
        return {"text": state["text"] + "b"}

    inner = StateGraph(State)
    inner.add_node("before", before)
    inner.add_node("ask", ask)
    inner.add_edge(START, "before")
    inner.add_edge("before", "ask")
    outer = StateGraph(State)
    outer.add_node("first", before)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "first")
    outer.add_edge("first", "inner")
    saver = savers()
    outer.compile(checkpointer=saver).invoke({"text": "a"}, config_for("thread"))

    saver.prune(["thread"])

    result = outer.compile(checkpointer=savers()).invoke(Command(resume="!"), config_for("thread"))
    assert result == {"text": "abb!"}


def test_deleted_by_another_within_a_run(savers: Savers) -> None:
    saver, other = savers(), savers()
    run_turns(build(saver), "thread", 3)
    expected = messages(saver)

    def delete(where: str) -> None:
        if where == "tool 14":
            other.delete_thread("thread")

    run_turns(build(saver, delete), "thread", 4)

    after = messages(savers())
    assert after[:12] == expected
    assert [each["type"] for each in after[12:]] == ["human", "ai", "tool", "ai"]


def test_delta_channels_of_a_deleted_thread_are_refused(savers: Savers) -> None:
    saver, other = savers(), savers()
    ask_delta(saver, 1, 2)
    state = delta_graph(saver).get_state(config_for("thread"))
    other.delete_thread("thread")

    with pytest.raises(VersionConflictError):
        delta_graph_update(saver, state.config)


def delta_graph_update(saver: MiniAgentSaver, config: Any) -> None:
    """What a run that had read before the deletion stores."""
    checkpoint: Any = {
        "v": 4,
        "id": "ffffffff-0000-6000-8000-000000000000",
        "ts": "",
        "channel_values": {},
        "channel_versions": {"messages": saver.get_next_version(None, None)},
        "versions_seen": {},
        "updated_channels": None,
    }
    metadata: Any = {"source": "loop", "step": 9, "counters_since_delta_snapshot": {"messages": (3, 3)}}
    saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])


def test_delete_for_runs_keeps_what_others_are_made_of(savers: Savers) -> None:
    saver = savers()
    graph = build(saver)
    for number in range(6):
        config = {**config_for("thread"), "metadata": {"run_id": f"run {number}"}}
        graph.invoke({"messages": [question(str(number))]}, config)
    build(saver).invoke({"messages": [question("other")]}, config_for("other"))
    before, others = messages(saver), messages(saver, "other")

    saver.delete_for_runs(["run 1", "run 3", "no such run"])

    fresh = savers()
    assert {each.metadata.get("run_id") for each in fresh.list(config_for("thread"))} == {
        f"run {number}" for number in (0, 2, 4, 5)
    }
    assert messages(fresh) == before
    assert messages(fresh, "other") == others
    assert len(list(fresh.list(None, filter={"run_id": "run 2"}))) == 5


def test_copied_threads_go_their_own_ways(savers: Savers) -> None:
    saver = savers()
    graph = build(saver)
    run_turns(graph, "thread", 2)

    saver.copy_thread("thread", "copy")
    run_turns(graph, "copy", 4)
    run_turns(graph, "thread", 3)

    assert len(messages(savers(), "copy")) == 16
    assert len(messages(savers())) == 12
    with pytest.raises(SessionExistsError):
        saver.copy_thread("thread", "copy")


def test_many_checkpoints_are_removed_in_groups(savers: Savers) -> None:
    saver = savers()
    run_turns(build(saver), "thread", 60)
    before = messages(saver)
    assert len(checkpoints(saver)) > 200

    saver.prune(["thread"])

    assert messages(savers()) == before
    assert len(checkpoints(savers())) == 1


def test_no_such_strategy(savers: Savers) -> None:
    with pytest.raises(InvalidArgumentError):
        savers().prune(["thread"], strategy="all")
