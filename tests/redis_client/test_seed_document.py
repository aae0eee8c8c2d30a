"""Every Python block of the seed document runs against a real Redis with only its imports renamed."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import inspect
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import AgentConfig
from miniagent_store.redis_client import RedisConfig, RedisSessionManager, cleanup_redis
from miniagent_store.session import SessionAgent, SessionManager
from miniagent_store.testing.servers import Server

SEED = Path(__file__).with_name("seed.md").read_text(encoding="utf-8")
SEED_SHA256 = "6c235e215db0e766df6895182d3a234e16d3e4c9dd89b064acb013b92612e625"
BLOCKS = re.findall(r"```python\n(.*?)```", SEED, re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def names(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks use that other blocks, or the reader, have made."""
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(server.port))
    for name in ("REDIS_DB", "REDIS_USERNAME", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return {"asyncio": asyncio}


@pytest.fixture
async def manager(server: Server) -> AsyncIterator[RedisSessionManager]:
    manager = RedisSessionManager(RedisConfig(host="127.0.0.1", port=server.port or 0))
    yield manager
    await manager.disconnect()
    await cleanup_redis()


def block_with(text: str, server: Server) -> str:
    """The block that holds a text, for the package's new name and the server's port."""
    (found,) = [textwrap.dedent(block) for block in BLOCKS if text in block]
    renamed = re.sub(r"\bminiagent\b(?=[. ])", "miniagent_store", found)
    return renamed.replace("port=6379", f"port={server.port}")


async def run(code: str, names: dict[str, Any]) -> None:
    """Run a block, which may await at its top level."""
    compiled = compile(code, "seed.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)
    if inspect.isawaitable(result):
        await result


def test_the_copy_is_the_seed_to_the_letter() -> None:
    # A formatter once had its way with the blocks.
    assert hashlib.sha256(SEED.encode()).hexdigest() == SEED_SHA256


def test_all_blocks_are_run_here() -> None:
    used = [
        "SessionAgent(",
        "# Redis server host",
        "list_sessions()",
        "Optimize for high",
        "async def test_redis",
        "redis_client.ttl",
        "msgpack",
        "subscribe([",
        "rate_limit(",
    ]

    assert len(BLOCKS) == len(used)
    for text in used:
        assert sum(text in block for block in BLOCKS) == 1, text


async def test_basic_usage_remembers(server: Server, names: dict[str, Any]) -> None:
    await run(block_with("SessionAgent(", server), names)

    assert "Hello!" in names["response"]
    names["redis_client"] = names["agent"].redis_manager._client
    await run(block_with("list_sessions()", server), names)
    listed = [each for each in names["sessions"] if each["session_id"] == names["session_id"]]
    assert [each["message_count"] for each in listed] == [4]
    await run(block_with("redis_client.ttl", server), names)
    assert 3500 < names["ttl"] <= 3600
    await names["agent"].shutdown()


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="apt-get install redis-tools")
async def test_the_recipes_of_the_command_line(server: Server, manager: RedisSessionManager) -> None:
    server.command("FLUSHALL")
    agent = SessionAgent(store=manager)
    session_id = await agent.create_session("ada")
    await agent.run_session(session_id, "Hello!")
    await manager.create_session("another", {"n": 1}, ttl=60)

    def cli(*arguments: str) -> list[str]:
        command = ["redis-cli", "-p", str(server.port), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return run.stdout.split()

    assert sorted(cli("KEYS", "session:*")) == sorted([f"session:{session_id}", "session:another"])
    assert 3590 < int(cli("TTL", f"session:{session_id}")[0]) <= 3600
    assert 50 < int(cli("TTL", "session:another")[0]) <= 60
    assert cli("TTL", "session:none") == ["-2"]
    await agent.shutdown()


async def test_the_configuration_blocks(
    server: Server, names: dict[str, Any], manager: RedisSessionManager
) -> None:
    names |= {"RedisConfig": RedisConfig, "redis_manager": manager}

    await run(block_with("# Redis server host", server), names)
    await run(block_with("Optimize for high", server), names)

    assert names["redis_config"].session_ttl == 1800
    assert await manager._client.get("key2") == b"value2"


def test_the_test_block(server: Server, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code = block_with("async def test_redis", server)

    # It calls asyncio.run, so there must be no loop here.
    exec(compile(code, "seed.md", "exec"), names)

    assert "All Redis tests passed" in capsys.readouterr().out


async def test_custom_serialization_is_really_used(server: Server, names: dict[str, Any]) -> None:
    names["RedisSessionManager"] = RedisSessionManager
    await run(block_with("msgpack", server), names)
    custom = names["CustomRedisManager"](RedisConfig(host="127.0.0.1", port=server.port or 0))

    assert await custom.create_session("custom", {"user": "ada", "n": 1})
    assert await custom.get_session("custom") == {"user": "ada", "n": 1}
    assert await custom.append_to_thread("custom", {"role": "user", "content": "hi"})
    said = [{"role": "user", "content": "hi"}]
    assert await custom.load_thread("custom") == {"messages": said, "events": []}
    assert await custom.cache_set("custom", [1, 2])
    assert await custom.cache_get("custom") == [1, 2]
    raw = await custom.store.get("custom")
    assert isinstance(raw.metadata["redis_client.data"], bytes)
    await custom.disconnect()


async def test_event_streaming(
    server: Server, names: dict[str, Any], manager: RedisSessionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    names["redis_manager"] = manager
    listening = asyncio.create_task(run(block_with("subscribe([", server), names))

    async with asyncio.timeout(20):
        while not await manager.publish("session_updates", {"session": "s", "n": 1}):
            await asyncio.sleep(0.02)
        while "Session update" not in capsys.readouterr().out:
            await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_distributed_rate_limiting(
    server: Server, names: dict[str, Any], manager: RedisSessionManager
) -> None:
    names["redis_manager"] = manager
    await run(block_with("rate_limit(", server), names)

    allowed = [await names["rate_limit"]("ada", 3) for _ in range(5)]

    assert allowed == [True, True, True, False, False]
    assert 0 < await manager._client.ttl("rate_limit:ada") <= 60


async def test_a_killed_process_is_resumed_by_another(server: Server) -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from miniagent_store import AgentConfig\n"
        "from miniagent_store.redis_client import RedisConfig\n"
        "from miniagent_store.session import SessionAgent, SessionManager\n"
        "async def main():\n"
        "    config = RedisConfig(host='127.0.0.1', port=int(sys.argv[1]))\n"
        "    agent = SessionAgent(config=AgentConfig(name='MyBot'), redis_config=config)\n"
        "    await agent.initialize()\n"
        "    manager = SessionManager(agent)\n"
        "    session_id = await manager.create_or_resume_session(user_id='killed')\n"
        "    for n in range(5):\n"
        "        await manager.chat(session_id, f'message {n}')\n"
        "    print(session_id, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(server.port)], capture_output=True, text=True
    )
    assert process.returncode == -9, process.stderr
    session_id = process.stdout.strip()

    config = RedisConfig(host="127.0.0.1", port=server.port or 0)
    agent = SessionAgent(config=AgentConfig(name="MyBot"), redis_config=config)
    manager = SessionManager(agent)
    assert await manager.create_or_resume_session(session_id) == session_id
    history = await manager.get_history(session_id)
    assert [each["content"] for each in history[::2]] == [f"message {n}" for n in range(5)]
    assert "message 4" in await manager.chat(session_id, "What did I just say?")
    await agent.shutdown()
