"""docs/agents.md does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store import AgentConfig
from miniagent_store.agent.compaction import SUMMARY
from miniagent_store.agent.window_reading import FIRST_PAGE, PINNED

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TOLD = [
    ["HELLO!"],
    ['{"city": "Paris", "sky": "clear"} ada', "['user', 'assistant', 'tool', 'tool', 'assistant']"],
    [
        "I remember: <day>, user: My dog is called Rex; "
        "<day>, assistant: You said: My dog is called Rex (message 1)"
    ],
    ["100 messages are stored"],
]


@pytest.mark.parametrize(("example", "told"), list(zip(EXAMPLES, TOLD, strict=True)))
def test_the_examples_run(example: str, told: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.sub(r"\d{4}-\d\d-\d\d", "<day>", done.stdout).splitlines() == told


def test_its_numbers_and_names_are_those_of_the_code() -> None:
    assert f"`AgentConfig.max_iterations` ({AgentConfig.max_iterations})" in PAGE
    assert f"`AgentConfig.tool_timeout`, {AgentConfig.tool_timeout:g} s" in PAGE
    assert f"{FIRST_PAGE} messages at first" in PAGE
    assert f"`{SUMMARY}`" in PAGE
    assert f"`{PINNED}`" in PAGE
