"""``miniagent-store bench``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store.bench.run import AREAS
from miniagent_store.cli import bench
from miniagent_store.testing.servers import Server
from tests.bench.sizes import TINY
from tests.cli.cli_support import environment_for, run


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniagent_store.bench.plan.QUICK", TINY)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


def quick(*arguments: str, area: str = "serializers", store: str | None = None) -> Any:
    return run("bench", "--quick", "--only", area, *arguments, store=store)


def test_help_knows_all_areas_and_teaches() -> None:
    result = run("bench", "--help")

    assert bench.AREAS == AREAS
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    for word in ("Examples:", "How to read it", "Exit codes", *AREAS):
        assert word in shown


@pytest.mark.parametrize(
    ("area", "shown"),
    [
        ("serializers", ["Serializers: encode", "msgpack+aesgcm", "bare msgpack", "±"]),
        ("start-up", ["Start-up", "import miniagent_store", "--help", " ms"]),
    ],
)
def test_tables_are_for_people(area: str, shown: list[str]) -> None:
    result = quick(area=area)

    assert result.exit_code == 0
    for text in (*shown, "CPython" if sys.implementation.name == "cpython" else ""):
        assert text in result.stdout
    assert "\x1b" not in result.stdout
    assert f"measuring {'imports' if area == 'start-up' else 'serializers'}" in result.stderr


def test_tables_of_a_store(server: Server) -> None:
    result = run(
        "bench", "--quick", "--only", "operations", "--only", "concurrency", "--only", "coordination",
        "--only", "memory", store=server.url,
    )  # fmt: skip

    assert result.exit_code == 0
    for text in ("redis: append a turn", "hand-written", "Other calls", "throughput", "lock handed over"):
        assert text in result.stdout
    assert "apart from all that is yours" in result.stderr
    assert server.command("DBSIZE") == 0


def test_json_alone_is_one_document_on_stdout() -> None:
    result = quick("--json")

    document = json.loads(result.stdout)
    assert document["format"] == 1
    assert document["plan"] == "tiny"
    assert {each["area"] for each in document["figures"]} == {"serializers"}
    assert document["machine"]["cores"] > 0


def test_json_goes_to_a_file_beside_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "new.json"

    result = quick("--json", str(path))

    assert "Serializers" in result.stdout
    assert json.loads(path.read_text())["figures"]
    assert f"wrote {path}" in result.stderr


def test_what_got_slower_is_told_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    assert quick("--json", str(path)).exit_code == 0
    document = json.loads(path.read_text())
    for figure in document["figures"]:
        figure["samples"] = [each / 50 for each in figure["samples"]]
        figure["ratios"] = [each / 50 for each in figure.get("ratios", [])]
    document["machine"]["cores"] = 99
    path.write_text(json.dumps(document))

    result = quick("--compare", str(path))

    assert result.exit_code == 1
    assert "Worse" in result.stdout
    assert "msgpack+aesgcm, encode, 100 B" in result.stdout
    assert "warning: not the same as then: cores: 99" in result.stderr
    told = json.loads(quick("--json", "--compare", str(path)).stdout)
    assert told["comparison"]["worse"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot read"), ("{", "no JSON"), ('{"a": 1}', "bench --json FILE")],
)
def test_what_cannot_be_compared_is_said_before_measuring(
    tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)

    result = quick("--compare", str(path))

    assert result.exit_code == 1
    assert said in result.stderr
    assert "measuring" not in result.stderr


def test_targets_that_cannot_be_written_are_said_before_measuring(tmp_path: Path) -> None:
    result = quick("--json", str(tmp_path / "nowhere" / "new.json"))

    assert result.exit_code == 1
    assert "make it first" in result.stderr
    assert "measuring" not in result.stderr


def test_an_area_that_is_none_is_a_misuse() -> None:
    assert run("bench", "--only", "everything").exit_code == 2


def test_a_store_that_cannot_be_reached_is_one_line() -> None:
    result = quick(area="operations", store="redis://:secret@127.0.0.1:1/0")

    assert result.exit_code == 1
    assert "error: " in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_in_somebodys_store(server: Server, stop: signal.Signals) -> None:
    server.command("SET", "mine", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", "bench", "--quick", "--only", "concurrency"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_for(server.url),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "tasks at once" in line:
            break
    assert server.command("DBSIZE") >= 1
    process.send_signal(stop)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in told
    assert server.command("KEYS", "*") == [b"mine"]
    server.command("DEL", "mine")
