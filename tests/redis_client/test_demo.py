"""``python demo_redis_session.py``: sessions survive restarts, and no password is seen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from miniagent_store.testing.servers import Server, free_port

ROOT = Path(__file__).parents[2]


def demo(where: dict[str, str], *lines: str, folder: Path, script: str = "demo_redis_session.py") -> str:
    """What the demo says to these lines of a person."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REDIS_")}
    environment.pop("MINIAGENT_STORE_URL", None)
    run = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / script)],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**environment, **where, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return run.stdout + run.stderr


@pytest.mark.parametrize("script", ["demo_redis_session.py", "examples/demo_redis_session.py"])
def test_the_demo_resumes_after_a_restart(server: Server, tmp_path: Path, script: str) -> None:
    server.command("FLUSHALL")
    where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), "REDIS_PASSWORD": "s3cret"}

    first = demo(where, "", "Hello from the demo", "quit", folder=tmp_path, script=script)
    prefix = re.findall(r"resume ([0-9a-f]{8})", first)[-1]
    second = demo(
        where,
        f"resume {prefix}",
        "history",
        "What did I just say?",
        "list",
        "clear",
        "history",
        "exit",
        folder=tmp_path,
        script=script,
    )

    assert "No sessions yet" in first
    assert f"Resumed {prefix}" in second
    assert 'You said: "Hello from the demo"' in second
    assert "Forgotten." in second
    assert "s3cret" not in first + second


def test_a_file_says_which_redis(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"REDIS_HOST=127.0.0.1\nREDIS_PORT={server.port}\nREDIS_PASSWORD='s3cret'\n"
    )

    assert f"127.0.0.1:{server.port}" in demo({}, "help", "quit", folder=tmp_path)


def test_without_redis_the_demo_says_what_to_do(tmp_path: Path) -> None:
    said = demo({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(free_port())}, "quit", folder=tmp_path)

    assert "is the server running?" in said
    assert "Traceback" not in said
