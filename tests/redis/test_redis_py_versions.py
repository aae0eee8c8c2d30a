"""The oldest redis-py that is supported, beside the newest that the suite runs on: all three topologies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server

OLDEST = "7.0.0"
PROGRAM = """
import asyncio, sys
import redis
from miniagent_store import Message, open_store

async def main(url):
    async with open_store(url) as store:
        for number in range(20):
            async with store.turn(f"s{number}", create=True) as turn:
                turn.append(Message.user("hello"))
        assert len((await store.list()).items) == 20
        assert [each.content for each in await store.history("s7")] == ["hello"]
        assert (await store.health()).ok
    print(redis.__version__)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the oldest redis-py."""
    folder = tmp_path_factory.mktemp("redis-py")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*install, f"redis=={OLDEST}"], check=True, timeout=120)
    return folder


@pytest.mark.parametrize(
    ("group", "options"),
    [(Server, "protocol=2"), (SentinelGroup, "replicas=all"), (ClusterGroup, "replicas=1")],
)
def test_the_oldest_redis_py_on_each_topology(
    oldest: Path, group: type[Server | SentinelGroup | ClusterGroup], options: str
) -> None:
    path = os.pathsep.join([str(oldest), *sys.path])
    with group() as place:
        joint = "&" if "?" in place.url else "?"
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, f"{place.url}{joint}{options}"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert (run.returncode, run.stdout.strip()) == (0, OLDEST), run.stderr
