"""Summaries beside the log."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any

import pytest

from miniagent_store import (
    AgentConfig,
    Compaction,
    ContextWindow,
    InvalidArgumentError,
    Message,
    SessionNotFoundError,
    SessionStore,
    ToolCall,
    open_store,
)
from miniagent_store.agent.compaction import SUMMARY, Summary
from miniagent_store.agent.summarizer import ModelSummarizer
from miniagent_store.agent.token_counting import estimate_tokens
from miniagent_store.session import SessionAgent


class Summing:
    """Summarises messages, which are numbers, as ranges; so it is seen what a summary covers."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], str | None]] = []
        self.error: Exception | None = None

    async def __call__(self, messages: Sequence[Message], summary: str | None) -> str:
        numbers = [int(each.content) for each in messages]
        self.calls.append((numbers, summary))
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        first = summary.partition("-")[0] if summary else str(numbers[0])
        return f"{first}-{numbers[-1]}"


async def fill(store: SessionStore, session_id: str, first: int, last: int) -> None:
    messages = [Message.user(str(n)) for n in range(first, last + 1)]
    await store.append(session_id, *messages, create=True)


async def test_it_covers_the_log_in_chunks_and_goes_on_from_the_one_before(store: SessionStore) -> None:
    summing = Summing()
    compaction = Compaction(summing, chunk_tokens=50)  # ten messages
    await fill(store, "s", 1, 45)

    first = await compaction.compact(store, "s", upto=25)
    again = await compaction.compact(store, "s", upto=20)
    second = await compaction.compact(store, "s", upto=999)

    assert first is not None
    assert second is not None
    assert (first.text, first.upto) == ("1-25", 25)
    assert again == first
    assert (second.text, second.upto) == ("1-45", 45)
    assert [(numbers[0], numbers[-1], before) for numbers, before in summing.calls] == [
        (1, 10, None),
        (11, 20, "1-10"),
        (21, 25, "1-20"),
        (26, 35, "1-25"),
        (36, 45, "1-35"),
    ]
    assert await compaction.read(store, "s") == second
    assert [each.content for each in await store.history("s")] == [str(n) for n in range(1, 46)]


async def test_one_instance_computes_and_the_others_find_it(url: str) -> None:
    await computed_once(url)


async def test_one_instance_computes_on_a_real_server(redis_url: str) -> None:
    await computed_once(redis_url)


async def computed_once(url: str) -> None:
    summing = Summing()
    async with open_store(url) as one, open_store(url) as two:
        await fill(one, "s", 1, 30)
        summaries = await asyncio.gather(
            *(Compaction(summing).compact(each, "s", upto=20) for each in (one, two) * 4)
        )

    assert len(summing.calls) == 1
    assert len(set(summaries)) == 1


async def test_what_failed_in_the_middle_goes_on_from_there(store: SessionStore) -> None:
    summing = Summing()
    compaction = Compaction(summing, chunk_tokens=50)
    await fill(store, "s", 1, 30)
    await compaction.compact(store, "s", upto=10)

    summing.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        await compaction.compact(store, "s", upto=30)
    summing.error = None
    await compaction.compact(store, "s", upto=30)

    assert [numbers[0] for numbers, _ in summing.calls] == [1, 11, 11, 21]
    summary = await compaction.read(store, "s")
    assert summary is not None
    assert summary.text == "1-30"


async def test_it_stands_as_long_as_what_it_covers(store: SessionStore) -> None:
    compaction = Compaction(Summing())

    async def left(change: Any) -> str | None:
        await store.delete("s")
        await fill(store, "s", 1, 20)
        await compaction.compact(store, "s", upto=10)
        await change
        summary = await compaction.read(store, "s")
        return summary.text if summary is not None else None

    assert await left(store.append("s", Message.user("21"))) == "1-10"
    assert await left(store.rewind("s", to=12)) == "1-10"
    assert await left(store.redact("s", 11, reason="test")) == "1-10"
    assert await left(store.rewind("s", to=9)) is None
    assert await left(store.redact("s", 3, reason="test")) is None
    assert await left(store.trim("s", before=5)) is None
    assert await left(store.clear("s")) is None

    async def created_again() -> None:
        await store.delete("s")
        await fill(store, "s", 1, 20)

    assert await left(created_again()) is None
    await store.delete("s")
    with pytest.raises(SessionNotFoundError):
        await compaction.read(store, "s")
    with pytest.raises(SessionNotFoundError):
        await compaction.compact(store, "s", upto=3)


async def test_after_a_redaction_a_new_summary_is_made_without_it(store: SessionStore) -> None:
    summing = Summing()
    compaction = Compaction(summing)
    await fill(store, "s", 1, 20)
    await compaction.compact(store, "s", upto=10)
    await store.redact("s", 3, reason="test")

    summary = await compaction.compact(store, "s", upto=5)

    assert summary is not None
    assert summary.upto == 5
    assert summing.calls[-1] == ([1, 2, 4, 5], None)


async def test_a_fork_makes_its_own(store: SessionStore) -> None:
    compaction = Compaction(Summing())
    await fill(store, "s", 1, 20)
    await compaction.compact(store, "s", upto=10)

    fork = await store.fork("s", upto=15)

    assert await compaction.read(store, fork.id) is None
    summary = await compaction.compact(store, fork.id, upto=12)
    assert summary is not None
    assert summary.text == "1-12"


async def test_it_survives_being_written_and_read(store: SessionStore) -> None:
    await fill(store, "s", 1, 3)
    position = (await store.get("s")).position
    assert Summary.from_dict(Summary("text", 2, position).to_dict()) == Summary("text", 2, position)


async def test_a_summary_that_is_too_long_is_cut(store: SessionStore) -> None:
    async def verbose(messages: Sequence[Message], summary: str | None) -> str:
        return "word " * 1000

    await fill(store, "s", 1, 3)
    summary = await Compaction(verbose, max_tokens=20).compact(store, "s", upto=3)

    assert summary is not None
    assert re.fullmatch(r"(word )+w?…", summary.text)
    assert 40 < len(summary.text) <= 64


async def test_a_message_that_is_larger_than_a_chunk_is_summarised_by_its_beginning(
    store: SessionStore,
) -> None:
    given: list[list[Message]] = []

    async def summarize(messages: Sequence[Message], summary: str | None) -> str:
        given.append(list(messages))
        return "summary"

    await store.append("s", Message.user("1"), Message.user("word " * 1000), Message.user("3"), create=True)
    await Compaction(summarize, chunk_tokens=50).compact(store, "s", upto=3)

    assert [len(messages) for messages in given] == [1, 1, 1]
    assert given[1][0].content.endswith("w…")
    assert estimate_tokens(given[1][0]) <= 50


async def test_wrong_arguments_are_refused(store: SessionStore) -> None:
    for wrong in ({"keep": 1}, {"keep": -0.1}, {"max_tokens": 0}, {"chunk_tokens": 0}):
        with pytest.raises(InvalidArgumentError):
            Compaction(Summing(), **wrong)

    async def number(messages: Sequence[Message], summary: str | None) -> Any:
        return 42

    await fill(store, "s", 1, 3)
    with pytest.raises(InvalidArgumentError, match="not int"):
        await Compaction(number).compact(store, "s", upto=3)


async def test_a_model_summarises(store: SessionStore) -> None:
    asked: list[list[Message]] = []

    async def model(messages: list[Message], config: AgentConfig) -> str:
        asked.append(messages)
        return f" summary {len(asked)} "

    calls = [ToolCall("1", "clock", {"where": "Paris"}).to_dict()]
    await store.append(
        "s",
        Message.user("What time is it?"),
        Message.assistant(None, tool_calls=calls),
        Message.tool("noon", tool_call_id="1"),
        create=True,
    )
    compaction = Compaction(ModelSummarizer(model, max_tokens=100))
    await compaction.compact(store, "s", upto=1)
    summary = await compaction.compact(store, "s", upto=3)

    assert summary is not None
    assert summary.text == "summary 2"
    system, transcript = asked[1]
    assert "at most 75 words" in system.content
    assert transcript.content == (
        "[summary of what was said before]\nsummary 1\n\n"
        '[assistant]\ncalls clock({"where": "Paris"})\n\n[tool]\nnoon'
    )

    offline = Compaction("echo")
    await store.clear("s")
    await fill(store, "s", 1, 2)
    echoed = await offline.compact(store, "s", upto=5)
    await offline.aclose()
    assert echoed is not None
    assert echoed.text.startswith("You said: [user]\n1")


# In an agent


class Watching:
    """A model that notes what it is shown."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    async def __call__(self, messages: list[Message], config: AgentConfig) -> str:
        self.seen.append([str(each.content) for each in messages])
        return str(int(messages[-1].content) + 1)


async def test_what_the_window_no_longer_holds_is_summarised(url: str, store: SessionStore) -> None:
    summing, model = Summing(), Watching()
    window = ContextWindow(messages=8)
    async with SessionAgent(store=url, model=model, window=window, compaction=Compaction(summing)) as agent:
        session_id = await agent.create_session()
        for turn in range(12):
            await agent.run_session(session_id, str(2 * turn + 1))

    header = "[Summary of the conversation before this point]\n"
    assert model.seen[4] == [str(n) for n in range(1, 10)]
    assert model.seen[5] == [f"{header}1-6", "7", "8", "9", "10", "11"]
    assert model.seen[-1][0] == f"{header}1-{summing.calls[-1][0][-1]}"
    last = int(model.seen[-1][0].rpartition("-")[2])
    assert model.seen[-1][1:] == [str(n) for n in range(last + 1, 24)]
    assert [numbers[0] for numbers, _ in summing.calls] == [1, 7, 13]
    assert [each.content for each in await store.history(session_id)] == [str(n) for n in range(1, 25)]


async def test_a_summary_that_fails_never_costs_a_turn(
    store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    summing, model = Summing(), Watching()
    summing.error = OSError("away")

    async def slow(messages: Sequence[Message], summary: str | None) -> str:
        await asyncio.sleep(60)
        return ""

    for compaction in (Compaction(summing), Compaction(slow, timeout=0.05)):
        async with SessionAgent(
            store=store, model=model, window=ContextWindow(messages=4), compaction=compaction
        ) as agent:
            session_id = await agent.create_session()
            with caplog.at_level(logging.CRITICAL, logger="miniagent_store"):
                for turn in range(4):
                    await agent.run_session(session_id, str(2 * turn + 1))
        assert model.seen[-1] == ["3", "4", "5", "6", "7"]
        assert await store.count(session_id) == 8
        assert compaction.is_paused
    assert len(summing.calls) == 1

    summing.error = None
    async with SessionAgent(
        store=store, model=model, window=ContextWindow(messages=4), compaction=Compaction(summing)
    ) as agent:
        await agent.run_session(session_id, "9")
    assert model.seen[-1] == ["[Summary of the conversation before this point]\n1-6", "7", "8", "9"]


async def test_calls_are_summarised_with_their_results(store: SessionStore) -> None:
    covered: list[list[str]] = []

    async def summarize(messages: Sequence[Message], summary: str | None) -> str:
        covered.append([each.role for each in messages])
        return "summary"

    calls = [ToolCall(each, "clock").to_dict() for each in "abc"]
    await store.append(
        "s",
        Message.user("1"),
        Message.assistant(None, tool_calls=calls),
        *(Message.tool("noon", tool_call_id=each) for each in "abc"),
        Message.assistant("6"),
        create=True,
    )
    window = ContextWindow(messages=5)
    async with SessionAgent(
        store=store, model=lambda messages, config: "yes", window=window, compaction=Compaction(summarize)
    ) as agent:
        await agent.run_session("s", "7")

    assert covered == [["user", "assistant", "tool", "tool", "tool"]]


async def test_pinned_messages_are_not_summarised(store: SessionStore) -> None:
    summing, model = Summing(), Watching()
    await store.append("s", Message.system("Speak French."), create=True)
    await fill(store, "s", 2, 9)
    async with SessionAgent(
        store=store, model=model, window=ContextWindow(messages=4), compaction=Compaction(summing)
    ) as agent:
        await agent.run_session("s", "10")

    assert summing.calls[0] == ([2, 3, 4, 5, 6, 7], None)
    assert model.seen[-1][0] == "Speak French."


async def test_a_long_history_is_taken_over_at_once_within_the_budget(store: SessionStore) -> None:
    """A session that was written without a window gets its summary in chunks that fit."""
    summing, model = Summing(), Watching()
    await fill(store, "s", 1, 1000)
    window = ContextWindow(tokens=400)
    async with SessionAgent(
        store=store, model=model, window=window, compaction=Compaction(summing, max_tokens=50)
    ) as agent:
        await agent.run_session("s", "1001")

    assert all(5 * len(numbers) <= 200 for numbers, _ in summing.calls)
    covered = [number for numbers, _ in summing.calls for number in numbers]
    assert covered == list(range(1, covered[-1] + 1))
    assert model.seen[-1] == [
        f"[Summary of the conversation before this point]\n1-{covered[-1]}",
        *(str(n) for n in range(covered[-1] + 1, 1002)),
    ]
    assert await store.state("s").get(SUMMARY) is not None


@pytest.mark.parametrize("turns", [60, pytest.param(1000, marks=pytest.mark.slow)])
async def test_a_thousand_turns_through_a_window_of_4000_tokens(store: SessionStore, turns: int) -> None:
    budget = 4000 if turns == 1000 else 500
    asked: list[int] = []
    window = ContextWindow(tokens=budget)

    def note(messages: Sequence[Message]) -> None:
        asked.append(window.count(messages))

    async def model(messages: list[Message], config: AgentConfig) -> str:
        note(messages)
        return f"answer to {messages[-1].content[:12]} " + "and more " * (len(asked) % 17)

    async def summarizing(messages: list[Message], config: AgentConfig) -> str:
        note(messages)
        return f"{len(asked)} things were said " + "and more " * 100

    compaction = Compaction(ModelSummarizer(summarizing, max_tokens=budget // 8), max_tokens=budget // 8)
    questions = [f"question {n} " + "of many words " * (n % 13) for n in range(turns)]
    async with SessionAgent(
        AgentConfig(system_prompt="Be kind."),
        store=store,
        model=model,
        window=window,
        compaction=compaction,
    ) as agent:
        session_id = await agent.create_session()
        for question in questions:
            await agent.run_session(session_id, question)

    assert max(asked) <= budget
    assert max(asked) > budget * 0.6
    assert len(asked) > turns
    history = await store.history(session_id)
    assert [each.content for each in history if each.role == "user"] == questions
    assert len(history) == 2 * turns
