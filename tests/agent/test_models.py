"""What may answer, and how it is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagent_store import (
    AgentConfig,
    ConfigurationError,
    InvalidArgumentError,
    Message,
    MissingExtraError,
    Session,
    SessionStore,
)
from miniagent_store.agent.echo import echo_answer
from miniagent_store.agent.resolve import configured_model
from miniagent_store.plugins import Plugins, shared_plugins
from miniagent_store.session import SessionAgent
from tests.agent import miniagent_like
from tests.agent.agent_support import SlowModel


async def says_hello(messages: list[Message], config: AgentConfig) -> str:
    return "Hello!"


async def returns_an_iterator(messages: list[Message], config: AgentConfig) -> AsyncIterator[str]:
    return yields(messages, config)


async def yields(messages: list[Message], config: AgentConfig) -> AsyncIterator[str]:
    yield "Hel"
    yield "lo!"


async def returns_a_message(messages: list[Message], config: AgentConfig) -> Message:
    return Message.assistant("Hello!", mood="good")


def hammer(nail: str) -> str:
    return f"{nail} is in"


class Callable:
    async def __call__(self, messages: list[Message], config: AgentConfig) -> str:
        return "Hello!"


@pytest.mark.parametrize(
    "model", [says_hello, returns_an_iterator, yields, returns_a_message, Callable(), Callable]
)
@pytest.mark.parametrize("stream", [True, False])
async def test_all_forms_of_a_function_answer_alike(model: Any, stream: bool) -> None:
    heard: list[str] = []
    async with SessionAgent(store="memory://", model=model) as agent:
        session_id = await agent.create_session()

        answer = await agent.run_session(session_id, "Hi", stream=heard.append if stream else False)

        assert answer == "Hello!"
        assert "".join(heard) == ("Hello!" if stream else "")
        history = await agent.store.history(session_id)
    assert [(each.role, each.content) for each in history] == [("user", "Hi"), ("assistant", "Hello!")]


async def test_a_model_is_given_what_it_takes_by_name() -> None:
    given: dict[str, Any] = {}

    async def model(
        messages: list[Message], config: AgentConfig, *, tools: Any, stream: bool, session: Session
    ) -> str:
        given.update(tools=tools, stream=stream, session=session, temperature=config.temperature)
        return ""

    config = AgentConfig(temperature=0.5)
    searched = {"type": "web_search"}
    async with SessionAgent(config, [hammer, searched], store="memory://", model=model) as agent:
        session_id = await agent.create_session("ada")

        assert await agent.run_session(session_id, "Hi", stream=False) == ""

        assert [getattr(each, "name", each) for each in given["tools"]] == ["hammer", searched]
        assert (given["stream"], given["temperature"]) == (False, 0.5)
        assert (given["session"].id, given["session"].user_id) == (session_id, "ada")
        assert [each.content for each in await agent.store.history(session_id)] == ["Hi", ""]


async def test_what_is_no_answer_is_refused_and_not_stored(store: SessionStore) -> None:
    async def number(messages: list[Message], config: AgentConfig) -> Any:
        return 42

    async def numbers(messages: list[Message], config: AgentConfig) -> AsyncIterator[Any]:
        yield 42

    for model in (number, numbers):
        async with SessionAgent(store=store, model=model) as agent:
            session_id = await agent.create_session()

            with pytest.raises(InvalidArgumentError, match="not int"):
                await agent.run_session(session_id, "Hi")

        assert await store.history(session_id) == []


async def test_a_generator_that_is_left_early_is_closed_at_once() -> None:
    model = SlowModel()

    def no_more(chunk: str) -> None:
        raise BrokenPipeError

    async with SessionAgent(store="memory://", model=model) as agent:
        session_id = await agent.create_session()
        with pytest.raises(BrokenPipeError):
            await agent.run_session(session_id, "Hi", stream=no_more)

        assert model._now == 0


def test_tools_that_nobody_takes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'echo' takes no tools"):
        SessionAgent(tools=[hammer], store="memory://")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (AgentConfig(), "echo"),
        (AgentConfig(model="echo"), "echo"),
        (AgentConfig(model="gpt-4"), "openai:gpt-4"),
        (AgentConfig(model="ft:gpt-4:acme"), "openai:ft:gpt-4:acme"),
        (AgentConfig(provider="openai", model="gpt-4"), "openai:gpt-4"),
        (AgentConfig(provider="openai", model="openai:gpt-4"), "openai:gpt-4"),
        (AgentConfig(provider="gemini", model="pro"), "gemini:pro"),
        (AgentConfig(provider="echo"), "echo"),
        (AgentConfig.of(miniagent_like.AgentConfig()), "openai:gpt-4.1"),
    ],
)
def test_what_a_config_means(config: AgentConfig, expected: str) -> None:
    assert configured_model(config, shared_plugins()) == expected


@pytest.mark.parametrize(
    "unknown", [{"model": "ecko"}, {"config": AgentConfig(provider="ecko", model="pro")}]
)
def test_an_unknown_model_is_told_with_those_that_are_known(unknown: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown model 'ecko'.*'echo'.*valid: echo, openai"):
        SessionAgent(store="memory://", **unknown)


@pytest.mark.parametrize("model", [42, "echo:x", "openai", "openai:"])
def test_what_is_no_model_is_told(model: Any) -> None:
    with pytest.raises(ConfigurationError):
        SessionAgent(store="memory://", model=model)


def test_openai_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    monkeypatch.delitem(__import__("sys").modules, "miniagent_store.agent.openai_model", raising=False)

    with pytest.raises(MissingExtraError, match=r"miniagent-store\[openai\]"):
        Plugins().load("model", "openai")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["Hello!"], "You said: Hello! (message 1)"),
        (["a", "b"], "You said: b (message 2)"),
        (["What did I just say?"], "You have not said anything before."),
        (["Hello!", "what did I say"], 'You said: "Hello!"'),
        (["Hello!", "So, what did I just tell you?"], 'You said: "Hello!"'),
        (["My name is Ada.", "Hm", "What's my name?"], "Your name is Ada."),
        (["My name is Ada", "no, my name is Eve", "what is my name"], "Your name is Eve."),
        (["What is my name?"], "You have not told me your name."),
    ],
)
def test_echo_says_what_it_was_told(said: list[str], answer: str) -> None:
    assert echo_answer(said) == answer
