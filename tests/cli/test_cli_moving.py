"""What `export`, `import` and `migrate` promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ADA_1, ADA_2, environment_for, in_store, run, run_json, terminal

from miniagent_store import Message, SessionStore


@pytest.fixture
def other(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'other.db'}"


def ids(url: str) -> list[str]:
    async def read(store: SessionStore) -> list[str]:
        return sorted(each.id for each in await store.list())

    return in_store(url, read)


def test_out_and_in_again(store: str, other: str, tmp_path: Path) -> None:
    file = str(tmp_path / "all.jsonl.gz")

    out = run("export", file, store=store)
    back = run("import", file, "--verify", store=other)
    again = run("import", file, store=other)

    assert out.stdout.startswith("exported 3 sessions with 8 entries and 1 values; sha256 ")
    assert back.stdout == "imported 3 sessions with 8 entries\n"
    assert again.stdout == "imported 0 sessions with 0 entries; 3 were there already\n"
    assert out.stderr == back.stderr == again.stderr == ""
    assert ids(other) == ids(store)
    assert Path(file).stat().st_mode & 0o777 == 0o600


def test_a_file_is_never_overwritten(store: str, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    first = run_json("export", str(file), store=store)

    refused = run("export", str(file), store=store)
    resumed = run_json("export", str(file), "--resume", store=store)

    assert refused.exit_code == 1
    assert refused.stderr == f"error: {file} is there already; go on with --resume, or name another\n"
    assert resumed == first
    assert first["kinds"] == {"session": 3}


def test_through_a_pipe(store: str, other: str) -> None:
    environment = environment_for(None)
    start = [sys.executable, "-m", "miniagent_store", "--store"]
    out = subprocess.run(
        [*start, store, "export", "-", "--user", "ada", "--plain"],
        capture_output=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    back = subprocess.run(
        [*start, other, "import", "-"], input=out.stdout, capture_output=True, check=True, env=environment,
        timeout=60,
    )  # fmt: skip

    assert out.stderr.startswith(b"exported 2 sessions")
    assert json.loads(out.stdout.splitlines()[0])["values"] == "plain"
    assert back.stdout == b"imported 2 sessions with 8 entries\n"
    assert ids(other) == sorted([ADA_1, ADA_2])


def test_conflicts_are_told_and_decided(store: str, other: str, tmp_path: Path) -> None:
    async def another(store: SessionStore) -> None:
        await store.append(ADA_1, Message.user("mine"), create=True)

    in_store(other, another)
    file = str(tmp_path / "all.jsonl")
    run("export", file, store=store)

    failed = run("import", file, store=other)
    skipped = run_json("import", file, "--on-conflict", "skip", store=other)
    replaced = run("import", file, "--on-conflict", "replace", store=other)

    assert failed.exit_code == 1
    assert "--on-conflict skip|replace" in failed.stderr
    assert skipped["skipped"] == 1
    assert replaced.stdout == (
        "imported 1 session with 2 entries; 1 of them in the place of another; 2 were there already\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import"], 2, "name an archive, or --from-seed"),
        (["import", "x", "--from-seed", "redis://localhost"], 2, "not both"),
        (["import", "not-there"], 1, "error: not-there: No such file or directory\n"),
        (["import", "--from-seed", "ftp://x"], 1, "error: --from-seed: "),
        (["export", "-", "--resume"], 2, "need a file"),
        (["export", "/not/there/x"], 1, "error: /not/there/x: No such file or directory\n"),
        (["export", "x", "--since", "yesterday"], 2, "--since takes a time"),
        (["migrate", "memory://"], 2, "Missing argument 'TO'"),
        (["migrate", "sqlite:///a.db", "sqlite:///a.db"], 2, "the same store"),
    ],
)
def test_what_is_wrong_is_told(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run(*arguments, store=empty)

    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_a_migration_step_by_step(store: str, other: str) -> None:
    copied = run("migrate", store, other)
    again = run("migrate", store, other)
    frozen = run("migrate", store, other, "--freeze")

    assert copied.stdout == (
        "copied 3 sessions with 8 entries; caught up\n"
        "next: stop the writers of FROM, then run it with --freeze\n"
    )
    assert again.stdout.startswith("copied 0 sessions with 0 entries; caught up\n")
    lines = frozen.stdout.splitlines()
    assert lines[1].startswith("equal: 3 sessions with 8 entries; sha256 ")
    assert lines[2] == "now start the writers with TO"
    assert [each.exit_code for each in (copied, again, frozen)] == [0, 0, 0]
    assert ids(other) == ids(store)

    async def write(store: SessionStore) -> None:
        await store.append(ADA_1, Message.user("in the new place"))

    in_store(other, write)
    late = run("migrate", store, other)
    assert late.exit_code == 1
    assert f"not copied: session '{ADA_1}' was written to in both places" in late.stderr
    assert json.loads(run("migrate", store, other, "--json").stdout)["problems"]


def test_on_a_terminal_it_shows_how_far_it_is_and_ctrl_c_says_how_to_go_on(store: str, other: str) -> None:
    code, shown = terminal("migrate", store, other, "--follow", store=store, keys=[("catching up", "\x03")])

    assert code == 130
    assert "interrupted; run the same command again to go on" in shown
    assert ids(other) == ids(store)
