"""What a client is told when others are answered for too long, or the store is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from miniagent_store.testing.servers import Server
from tests.integrations.serving.workers import Client, Told, View, Worker, worker


async def test_who_has_waited_long_enough_is_told(store_url: str, tmp_path: Path, client: Client) -> None:
    with worker(store_url, tmp_path, TURN_WAIT="0.2") as one:
        await client.begin(one)
        async with client.following(one) as told:
            first = asyncio.create_task(client.ask(one, "a long question " * 40))
            assert (await anext(told)).name == "pieces"
            late = (await client.ask(one, "too late"))[-1]

        assert (late.name, late.data["status"]) == ("failed", 409)
        assert (await first)[-1] == Told("", "done", None)
        assert len(await client.contents(one)) == 2


@pytest.mark.slow
async def test_a_store_that_is_away(tmp_path: Path, client: Client) -> None:
    with (
        Server() as server,
        worker(f"{server.url}/0?deadline=1s&connect_timeout=1s", tmp_path) as one,
    ):
        await client.begin(one)
        position = (await client.read(one))["position"]
        following = asyncio.create_task(_follow(client, one, position))
        server.pause()
        for path in ("/health", "/conversations", f"/conversations/{client.conversation}"):
            found = await client.http.get(one.url + path, headers=client.headers)
            assert found.status_code == 503
            assert server.url.rpartition(":")[2] not in found.text
        server.resume()

        async with asyncio.timeout(60):
            while (await client.ask(one, "Hello"))[-1].name != "done":
                await asyncio.sleep(0.1)
            view = await following
        assert view.messages == await client.contents(one)


async def _follow(client: Client, at: Worker, position: str) -> View:
    """Follow until there are messages, and come back where a stream ends."""
    view = View()
    while not view.messages:
        with suppress(httpx.HTTPStatusError):
            async with client.following(at, position) as told:
                async for event in told:
                    view.take(event)
                    position = event.id
                    if view.messages:
                        break
        await asyncio.sleep(0.1)
    return view
