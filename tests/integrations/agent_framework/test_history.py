"""`MiniAgentHistoryProvider`, held against the framework's own provider in memory."""

from __future__ import annotations

import asyncio
import pickle
import random
from typing import Any

import pytest
from agent_framework import AgentSession, Content, InMemoryHistoryProvider, Message

from miniagent_store import open_store
from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.agent_framework import MiniAgentHistoryProvider
from tests.integrations.agent_framework.conversation import Points, agent


def as_dicts(messages: list[Message]) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


def some(rng: random.Random, length: int) -> list[Message]:
    """Few different messages, so that saves repeat and overlap what is there."""
    made = []
    for _ in range(length):
        role = rng.choice(["user", "assistant"])
        message_id = rng.choice([None, None, "m1", "m2"])
        made.append(Message(role, [rng.choice(["yes", "no"])], message_id=message_id))
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_as_the_provider_in_memory(url: str, seed: int) -> None:
    rng = random.Random(seed)
    ours, theirs = MiniAgentHistoryProvider(url), InMemoryHistoryProvider()
    state: dict[str, Any] = {}
    for _ in range(25):
        incoming = some(rng, rng.randint(0, 4))
        if rng.random() < 0.3:
            # A caller that sends the end of the transcript again, and a little more.
            incoming = [*state.get("messages", [])[-rng.randint(1, 5) :], *incoming]
        await ours.save_messages("s", incoming)
        await theirs.save_messages("s", incoming, state=state)
        found = await ours.get_messages("s")
        assert as_dicts(found) == as_dicts(await theirs.get_messages("s", state=state))


async def test_what_is_stored_comes_back(url: str) -> None:
    contents = [
        Content.from_text("ä{}\n"),
        Content.from_function_call("c1", "weather", arguments={"city": "Rome", "days": [1, 2.5, None]}),
        Content.from_uri("data:image/png;base64,AAAA", media_type="image/png"),
    ]
    message = Message("assistant", contents, author_name="a", additional_properties={"x": {"y": [True]}})
    provider = MiniAgentHistoryProvider(url)
    await provider.save_messages("s", [message])
    for reader in (provider, MiniAgentHistoryProvider(url)):
        assert as_dicts(await reader.get_messages("s")) == [message.to_dict()]


async def test_what_was_given_may_be_changed(url: str) -> None:
    provider = MiniAgentHistoryProvider(url)
    await provider.save_messages("s", [Message("user", ["hello"], additional_properties={"x": {"y": 1}})])
    for _ in range(2):
        (found,) = await provider.get_messages("s")
        assert found.additional_properties == {"x": {"y": 1}}
        found.additional_properties["x"]["y"] = 2


async def test_what_others_did_to_the_log_is_seen(url: str) -> None:
    """Kept histories follow appends, a pop, a redaction, and a session made anew."""
    provider, handle = MiniAgentHistoryProvider(url, filter_replays=False), StoreHandle(url)
    key = "agent-framework/s"

    async def texts() -> list[str]:
        found = [each.text for each in await provider.get_messages("s")]
        assert found == [each.text for each in await MiniAgentHistoryProvider(url).get_messages("s")]
        return found

    assert await texts() == []
    await provider.save_messages("s", [Message("user", [f"{n}"]) for n in range(5)])
    assert await texts() == ["0", "1", "2", "3", "4"]
    await handle.run(lambda store: store.pop(key, 2))
    await MiniAgentHistoryProvider(url).save_messages("s", [Message("user", ["new"])])
    assert await texts() == ["0", "1", "2", "new"]
    await handle.run(lambda store: store.redact(key, 2, reason="asked for"))
    assert await texts() == ["0", "2", "new"]
    await handle.run(lambda store: store.trim(key, before=3))
    assert await texts() == ["2", "new"]
    await handle.run(lambda store: store.delete(key))
    assert await texts() == []
    await provider.save_messages("s", [Message("user", ["again"])])
    assert await texts() == ["again"]
    await handle.aclose()


async def test_replays_may_be_kept() -> None:
    turn = [Message("user", ["more"]), Message("assistant", ["done"])]
    for filter_replays, expected in ((True, 2), (False, 4)):
        provider = MiniAgentHistoryProvider("memory://", filter_replays=filter_replays)
        for _ in range(2):
            await provider.save_messages("s", turn)
        assert len(await provider.get_messages("s")) == expected


async def test_the_tail_is_all_that_is_read_on_saving() -> None:
    async with open_store("memory://") as store:
        provider = MiniAgentHistoryProvider(store)
        await provider.save_messages("s", [Message("user", [f"{n}"]) for n in range(50)])
        seen: list[Any] = []
        snapshot = store.snapshot
        store.snapshot = lambda *a, **options: seen.append(options) or snapshot(*a, **options)  # type: ignore[method-assign, func-returns-value]
        await provider.save_messages("s", [Message("user", ["one"]), Message("assistant", ["two"])])
        assert [options["last"] for options in seen] == [3]


async def test_many_at_once_stand_one_after_another(url: str) -> None:
    provider = MiniAgentHistoryProvider(url)

    async def save(number: int) -> None:
        await provider.save_messages(
            "s", [Message("user", [f"{number}"]), Message("assistant", [f"{number}"])]
        )

    await asyncio.gather(*map(save, range(12)))
    found = [each.text for each in await provider.get_messages("s")]
    assert len(found) == 24
    assert found[::2] == found[1::2]


async def test_two_providers_of_one_agent_have_a_history_each(url: str) -> None:
    main = MiniAgentHistoryProvider(url)
    audit = MiniAgentHistoryProvider(url, source_id="audit", load_messages=False, store_inputs=False)
    guide = agent(Points(None), main, audit)
    await guide.run("How is it in Rome", session=AgentSession(session_id="s"))
    assert [each.role for each in await main.get_messages("s")] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [each.role for each in await audit.get_messages("s")] == ["assistant", "tool", "assistant"]


async def test_excluded_messages() -> None:
    provider = MiniAgentHistoryProvider("memory://", skip_excluded=True)
    kept, out = Message("user", ["a"]), Message("user", ["b"], additional_properties={"_excluded": True})
    await provider.save_messages("s", [kept, out])
    assert [each.text for each in await provider.get_messages("s")] == ["a"]


@pytest.mark.parametrize("session_id", [None, ""])
async def test_without_a_session_nothing_is_shared(session_id: str | None) -> None:
    provider = MiniAgentHistoryProvider("memory://")
    with pytest.raises(ValueError, match="needs a session"):
        await provider.get_messages(session_id)
    with pytest.raises(ValueError, match="needs a session"):
        await provider.save_messages(session_id, [Message("user", ["x"])])


async def test_a_commit_that_has_begun_ends(url: str) -> None:
    provider = MiniAgentHistoryProvider(url)
    saving = asyncio.create_task(provider.save_messages("s", [Message("user", ["x"])]))
    await asyncio.sleep(0)
    for _ in range(3):
        saving.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert len(await provider.get_messages("s")) == 1


async def test_per_service_call(url: str) -> None:
    """The framework may save at each call of the model, as well."""
    provider = MiniAgentHistoryProvider(url)
    guide = agent(Points(None), provider)
    guide.require_per_service_call_history_persistence = True
    await guide.run("How is it in Rome", session=AgentSession(session_id="s"))
    await guide.run("How is it in Oslo", session=AgentSession(session_id="s"))
    roles = [each.role for each in await provider.get_messages("s")]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2


async def test_pickled_and_with_a_ttl(durable_url: str) -> None:
    provider = MiniAgentHistoryProvider(f"{durable_url}&ttl=1h", prefix="mine", keep=0)
    await provider.save_messages("a/b", [Message("user", ["x"])])
    again = pickle.loads(pickle.dumps(provider))
    assert len(await again.get_messages("a/b")) == 1
    session = await StoreHandle(durable_url).run(lambda store: store.get("mine/a%2Fb"))
    assert session.ttl == 3600
    assert session.message_count == 1
