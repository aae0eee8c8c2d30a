"""Two processes in one conversation at once: a serial order or the framework's conflict, and no loss."""

from __future__ import annotations

import pytest

from tests.integrations.pydantic_ai.processes import results, start
from tests.integrations.pydantic_ai.scripted import told
from tests.integrations.pydantic_ai.test_crash import KINDS

ROUNDS = [("redis", 4)]
MANY = [pytest.param(place, 40, marks=pytest.mark.slow) for place in ("sqlite", "redis", "cluster")]


@pytest.mark.parametrize(("durable_url", "turns"), [*ROUNDS, *MANY], indirect=["durable_url"])
@pytest.mark.parametrize("kind", KINDS)
async def test_two_at_once(kind: str, durable_url: str, turns: int) -> None:
    talkers = [start("talker", kind, durable_url, name, str(turns)) for name in ("ada", "bob")]
    results(*talkers)
    check = check_conversation if kind == "conversations" else check_steps
    await check(durable_url, turns)


async def check_conversation(url: str, turns: int) -> None:
    from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

    conversation = await MiniAgentConversationStore(url).load("c")
    assert conversation is not None
    # Turns stand whole, one after another, each of both once and in order.
    said = told(conversation.messages)
    assert len(said) == 2 * turns * 4
    kinds = [kind for kind, *_ in said]
    assert kinds == ["user-prompt", "tool-call", "tool-return", "text"] * (2 * turns)
    for name in ("ada", "bob"):
        mine = [content for kind, content, *_ in said if kind == "user-prompt" and content.startswith(name)]
        assert mine == [f"{name} {turn}" for turn in range(turns)]
    # Each saw what the one before it had saved.
    assert [content for kind, content, *_ in said if kind == "tool-return"] == [
        str(number + 1) for number in range(1, 2 * turns + 1)
    ]
    assert conversation.usage.requests == 2 * 2 * turns


async def check_steps(url: str, turns: int) -> None:
    from miniagent_store.integrations.pydantic_ai import MiniAgentStepStore

    store = MiniAgentStepStore(url)
    runs = await store.list_runs(conversation_id="c")
    names = {f"{name}-{turn}" for name in ("ada", "bob") for turn in range(turns)}
    assert {run.run_id for run in runs} == names
    assert len(runs) == len(names)
    for run_id in names:
        name, _, turn = run_id.partition("-")
        snapshots = await store.list_snapshots(run_id=run_id)
        assert len(snapshots) == 2
        said = told(snapshots[-1].messages)
        assert len(said) == 4 * (int(turn) + 1)
        prompts = [content for kind, content, *_ in said if kind == "user-prompt"]
        assert prompts == [f"{name} {number}" for number in range(int(turn) + 1)]
        assert len(await store.list_events(run_id=run_id)) == 8
        assert await store.list_unresolved_tool_effects(run_id=run_id) == []
