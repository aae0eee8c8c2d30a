"""One saver: from fresh loops and threads, from inside a running loop, and again after pickling."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from miniagent_store import FencedError, InvalidArgumentError, SessionStore, StoreClosedError, open_store
from miniagent_store.integrations.langgraph import MiniAgentSaver

from .graphs import build, config_for, question


def ask(text: str) -> dict[str, Any]:
    return {"messages": [question(text)]}


def count(graph: Any, thread: str = "thread") -> int:
    return len(graph.get_state(config_for(thread)).values["messages"])


def test_fresh_loops_and_threads(url: str) -> None:
    saver = MiniAgentSaver(url)
    graph = build(saver)
    graph.invoke(ask("0"), config_for("thread"))
    before = threading.active_count()

    for number in range(5):
        asyncio.run(graph.ainvoke(ask(f"loop {number}"), config_for("thread")))
    for number in range(5):
        thread = threading.Thread(target=graph.invoke, args=(ask(f"thread {number}"), config_for("thread")))
        thread.start()
        thread.join()

    assert count(graph) == 11 * 4
    assert threading.active_count() <= before
    saver.handle.close()


def test_many_threads_at_once(url: str) -> None:
    saver = MiniAgentSaver(url)
    graph = build(saver)

    def converse(name: str) -> int:
        for number in range(3):
            graph.invoke(ask(f"{number}"), config_for(name))
        return count(graph, name)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(converse, [f"thread {number}" for number in range(8)]))

    assert counts == [12] * 8
    saver.handle.close()


async def test_sync_calls_inside_a_running_loop(url: str) -> None:
    saver = MiniAgentSaver(url)
    graph = build(saver)

    await graph.ainvoke(ask("async"), config_for("thread"))
    graph.invoke(ask("sync"), config_for("thread"))

    assert count(graph) == 8
    assert len(list(graph.get_state_history(config_for("thread"), limit=3))) == 3
    assert len([each async for each in graph.aget_state_history(config_for("thread"), limit=3)]) == 3
    await saver.handle.aclose()


async def test_on_a_store_of_this_loop(url: str) -> None:
    async with open_store(url) as store:
        saver = MiniAgentSaver(store)
        graph = build(saver)

        await graph.ainvoke(ask("async"), config_for("thread"))
        await asyncio.to_thread(graph.invoke, ask("thread"), config_for("thread"))

        assert len((await graph.aget_state(config_for("thread"))).values["messages"]) == 8
        await saver.handle.aclose()


def test_pickled(url: str) -> None:
    saver = MiniAgentSaver(url, remembered="1MB")
    build(saver).invoke(ask("before"), config_for("thread"))

    again: MiniAgentSaver = pickle.loads(pickle.dumps(saver))

    assert count(build(again)) == 4
    saver.handle.close()
    again.handle.close()


def test_a_copy_shares_what_is_remembered() -> None:
    saver = MiniAgentSaver("memory://")
    saver.serde = saver.serde.with_msgpack_allowlist([])  # type: ignore[attr-defined]

    copied = saver.with_allowlist([("tests", "Anything")])

    assert isinstance(copied, MiniAgentSaver)
    assert copied.handle is saver.handle


def test_closed() -> None:
    saver = MiniAgentSaver("memory://")
    saver.handle.close()

    with pytest.raises(StoreClosedError):
        saver.get_tuple(config_for("thread"))


def test_exclusive_refuses_without_a_turn(url: str) -> None:
    saver = MiniAgentSaver(url, writers="exclusive")
    graph = build(saver)

    with pytest.raises(InvalidArgumentError, match="turn"):
        graph.invoke(ask("alone"), config_for("thread"))
    with saver.turn("thread"):
        graph.invoke(ask("first"), config_for("thread"))

    assert count(graph) == 4
    saver.handle.close()


async def test_turns_of_tasks(url: str) -> None:
    saver = MiniAgentSaver(url, writers="exclusive")
    graph = build(saver)

    async def converse(name: str) -> None:
        for number in range(3):
            async with saver.turn("thread"):
                await graph.ainvoke(ask(f"{name} {number}"), config_for("thread"))

    await asyncio.gather(*(converse(name) for name in ("ada", "bob", "eve")))

    assert len((await graph.aget_state(config_for("thread"))).values["messages"]) == 9 * 4
    await saver.handle.aclose()


async def test_who_gives_up_waiting_leaves_no_turn_behind(url: str) -> None:
    saver = MiniAgentSaver(url, writers="exclusive")
    async with saver.turn("thread"):
        waiting = [asyncio.create_task(saver.turn("thread").__aenter__()) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        assert all(
            isinstance(outcome, asyncio.CancelledError)
            for outcome in await asyncio.gather(*waiting, return_exceptions=True)
        )

    async with saver.turn("thread", wait=5):
        pass
    await saver.handle.aclose()


def test_a_run_that_lost_its_turn_stores_nothing(url: str) -> None:
    saver = MiniAgentSaver(url, writers="exclusive")
    graph = build(saver)

    async def another_has_it(store: SessionStore) -> None:
        async with store.batch("langgraph/thread", fence=2**60) as batch:
            batch.state.set("turn", 2**60)

    with saver.turn("thread"):
        graph.invoke(ask("first"), config_for("thread"))
        saver.handle.run_blocking(another_has_it)
        with pytest.raises(FencedError):
            graph.invoke(ask("second"), config_for("thread"), durability="sync")

    assert count(graph) == 4
    saver.handle.close()


@pytest.mark.parametrize("wrong", ["", "both"])
def test_wrong_writers(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        MiniAgentSaver("memory://", writers=wrong)
