"""A process is killed in the middle of a turn; another goes on, and nobody could tell."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from miniagent_store.integrations.ag2 import MiniAgentStorage
from tests.integrations.ag2.model import CITIES, converse, plain

ROOT = Path(__file__).parents[3]
# Each turn has a model call, a tool call and a model call.
MOMENTS = range(1, 3 * len(CITIES) + 1)
SHORT = (5, 9)
CASES = [moment if moment in SHORT else pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS]


def run(url: str, stream_id: UUID, kill_at: int) -> int:
    command = [
        sys.executable,
        "-m",
        "tests.integrations.ag2.conversation",
        url,
        str(stream_id),
        str(kill_at),
    ]
    return subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode


@pytest.mark.parametrize("kill_at", CASES)
async def test_killed_and_resumed(tmp_path: Path, kill_at: int) -> None:
    await check(f"sqlite:///{tmp_path}/s.db", kill_at)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", SHORT)
async def test_killed_and_resumed_everywhere(durable_url: str, kill_at: int) -> None:
    await check(durable_url, kill_at)


async def check(url: str, kill_at: int) -> None:
    stream_id = uuid4()
    assert run(url, stream_id, kill_at) == -9
    storage = MiniAgentStorage(url)
    before = list(await storage.get_history(stream_id))
    turn, moment = divmod(kill_at - 1, 3)
    # A turn: request, response, calls, call, result, results, response.
    assert len(before) == 7 * turn + (1, 4, 6)[moment]
    assert run(url, stream_id, 0) == 0
    undisturbed = MiniAgentStorage(f"memory://{stream_id}")
    await converse(undisturbed, stream_id)
    assert plain(await storage.get_history(stream_id)) == plain(await undisturbed.get_history(stream_id))
    await storage.aclose()
    await undisturbed.aclose()
