"""A process is killed in the middle of a turn; another goes on, and nobody could tell."""

import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store.integrations.llama_index import MiniAgentChatStore
from tests.integrations.llama_index.model import CITIES, converse, memory_on, plain

ROOT = Path(__file__).parents[3]
# Each turn has a model call, a tool call and a model call.
MOMENTS = range(1, 3 * len(CITIES) + 1)
SHORT = (5, 9)


def run(url: str, kill_at: int) -> int:
    command = [sys.executable, "-m", "tests.integrations.llama_index.conversation", url, "s", str(kill_at)]
    return subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode


CASES = [moment if moment in SHORT else pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS]


@pytest.mark.parametrize("kill_at", CASES)
async def test_killed_and_resumed(tmp_path: Path, kill_at: int) -> None:
    await check(f"sqlite:///{tmp_path}/s.db", kill_at)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", SHORT)
async def test_killed_and_resumed_everywhere(durable_url: str, kill_at: int) -> None:
    await check(durable_url, kill_at)


async def check(url: str, kill_at: int) -> None:
    assert run(url, kill_at) == -9
    store = MiniAgentChatStore(url)
    before = await store.get_messages("s", status=None)
    # What a turn has said is stored at its end; the turn that was cut short has left its question.
    turn, _ = divmod(kill_at - 1, 3)
    assert len(before) == 4 * turn + 1
    assert run(url, 0) == 0
    undisturbed = MiniAgentChatStore(f"memory://{id(store)}")
    await converse(memory_on(undisturbed, "s"))
    assert plain(await store.get_messages("s", status=None)) == plain(
        await undisturbed.get_messages("s", status=None)
    )
    await store.aclose()
    await undisturbed.aclose()
