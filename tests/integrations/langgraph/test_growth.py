"""What a thread comes to hold: only what changed is written."""

from __future__ import annotations

from miniagent_store.integrations.langgraph import MiniAgentSaver
from miniagent_store.integrations.langgraph.blobs import from_plain

from .graphs import build, config_for, plain, run_turns


def blob_bytes(saver: MiniAgentSaver, thread: str) -> int:
    async def read(store):  # type: ignore[no-untyped-def]
        return await store.state(f"langgraph/{thread}").scan("b/%/messages/")

    return sum(from_plain(item.value).size for item in saver.handle.run_blocking(read))


def test_a_list_is_not_written_again_and_again(url: str) -> None:
    saver = MiniAgentSaver(url)
    run_turns(build(saver), "thread", 50)

    held = blob_bytes(saver, "thread")
    last = saver.get_tuple(config_for("thread"))
    assert last is not None
    once = sum(
        len(saver.serde.dumps_typed(each)[1]) for each in last.checkpoint["channel_values"]["messages"]
    )
    # Stored whole at each version it would be a hundred times as much.
    assert held < 5 * once
    saver.handle.close()


def test_a_saver_that_remembers_nothing(url: str) -> None:
    forgetful = MiniAgentSaver(url, remembered=1)
    run_turns(build(forgetful), "thread", 5)
    fresh = MiniAgentSaver(url)

    state = build(fresh).get_state(config_for("thread"))

    expected = MiniAgentSaver("memory://growth")
    run_turns(build(expected), "thread", 5)
    assert plain(state.values["messages"]) == plain(
        build(expected).get_state(config_for("thread")).values["messages"]
    )
    for saver in (forgetful, fresh, expected):
        saver.handle.close()
