"""What one run was told to remember is recalled in another, by the same user only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message, function_call

from miniagent_store import open_store
from miniagent_store.integrations.openai_agents import memory_tools
from tests.integrations.conftest import Encrypted


@dataclass
class User:
    id: str


async def _called(url: str, user: str, tool: str, **arguments: str) -> str:
    """What a tool answers in a run of its own."""
    call: Any = [function_call(tool, json.dumps(arguments), call_id="call-1")]
    model = ScriptedModel(steps=[call, [assistant_message("Done.")]])
    tools: Any = memory_tools(url, lambda run: run.context.id)
    agent = Agent(name="a", model=model, tools=tools)
    result = await Runner.run(agent, "Hello", context=User(user))
    items: list[Any] = list(result.to_input_list())
    [output] = [each for each in items if each.get("type") == "function_call_output"]
    return str(output["output"])


async def test_it_is_recalled_in_another_run(url: str) -> None:
    for _ in range(2):
        assert await _called(url, "ada", "remember", text="Ada eats no meat.") == "Remembered."
    answer = await _called(url, "ada", "recall", query="meat")
    assert answer.count("Ada eats no meat.") == 1
    assert answer.startswith("[From earlier conversations")
    assert await _called(url, "bob", "recall", query="meat") == "Nothing is remembered that fits."


async def test_the_model_chooses_no_scope(url: str) -> None:
    for tool in memory_tools(url, "ada"):
        assert list(tool.params_json_schema["properties"]) in (["query"], ["text"])


async def test_what_is_remembered_is_a_memory_of_the_store(url: str) -> None:
    await _called(url, "ada", "remember", text="Ada eats no meat.")
    async with open_store(url) as store:
        [memory] = await store.memory("ada").list()
        assert memory.text == "Ada eats no meat."


async def test_nothing_of_it_is_readable(encrypted: Encrypted) -> None:
    await _called(encrypted.url, "ada", "remember", text="xylophone")
    assert "xylophone" in await _called(encrypted.url, "ada", "recall", query="xylophone")
    encrypted.assert_absent(b"xylophone")
