"""FastMCP keeps the state of its sessions in our store, through restarts and kills."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import Encrypted

pytest.importorskip("fastmcp")
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.integrations.key_value.counting_server import server_on

TURNS = 5
POINTS = [f"{where} w{turn}" for turn in range(1, TURNS + 1) for where in ("before", "after")]
SOME = ("after w2",)
ROOT = Path(__file__).parents[3]


def process(url: str, point: str = "") -> Client[Any]:
    """A client of a server in a process of its own."""
    arguments = ["-m", "tests.integrations.key_value.counting_server", url, point]
    # Its process ends with the block, and is not left to the garbage collector.
    transport = StdioTransport(
        sys.executable, arguments, env=dict(os.environ), cwd=str(ROOT), keep_alive=False
    )
    return Client(transport, timeout=60)


async def note(client: Client[Any], session_id: str, word: str) -> Any:
    return (await client.call_tool("note", {"session_id": session_id, "word": word})).data


async def test_a_session_outlives_its_server(url: str) -> None:
    async with Client(server_on(url)) as client:
        session_id = (await client.call_tool("create_session")).data
        assert await note(client, session_id, "a") == ["a"]
    async with Client(server_on(url)) as client:
        assert await note(client, session_id, "b") == ["a", "b"]
        await client.call_tool("end_session", {"session_id": session_id})
        with pytest.raises(Exception, match="session"):
            await note(client, session_id, "c")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in POINTS]
)
async def test_resumed_after_a_kill(durable_url: str, point: str) -> None:
    async with Client(server_on(durable_url)) as client:
        session_id = (await client.call_tool("create_session")).data
    words = [f"w{turn}" for turn in range(1, TURNS + 1)]
    done: list[str] = []
    try:
        async with process(durable_url, point) as client:
            for word in words:
                done = await note(client, session_id, word)
    except Exception:  # noqa: BLE001 - how a client says that its server is gone is its own
        pass
    assert len(done) < TURNS
    # The client asks again for what was not answered.
    async with Client(server_on(durable_url)) as client:
        for word in words[len(done) :]:
            done = await note(client, session_id, word)
    assert done == words


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.slow)])
async def test_two_servers_at_once(durable_url: str, rounds: int) -> None:
    # FastMCP reads, changes and writes a session's state: each session has one writer at a time, and the
    # sessions stand in one collection.
    async with Client(server_on(durable_url)) as one, process(durable_url) as two:
        sessions = [(await one.call_tool("create_session")).data for _ in range(4)]

        async def fill(number: int, session_id: str) -> None:
            for turn in range(rounds):
                # From one server to the other, call by call.
                await note((one, two)[(number + turn) % 2], session_id, f"{number}-{turn}")

        await asyncio.gather(*(fill(number, each) for number, each in enumerate(sessions)))
        for number, session_id in enumerate(sessions):
            words = await note(one, session_id, f"{number}-0")
            assert words == [f"{number}-{turn}" for turn in range(rounds)]


async def test_no_word_stands_in_redis(encrypted: Encrypted) -> None:
    async with Client(server_on(encrypted.url)) as client:
        session_id = (await client.call_tool("create_session")).data
        assert await note(client, session_id, "canary") == ["canary"]
    encrypted.assert_absent(b"canary")
