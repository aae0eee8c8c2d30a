"""`up` starts servers that can be used, and leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Message, open_store_sync
from miniagent_store.testing.waiting import wait_until


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`up` in a process of its own, with a folder for all that is temporary, and what it has said."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", "up", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while True:
                line = process.stdout.readline()
                assert line, process.stderr.read() if process.stderr else ""
                text += line
                if line.rstrip() == "}" or (line.startswith("{") and line.rstrip().endswith("}")):
                    break
            yield process, json.loads(text)
        finally:
            process.kill()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left(folder: Path, pids: list[int]) -> str | None:
    running = [pid for pid in pids if is_running(pid)]
    files = [path.name for path in folder.iterdir()]
    return f"{running} {files}" if running or files else None


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("standalone", signal.SIGTERM),
        ("standalone", signal.SIGINT),
        ("sentinel", signal.SIGKILL),
        ("cluster", signal.SIGKILL),
    ],
)
def test_it_can_be_used_and_leaves_nothing(tmp_path: Path, kind: str, end: signal.Signals) -> None:
    folder = tmp_path / "temporary"
    with up(folder, kind) as (process, said):
        with open_store_sync(said["url"]) as store:
            store.append("s", Message.user("hello"), create=True)
            assert store.count("s") == 1
        process.send_signal(end)
        process.wait(30)

        pids = [each["pid"] for each in said["servers"]]
        wait_until(lambda: left(folder, pids), 30)
    roles = Counter(each["role"] for each in said["servers"])
    assert (
        roles
        == {
            "standalone": {"master": 1},
            "sentinel": {"master": 1, "replica": 2, "sentinel": 3},
            "cluster": {"master": 3, "replica": 3},
        }[kind]
    )


def test_data_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    for expected in (1, 2):
        with up(tmp_path / "temporary", "--data", str(tmp_path / "data")) as (process, said):
            with open_store_sync(said["url"]) as store:
                store.append("s", Message.user("hello"), create=True)
                assert store.count("s") == expected
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_the_url_stands_in_a_file_as_long_as_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "url"
    with up(tmp_path / "temporary", "--url-file", str(file)) as (process, said):
        assert file.read_text() == said["url"] + "\n"
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert not file.exists()


def test_a_port_is_for_one_server() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "miniagent_store", "up", "cluster", "--port", "7000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "--port and --data are for a standalone server" in ended.stderr
