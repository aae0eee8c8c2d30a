"""What `memory` promises."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_support import ESCAPE, environment_for, in_store, run, run_json, run_process, terminal

from miniagent_store import Message, SessionStore, join_id
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.values import MemorySource

TEAM = join_id("team", "a/b c")


async def remembered(store: SessionStore) -> None:
    session = await store.create("chat")
    await store.append(session.id, Message.user("My dog is called Rex"))
    memory = store.memory("ada")
    await memory.add("My dog is called Rex", id="dog", source=MemorySource("chat", 1))
    await memory.add(f"I love {ESCAPE}[31msushi\nand tea", id="food", metadata={"year": 2024}, ttl="2h")
    await memory.add("Invoice 4711 " + "is paid " * 30, id="invoice")
    await store.memory(TEAM).add("We meet on Mondays", id="monday")


@pytest.fixture
def store(empty: str) -> str:
    in_store(empty, remembered)
    return empty


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedder for processes started by the test, which takes its time."""
    info = tmp_path / "site" / "slow-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[miniagent_store]\nslow = slow_embedder\n")
    (info.parent / "slow_embedder.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", f"{info.parent}:{os.environ.get('PYTHONPATH', '')}")


SLOW = """
import asyncio
from miniagent_store import Provider, hookimpl
from miniagent_store.embedding.hashing import hashed

class Slow:
    name, dimensions = "slow", 512

    async def embed(self, texts, *, query=False):
        await asyncio.sleep(0.1)
        return [hashed(text) for text in texts]

@hookimpl
def provide_embedders():
    return [Provider("slow", lambda: lambda rest: Slow())]
"""


def test_a_search_finds_the_best_first(store: str) -> None:
    result = run("memory", "search", "ada", "what is the dog called?", "-k", "2", store=store)
    assert result.exit_code == 0
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["score", "id", "said", "expires", "text"]
    assert first.split()[1] == "dog"
    assert first.endswith("My dog is called Rex")
    [found] = run_json("memory", "search", "ada", "4711", "--mode", "words", store=store)
    assert (found["id"], found["metadata"], found["source"]) == ("invoice", {}, None)
    [found] = run_json("memory", "search", "ada", "dog", "--filter", '{"year": {"$gt": 2000}}', store=store)
    assert found["id"] == "food"
    [found, *_] = run_json("memory", "search", "ada", "dog", "--since", "1h", store=store)
    assert found["source"]["session_id"] == "chat"
    shown = run("memory", "search", "ada", "sushi", store=store).stdout
    assert ESCAPE not in shown
    assert "sushi\\nand tea" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["ada", "dog", "--before", "1h"], 1, "nothing was found"),
        (["eve", "dog"], 1, "error: nothing is remembered of 'eve'; see `miniagent-store memory list`"),
        (["ada", "dog", "--filter", "{year"], 2, "no JSON"),
        (["ada", "dog", "--filter", '{"$where": 1}'], 1, "begins with a field"),
        (["ada", "dog", "--embedder", "nonsense"], 1, "nonsense"),
        (["ada", "dog", "--mode", "smell"], 2, "smell"),
    ],
)
def test_a_search_that_finds_nothing(store: str, arguments: list[str], code: int, told: str) -> None:
    result = run("memory", "search", *arguments, store=store)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr


def test_a_listing_of_scopes_and_of_memories(store: str, empty: str, tmp_path: Path) -> None:
    header, first, second = run("memory", "list", store=store).stdout.splitlines()
    assert header.split() == ["scope", "size", "last", "change"]
    assert first.startswith(TEAM)
    assert second.split()[0] == "ada"
    assert [each["scope"] for each in run_json("memory", "list", store=store)] == [TEAM, "ada"]

    result = run("memory", "list", "ada", "--limit", "2", store=store)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["id", "dog", "food"]
    assert "in 1 h" in result.stdout or "in 2 h" in result.stdout
    assert "more: --cursor invoice, or --all" in result.stderr
    page = run_json("memory", "list", "ada", "--cursor", "invoice", store=store)
    assert [each["id"] for each in page["items"]] == ["invoice"]
    assert "…" in run("memory", "list", "ada", "--cursor", "invoice", store=store).stdout
    page = run_json("memory", "list", "ada", "--all", "--limit", "1", store=store)
    assert ([each["id"] for each in page["items"]], page["next_cursor"]) == (
        ["dog", "food", "invoice"],
        None,
    )
    assert run("memory", "list", "ada", "--all", "--cursor", "x", store=store).exit_code == 2
    assert [each["id"] for each in run_json("memory", "list", TEAM, store=store)["items"]] == ["monday"]
    nothing = run("memory", "list", store=f"sqlite:///{tmp_path}/other.db")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "nothing is remembered\n")


def test_tenants_have_memories_of_their_own(store: str) -> None:
    async def fill(store: SessionStore) -> None:
        await store.tenant("acme").memory("ada").add("Secret of acme", id="secret")

    in_store(store, fill)
    tenant = f"{store}?namespace=acme"
    assert [each["scope"] for each in run_json("memory", "list", store=tenant)] == ["ada"]
    assert [each["id"] for each in run_json("memory", "search", "ada", "dog", store=tenant)] == ["secret"]
    assert "secret" not in run("memory", "search", "ada", "secret", store=store).stdout


def test_stats_of_one_and_of_all(store: str) -> None:
    shown = dict(
        line.split(None, 1) for line in run("memory", "stats", "ada", store=store).stdout.splitlines()
    )
    assert (shown["memories"], shown["model"], shown["dimensions"]) == ("3", "hash:512", "512")
    assert (shown["index"], shown["generation"]) == ("exact", "0")
    header, *lines = run("memory", "stats", store=store).stdout.splitlines()
    assert header.split()[:3] == ["scope", "memories", "size"]
    assert [line.removeprefix(TEAM).split()[-5:][0] for line in lines] == ["KiB", "KiB"]
    assert [each["memories"] for each in run_json("memory", "stats", store=store)] == [1, 3]
    assert run_json("memory", "stats", "ada", store=store)["bytes"] > 3 * 2048


def test_forgetting_is_confirmed(store: str) -> None:
    result = run("memory", "forget", "ada", store=store)
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    result = run("memory", "forget", "ada", "--dry-run", store=store)
    assert result.stdout == "would forget all that is remembered of ada (3 memories)\n"
    assert run_json("memory", "forget", "ada", "dog", "cat", "--dry-run", store=store)["would_forget"] == 1
    assert in_store(store, _count) == 3

    assert (
        run("memory", "forget", "ada", "dog", "cat", "-y", store=store).stdout == "forgot 1 memory of ada\n"
    )
    assert in_store(store, _count) == 2
    assert run_json("memory", "forget", "ada", "--yes", store=store) == {"scope": "ada", "forgotten": 2}
    assert in_store(store, _count) == 0
    assert run("memory", "search", TEAM, "Mondays", store=store).exit_code == 0


def test_forgetting_what_was_said_in_a_session(store: str) -> None:
    assert run("memory", "forget", "ada", "dog", "--session", "chat", store=store).exit_code == 2
    result = run("memory", "forget", "ada", "--session", "chat", "--yes", store=store)
    assert result.stdout == "forgot 1 memory of ada\n"
    assert in_store(store, _count) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 3), ("y", 0, 0)])
def test_on_a_terminal_it_asks(store: str, answer: str, code: int, left: int) -> None:
    status, screen = terminal("memory", "forget", "ada", store=store, keys=[("for good?", f"{answer}\n")])
    assert status == code
    assert "all that is remembered of ada (3 memories)" in screen
    assert in_store(store, _count) == left


async def _count(store: SessionStore) -> int:
    return (await store.memory("ada").stats()).memories


def test_reindexing_says_what_it_did(store: str) -> None:
    result = run("memory", "reindex", "ada", "--embedder", "hash", store=store)
    assert result.stdout == "the vectors of ada are those of hash:512 already\n"
    result = run("memory", "reindex", "ada", "--embedder", "hash", "--again", store=store)
    assert result.stdout == "made 3 vectors of hash:512 for ada, removed 3 old ones\n"
    document = run_json("memory", "reindex", "ada", "--embedder", "hash", "--again", store=store)
    assert (document["step"], document["made"], document["removed"]) == ("done", 3, 3)
    assert run("memory", "reindex", "ada", store=store).exit_code == 2
    assert "nonsense" in run("memory", "reindex", "ada", "--embedder", "nonsense", store=store).stderr
    assert (
        "remembered of 'eve'" in run("memory", "reindex", "eve", "--embedder", "hash", store=store).stderr
    )


@pytest.mark.slow
def test_reindexing_goes_on_after_kills(empty: str, slow: None) -> None:
    """And agents go on meanwhile."""

    async def fill(store: SessionStore) -> None:
        await store.memory("ada").add_many(
            {"said": f"Fact {each}", "id": f"f{each}"} for each in range(800)
        )

    in_store(empty, fill)
    command = [sys.executable, "-m", "miniagent_store", "memory", "reindex", "ada", "--embedder", "slow"]
    kills, seen = 0, list[Any]()
    while kills < 2:
        process = subprocess.Popen(command, env=environment_for(empty), stderr=subprocess.PIPE)
        _wait_until_it_makes(empty, process, seen)
        process.kill()
        process.communicate()
        kills += 1
        assert run("memory", "search", "ada", "Fact 7", store=empty).exit_code == 0
        told = run("memory", "stats", "ada", store=empty).stdout
        assert "vectors of slow are being made" in told
        assert "hash:512" in told
    assert seen == sorted(set(seen))

    result = run_process("memory", "reindex", "ada", "--embedder", "slow", "--json", store=empty)
    assert result.returncode == 0, result.stderr
    assert "vectors made" in result.stderr
    stats = run_json("memory", "stats", "ada", store=empty)
    assert (stats["model"], stats["memories"], stats["reindexing"]) == ("slow", 800, None)
    found = run_process("memory", "search", "ada", "Fact 799", "-k", "1", store=empty)
    assert "Fact 799" in found.stdout
    refused = run("memory", "search", "ada", "Fact 7", "--embedder", "hash", store=empty)
    assert refused.exit_code == 1
    assert "use that, or make them anew: miniagent-store memory reindex ada" in refused.stderr


def _wait_until_it_makes(url: str, process: subprocess.Popen[bytes], seen: list[Any]) -> None:
    """Until it is further than any before it."""

    async def new_vectors(store: SessionStore) -> int:
        from miniagent_store.backend import ReadPlan, StateScan

        memory: MemoryScope = store.memory("ada")
        read = await memory._core.read(ReadPlan(memory._record_id, scans=(StateScan("w/"),)))
        return sum(map(len, read.scans))

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None
        count = in_store(url, new_vectors)
        if count > (seen[-1] if seen else 0):
            seen.append(count)
            return
    raise AssertionError("it does not get on")


def test_a_bar_on_a_terminal(store: str) -> None:
    status, screen = terminal(
        "memory", "reindex", "ada", "--embedder", "hash", "--again", store=store, keys=[]
    )
    assert status == 0
    assert "made 3 vectors" in screen
    assert "making vectors" in screen


def test_a_shell_completes_scopes(store: str) -> None:
    environment = {
        "_MINIAGENT_STORE_COMPLETE": "bash_complete",
        "COMP_WORDS": "miniagent-store memory list a",
    }
    result = run_process(store=store, **environment, COMP_CWORD="3")
    assert "ada" in result.stdout
