"""Checkpoints moved here from LangGraph's own savers: the same history, and it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from miniagent_store.integrations.langgraph import (
    ImportProgress,
    MiniAgentSaver,
    aimport_checkpoints,
    import_checkpoints,
)

from .graphs import build, config_for, run_turns


def history(saver: Any, thread: str) -> list[Any]:
    """All that a history tells, with the ids of checkpoints."""
    return [
        (each.values, each.next, each.config, each.parent_config, each.metadata, each.tasks)
        for each in build(saver).get_state_history(config_for(thread))
    ]


def test_from_sqlite(url: str, tmp_path: Path) -> None:
    told: list[ImportProgress] = []
    with SqliteSaver.from_conn_string(str(tmp_path / "theirs.db")) as source:
        run_turns(build(source), "first", 3)
        run_turns(build(source), "second", 2)
        target = MiniAgentSaver(url)

        done = import_checkpoints(source, target, progress=told.append)
        again = import_checkpoints(source, target)

        assert done == again == told[-1]
        assert done.threads == 2
        assert done.checkpoints == len(told) == len(list(source.list(None)))
        for thread in ("first", "second"):
            assert history(target, thread) == history(source, thread)
    run_turns(build(target), "first", 4)
    assert len(build(target).get_state(config_for("first")).values["messages"]) == 16
    target.handle.close()


async def test_from_async_sqlite(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "theirs.db")) as source:
        await build(source).ainvoke({"messages": [("user", "hello")]}, config_for("thread"))
        target = MiniAgentSaver(f"sqlite:///{tmp_path}/ours.db")

        done = await aimport_checkpoints(source, target)

        assert done.threads == 1
        expected = await build(source).aget_state(config_for("thread"))
        assert (await build(target).aget_state(config_for("thread"))).values == expected.values
        await target.handle.aclose()


class NumberedSaver(InMemorySaver):
    """Numbers its versions, as savers do that do not say how."""

    def get_next_version(self, current: Any, channel: None) -> Any:
        return (current or 0) + 1


def test_forks_under_versions_that_are_numbers() -> None:
    source, target = NumberedSaver(), MiniAgentSaver("memory://numbered")
    graph = build(source)
    run_turns(graph, "thread", 2)
    early = list(graph.get_state_history(config_for("thread")))[4]
    graph.update_state(early.config, {"messages": [("user", "another way")]})

    import_checkpoints(source, target)

    ours = [(each[0], each[1], each[2]) for each in history(target, "thread")]
    assert ours == [(each[0], each[1], each[2]) for each in history(source, "thread")]
    run_turns(build(target), "thread", 4)
    target.handle.close()
