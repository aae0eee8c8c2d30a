"""Two workers serve the same conversations to real clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

import httpx
import pytest

from tests.integrations.serving.workers import Client, Told, View, Worker

Workers = tuple[Worker, Worker]


def answer_to(content: str, before: int) -> str:
    """What the example's model answers."""
    return f"You said: {content} (I have answered {before} questions before this one.) "


async def test_a_conversation_through_both_workers(workers: Workers, client: Client) -> None:
    one, other = workers
    await client.begin(one)
    first = await client.ask(one, "Hello")
    second = await client.ask(other, "And again")

    said = ["Hello", answer_to("Hello", 0), "And again", answer_to("And again", 1)]
    assert await client.contents(one) == await client.contents(other) == said
    assert [first[-1].name, second[-1].name] == ["done", "done"]
    assert [message["role"] for message in first[-2].data] == ["user", "assistant"]

    listed = await client.http.get(f"{other.url}/conversations", headers=client.headers)
    assert [(each["id"], each["messages"]) for each in listed.json()["conversations"]] == [
        (client.conversation, 4)
    ]
    path = f"/conversations/{client.conversation}"
    assert (await client.http.delete(other.url + path, headers=client.headers)).status_code == 204
    assert (await client.http.get(one.url + path, headers=client.headers)).status_code == 404


async def test_nobody_else_sees_it(workers: Workers, client: Client) -> None:
    one, other = workers
    await client.begin(one)
    path = f"{other.url}/conversations/{client.conversation}"
    stranger = {"Authorization": f"Bearer token-{client.user + 1}"}

    for headers, status in (({}, 401), ({"Authorization": "Bearer nonsense"}, 401), (stranger, 404)):
        for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/events")):
            assert (await client.http.request(method, where, headers=headers)).status_code == status
        asked = await client.http.post(f"{path}/messages", json={"content": "x"}, headers=headers)
        assert asked.status_code == status


@pytest.mark.parametrize("path", ["/conversations/none", "/conversations/none/events"])
async def test_what_is_not_there(workers: Workers, client: Client, path: str) -> None:
    found = await client.http.get(f"{workers[0].url}{path}", headers=client.headers)
    assert found.status_code == 404


async def test_an_event_id_that_is_none_is_refused(workers: Workers, client: Client) -> None:
    await client.begin(workers[0])
    path = f"{workers[0].url}/conversations/{client.conversation}/events"
    found = await client.http.get(path, headers={**client.headers, "Last-Event-ID": "nonsense"})
    assert found.status_code == 400


async def test_the_other_worker_tells_an_answer_while_it_streams(workers: Workers, client: Client) -> None:
    one, other = workers
    await client.begin(one)
    shown = []
    async with client.following(other) as told:
        asking = asyncio.create_task(client.ask(one, "one two three " * 20))
        view = View()
        async for event in told:
            view.take(event)
            shown.append(view.streaming)
            if event.name == "messages":
                break
    await asking

    while_it_streamed = [text for text in shown if text]
    assert len(while_it_streamed) > 3
    assert all(view.messages[1].startswith(text) for text in while_it_streamed)


async def test_a_limit_says_when_to_come_again(workers: Workers, client: Client) -> None:
    for at in (*workers, *workers, workers[0]):
        await client.begin(at)
        assert (await client.ask(at, "Hello"))[-1].name == "done"

    for at in workers:
        async with client.asking(at, "One too many") as refused:
            assert refused.status_code == 429
            assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert await client.contents(at) == ["Hello", answer_to("Hello", 0)]


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_two_who_ask_at_once_are_answered_one_after_the_other(
    workers: Workers, clients: Iterator[Client], rounds: int
) -> None:
    for mine in islice(clients, rounds):
        await mine.begin(workers[0])
        questions = ["from one", "from the other"]
        told = await asyncio.gather(
            *(mine.ask(at, question) for at, question in zip(workers, questions, strict=True))
        )

        assert [each[-1].name for each in told] == ["done", "done"]
        said = await mine.contents(workers[1])
        assert sorted(said[::2]) == questions
        assert said[1::2] == [answer_to(question, before) for before, question in enumerate(said[::2])]


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_of_two_who_saw_the_same_one_is_answered(
    workers: Workers, clients: Iterator[Client], rounds: int
) -> None:
    for mine in islice(clients, rounds):
        await mine.begin(workers[0])
        told = await asyncio.gather(*(mine.ask(at, f"at {at.url}", after=0) for at in workers))

        ends = sorted((each[-1] for each in told), key=lambda end: end.name)
        assert ends[0] == Told("", "done", None)
        # Before the stream began, or in it: the other was answered meanwhile.
        assert ends[1].data == 409 or (ends[1].name, ends[1].data["status"]) == ("failed", 409)
        assert len(await mine.contents(workers[1])) == 2


async def test_who_is_cut_off_at_every_event_misses_nothing(workers: Workers, client: Client) -> None:
    await client.begin(workers[0])
    position = (await client.read(workers[0]))["position"]
    asking = asyncio.create_task(_ask_all(workers, client, [f"question {number}" for number in range(4)]))
    view, cuts = View(), 0
    while len(view.messages) < 8:
        # Each time at the other worker, for one event only.
        async with client.following(workers[cuts % 2], position) as told:
            event = await anext(told)
        view.take(event)
        position, cuts = event.id, cuts + 1
        await asyncio.sleep(0.12)  # long enough to miss something
    await asking

    assert view.messages == await client.contents(workers[0])
    assert cuts >= 4


@pytest.mark.parametrize("questions", [2, pytest.param(5, marks=pytest.mark.slow)])
async def test_from_every_event_on_exactly_the_rest_is_told(
    workers: Workers, client: Client, questions: int
) -> None:
    one, other = workers
    await client.begin(one)
    start = (await client.read(one))["position"]
    told: list[Told] = []
    for number in range(questions):
        told += await client.ask(workers[number % 2], f"question {number} " * 5)
    everything = await client.contents(one)

    seen = View()
    for event in [Told(start, "begun", None), *told]:
        seen.take(event)
        if not event.id:
            continue
        rest = list(seen.messages)
        if len(rest) == len(everything):
            continue
        async with client.following(other, event.id) as again:
            while len(rest) < len(everything):
                following = await anext(again)
                assert following.name == "messages"  # what streamed is stored by now
                rest += [message["content"] for message in following.data]
        assert rest == everything

    async with client.following(other, start) as again:
        assert [message["content"] for message in (await anext(again)).data] == everything
        await client.ask(one, "One more")
        # Nothing more of what was answered before.
        assert {piece["after"] for piece in (await anext(again)).data} == {len(everything)}


async def _ask_all(workers: Workers, client: Client, questions: list[str]) -> None:
    for number, question in enumerate(questions):
        assert (await client.ask(workers[number % 2], question))[-1].name == "done"


async def test_a_question_is_answered_though_the_client_has_left(workers: Workers, client: Client) -> None:
    one, other = workers
    await client.begin(one)
    position = (await client.read(other))["position"]
    async with client.following(other, position) as told:
        async with client.asking(one, "Goodbye " * 20) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("event: pieces"):
                    break
        view = View()
        while not view.messages:
            view.take(await anext(told))

    assert view.messages == ["Goodbye " * 20, answer_to("Goodbye " * 20, 0)]


async def test_who_follows_hears_of_the_end(workers: Workers, client: Client) -> None:
    one, other = workers
    await client.begin(one)
    async with client.following(other) as told:
        path = f"{one.url}/conversations/{client.conversation}"
        assert (await client.http.delete(path, headers=client.headers)).status_code == 204
        assert [event.name async for event in told] == ["deleted"]


async def test_the_page_is_there(workers: Workers) -> None:
    async with httpx.AsyncClient() as http:
        page = await http.get(workers[0].url)
    assert page.headers["content-type"].startswith("text/html")
