"""Workers are killed and ended; conversations go on at the others."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from tests.integrations.serving.test_conversations import answer_to
from tests.integrations.serving.workers import Client, View, Worker, worker

LONG = "a long question " * 40


async def _wait_for_exit(one: Worker) -> int:
    return await asyncio.wait_for(asyncio.to_thread(one.process.wait), 30)


@pytest.mark.parametrize("events", [2, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_worker_that_is_killed_in_an_answer_leaves_nothing_of_it(
    store_url: str, tmp_path: Path, client: Client, workers: tuple[Worker, Worker], events: int
) -> None:
    other = workers[1]
    with worker(store_url, tmp_path) as one:
        view, position = await _killed(one, client, events)
    async with client.following(other, position):
        assert view.streaming
        assert not view.messages
        assert await client.contents(other) == []


@pytest.mark.slow
@pytest.mark.parametrize("events", [1, 3, 9, 20])
async def test_who_asked_a_worker_that_was_killed_asks_another(
    store_url: str, tmp_path: Path, client: Client, workers: tuple[Worker, Worker], events: int
) -> None:
    other = workers[1]
    with worker(store_url, tmp_path) as one:
        view, position = await _killed(one, client, events)
    async with asyncio.timeout(60), client.following(other, position) as told:
        # It waits until the turn of the one that is gone has run out. Had that one stored its answer, this
        # would be a conflict, and not a second answer.
        asking = asyncio.create_task(client.ask(other, LONG, after=0))
        while not view.messages:
            view.take(await anext(told))

    assert (await asking)[-1].name == "done"
    assert view.messages == await client.contents(other) == [LONG, answer_to(LONG, 0)]


async def _killed(one: Worker, client: Client, events: int) -> tuple[View, str]:
    """Kill a worker after so many events of an answer; what the client saw, and the last event's id."""
    await client.begin(one)
    position = (await client.read(one))["position"]
    view = View()
    async with client.following(one, position) as told:
        asking = asyncio.create_task(client.ask(one, LONG, after=0))
        for _ in range(events):
            event = await anext(told)
            view.take(event)
            position = event.id
        one.process.kill()
    with pytest.raises(httpx.HTTPError):
        await asking
    return view, position


async def test_a_worker_that_ends_finishes_its_answers_and_lets_go_of_who_watches(
    store_url: str, tmp_path: Path, client: Client, workers: tuple[Worker, Worker]
) -> None:
    other = workers[1]
    with worker(store_url, tmp_path) as one:
        await client.begin(one)
        position = (await client.read(one))["position"]
        asking = asyncio.create_task(client.ask(one, LONG))
        view = View()
        async with client.following(one, position) as told:
            async for event in told:
                view.take(event)
                position = event.id
                if one.process.poll() is None and view.streaming:
                    one.process.send_signal(signal.SIGTERM)
        async with client.following(other, position) as told:
            while not view.messages:
                view.take(await anext(told))

        assert (await asking)[-1].name == "done"
        assert view.messages == [LONG, answer_to(LONG, 0)]
        await _wait_for_exit(one)
        assert "Traceback" not in one.log.read_text()
