"""What of a conversation a window shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagent_store import (
    AgentConfig,
    ConfigurationError,
    ContextTooLargeError,
    ContextWindow,
    InvalidArgumentError,
    Message,
    SessionStore,
    ToolCall,
    open_store,
)
from miniagent_store.agent.compaction import Compaction
from miniagent_store.agent.messages import exchanges
from miniagent_store.agent.token_counting import estimate_tokens
from miniagent_store.agent.window_reading import PINNED, read_window
from miniagent_store.session import SessionAgent
from tests.agent import miniagent_like


def one_each(message: Message) -> int:
    return 1


def called(*ids: str) -> Message:
    return Message.assistant(None, tool_calls=[ToolCall(each, "clock").to_dict() for each in ids])


def result(call_id: str) -> Message:
    return Message.tool("noon", tool_call_id=call_id)


# Choosing


def test_the_last_messages_are_seen_and_calls_with_their_results_or_not_at_all() -> None:
    history = [Message.user("1"), called("a", "b"), result("a"), result("b"), Message.assistant("5")]

    def seen(messages: int) -> int:
        return len(ContextWindow(messages=messages).choose(history))

    assert [seen(n) for n in range(1, 7)] == [1, 1, 1, 4, 5, 5]


def test_of_a_turn_the_oldest_rounds_give_way_before_the_latest() -> None:
    window = ContextWindow(tokens=6, counter=one_each)
    rounds = [called("a"), result("a"), called("b"), result("b"), called("c"), result("c")]
    question = [Message.user("?")]

    assert window.choose([Message.user("1")], question=question, rounds=rounds) == [*question, *rounds[2:]]
    assert window.choose([], always=[Message.system("!")], question=question, rounds=rounds) == [
        Message.system("!"),
        *question,
        *rounds[2:],
    ]
    with pytest.raises(ContextTooLargeError, match=r"7 tokens.*holds 6") as refused:
        window.choose([], question=question, rounds=rounds[:2], overhead=4)
    assert (refused.value.needed, refused.value.tokens) == (7, 6)


def test_a_summary_gives_way_to_what_must_be_seen_but_not_to_the_history() -> None:
    summary, history = [Message.user("summary")], [Message.user(str(n)) for n in range(5)]
    question = [Message.user("?")]

    def seen(tokens: int) -> list[Any]:
        window = ContextWindow(tokens=tokens, counter=one_each)
        return [each.content for each in window.choose(history, summary=summary, question=question)]

    assert (seen(1), seen(2)) == (["?"], ["summary", "?"])
    assert seen(4) == ["summary", "3", "4", "?"]


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    for at in range(draw(st.integers(0, 8))):
        calls = [f"{at}.{n}" for n in range(draw(st.integers(0, 3)))]
        messages.append(Message.user("x" * draw(st.integers(0, 80))))
        if calls:
            messages += [called(*calls), *map(result, calls)]
        messages.append(Message.assistant("y" * draw(st.integers(0, 80))))
    return [each for each in messages if draw(st.integers(0, 9))]  # some are gone


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(20, 300), st.integers(1, 12) | st.none())
def test_what_is_chosen_fits_is_a_suffix_and_leaves_no_call_open(
    history: list[Message], tokens: int, messages: int | None
) -> None:
    window = ContextWindow(messages=messages, tokens=tokens)
    question = [Message.user("?")]

    *seen, last = window.choose(history, question=question)

    assert last == question[0]
    assert window.count([*seen, last]) <= tokens
    assert messages is None or len(seen) <= messages
    whole = [message for group in exchanges(history) for message in group]
    assert seen == whole[len(whole) - len(seen) :]
    calls = [call["id"] for each in seen for call in each.tool_calls or ()]
    assert calls == [each.tool_call_id for each in seen if each.tool_call_id]


def test_the_estimate_counts_text_calls_and_other_parts() -> None:
    assert estimate_tokens(Message.user("")) == 4
    assert estimate_tokens(Message.user("12345")) == 6
    assert estimate_tokens(Message.user("äöü")) == 6
    assert estimate_tokens(called("a")) > 15
    image = {"type": "image_url", "image_url": {"url": "data:" + "x" * 9999}}
    assert estimate_tokens(Message.user([{"type": "text", "text": "1234"}, image])) == 4 + 1 + 800


def test_wrong_windows_are_refused() -> None:
    for messages, tokens in ((None, None), (0, None), (None, -1)):
        with pytest.raises(InvalidArgumentError):
            ContextWindow(messages, tokens)
    with pytest.raises(ConfigurationError, match="needs window"):
        SessionAgent(store="memory://", compaction=Compaction("echo"))


# Reading


class Counting:
    """A store of which it is known how many entries were read."""

    def __init__(self, store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries = self.calls = 0
        for name in ("snapshot", "entries"):
            monkeypatch.setattr(store, name, self._counted(getattr(store, name)))

    def _counted(self, read: Any) -> Any:
        async def counted(*args: Any, **kwargs: Any) -> Any:
            found = await read(*args, **kwargs)
            self.calls += 1
            self.entries += sum(map(len, found.logs.values())) if hasattr(found, "logs") else len(found)
            return found

        return counted

    def clear(self) -> None:
        self.entries = self.calls = 0


async def fill(store: SessionStore, session_id: str, count: int, first: int = 0) -> None:
    messages = [Message.user(f"message {n:05}") for n in range(first, first + count)]
    await store.append(session_id, *messages, create=True)


async def test_only_what_the_window_needs_is_read(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, "s", 3000)
    window = ContextWindow(tokens=700)  # about 100 of these messages
    async with SessionAgent(store=store, model=lambda messages, config: "yes", window=window) as agent:
        await agent.run_session("s", "the first turn looks for pinned messages once")
        reads = Counting(store, monkeypatch)
        await agent.run_session("s", "again")

    assert reads.entries < 64 * 3
    assert reads.calls <= 3


async def test_pinned_messages_are_seen_however_old_they_are(store: SessionStore) -> None:
    seen: list[list[Any]] = []

    async def model(messages: list[Message], config: AgentConfig) -> str:
        seen.append([each.content for each in messages])
        return "yes"

    await store.append("s", Message.system("Speak French."), create=True)
    await fill(store, "s", 200)
    await store.append("s", Message.user("My name is Ada.", metadata={"pinned": True}))
    await fill(store, "s", 600, first=200)
    config = AgentConfig(system_prompt="Be brief.")
    window = ContextWindow(messages=2)
    async with SessionAgent(config, store=store, model=model, window=window) as agent:
        await agent.run_session("s", "one")
        await agent.run_session("s", "two")
        await store.redact("s", 202, reason="test")
        await agent.run_session("s", "three")
        await store.rewind("s", to=0)
        await agent.run_session("s", "four")

    pinned = ["Be brief.", "Speak French.", "My name is Ada."]
    assert seen[0] == [*pinned, "message 00798", "message 00799", "one"]
    assert seen[1] == [*pinned, "one", "yes", "two"]
    assert seen[2] == [*pinned[:2], "two", "yes", "three"]
    assert seen[3] == ["Be brief.", "four"]


async def test_what_is_pinned_is_kept_up_to_date_in_the_turns_commit(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = ContextWindow(messages=4)
    await store.append("s", Message.system("Speak French."), create=True)
    async with SessionAgent(store=store, model=lambda messages, config: "yes", window=window) as agent:
        for turn in range(40):
            version = (await store.get("s")).version
            await agent.run_session("s", str(turn))
            assert (await store.get("s")).version == version + 1
        reads = Counting(store, monkeypatch)
        await agent.run_session("s", "again")

    assert reads.entries <= 4 + 34
    record = await store.state("s").get(PINNED)
    assert [message["content"] for _, message in record["messages"]] == ["Speak French."]
    without = await read_window(store, "s", ContextWindow(messages=4, pin_system=False), None)
    assert without.pinned == []


async def test_what_must_be_seen_and_does_not_fit_is_an_error_and_not_stored(store: SessionStore) -> None:
    window = ContextWindow(tokens=50)
    async with SessionAgent(store=store, model=lambda messages, config: "yes", window=window) as agent:
        session_id = await agent.create_session()
        with pytest.raises(ContextTooLargeError):
            await agent.run_session(session_id, "much too long " * 50)
        assert await store.history(session_id) == []
        assert await agent.run_session(session_id, "short") == "yes"


async def test_the_tools_schemas_and_rounds_count(store: SessionStore) -> None:
    told: list[dict[str, Any]] = []

    def clock(where: str = "here") -> str:
        return "tick " * 30

    def listen(event: Any) -> None:
        if str(event.type) == "llm_call":
            told.append(event.data)

    async def model(messages: list[Message], config: AgentConfig, *, tools: Any) -> Any:
        return ToolCall(str(len(told)), "clock") if len(told) < 5 else "done"

    window = ContextWindow(tokens=250)
    async with SessionAgent(
        tools=[clock], store=store, model=model, window=window, callbacks=listen
    ) as agent:
        await fill(store, "s", 100)
        assert await agent.run_session("s", "What time is it?") == "done"

    assert len(told) == 5
    assert all(event["tokens"] <= 250 for event in told)
    assert len(await store.history("s")) == 100 + 2 + 8


def test_the_results_of_the_latest_round_are_cut_where_they_are_too_large() -> None:
    window = ContextWindow(tokens=400)
    small, large = result("a"), Message.tool("tick " * 1000, tool_call_id="b", name="clock")
    question, calls = [Message.user("?")], called("a", "b")

    seen = window.choose([Message.user("1")] * 9, question=question, rounds=[calls, small, large])

    assert seen[:3] == [*question, calls, small]
    assert seen[3].tool_call_id == "b"
    assert seen[3].content.startswith("tick tick")
    assert seen[3].content.endswith("…")
    assert 300 < window.count(seen) <= 400
    with pytest.raises(ContextTooLargeError):
        ContextWindow(tokens=60).choose([], question=question, rounds=[calls, small, large])


async def test_agents_of_other_frameworks_look_through_the_window_too(store: SessionStore) -> None:
    await fill(store, "s", 50)
    window = ContextWindow(messages=4)
    async with SessionAgent(store=store, model=miniagent_like.Agent, window=window) as agent:
        assert await agent.run_session("s", "Hello!") == "5 messages, run 1"

    assert len(await store.history("s")) == 52


async def test_a_window_on_a_real_server(redis_url: str) -> None:
    async with open_store(redis_url) as store:
        await store.append("s", Message.system("Speak French."), create=True)
        await fill(store, "s", 300)
        view = await read_window(store, "s", ContextWindow(tokens=2000), None)
        assert [each.content for each in view.pinned] == ["Speak French."]
        assert view.history[-1].content == "message 00299"
        assert len(view.history) < 300
