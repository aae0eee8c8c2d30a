"""`MiniAgentSessionRepository`: beside what Strands' own tests hold it to."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from strands.session import RepositorySessionManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.strands import MiniAgentSessionRepository
from tests.integrations.strands.conversation import agent


def opened(url: str, session_id: str = "s") -> MiniAgentSessionRepository:
    """A repository with a session and an agent."""
    repository = MiniAgentSessionRepository(url)
    if repository.read_session(session_id) is None:
        repository.create_session(Session(session_id, SessionType.AGENT))
        repository.create_agent(session_id, SessionAgent("a", {}, {}))
    return repository


def said(text: Any, number: int) -> SessionMessage:
    return SessionMessage({"role": "user", "content": [{"text": text}]}, number)


def texts(repository: MiniAgentSessionRepository, **options: Any) -> list[str]:
    return [each.message["content"][0]["text"] for each in repository.list_messages("s", "a", **options)]


def test_pages_and_bytes(url: str) -> None:
    repository = opened(url)
    for number in range(7):
        repository.create_message("s", "a", said(f"{number}", number))
    assert texts(repository, limit=2, offset=3) == ["3", "4"]
    assert texts(repository, offset=5) == ["5", "6"]
    assert texts(repository, offset=9) == []
    picture = {"image": {"format": "png", "source": {"bytes": b"\x00\xff"}}}
    repository.create_message("s", "a", SessionMessage({"role": "user", "content": [picture]}, 7))  # type: ignore[list-item]
    found = repository.read_message("s", "a", 7)
    assert found is not None
    assert found.message["content"] == [picture]
    assert repository.read_message("s", "a", 8) is None
    assert repository.list_messages("s", "nobody") == []
    assert repository.list_messages("nothing", "a") == []


def test_a_position_that_is_taken_is_an_error(url: str) -> None:
    """Two managers each count from what they read; the second is told, and its message goes nowhere."""
    one, other = opened(url), opened(url)
    one.create_message("s", "a", said("first", 0))
    with pytest.raises(SessionException, match="another writer"):
        other.create_message("s", "a", said("mine", 0))
    with pytest.raises(SessionException, match="another writer"):
        other.create_message("s", "a", said("far", 5))
    other.create_message("s", "a", said("second", 1))
    one.create_message("s", "a", said("third", 2))
    assert texts(one) == ["first", "second", "third"]


def test_an_agent_that_was_changed_is_not_overwritten(url: str) -> None:
    one, other = opened(url), opened(url)
    first, second = one.read_agent("s", "a"), other.read_agent("s", "a")
    assert first is not None
    assert second is not None
    first.state = {"n": 1}
    one.update_agent("s", first)
    with pytest.raises(SessionException, match="another writer"):
        other.update_agent("s", second)
    again = other.read_agent("s", "a")
    assert again is not None
    assert again.state == {"n": 1}
    assert again.created_at == first.created_at
    other.update_agent("s", again)


def test_rewriting_a_message_harms_nobody(url: str) -> None:
    one, other = opened(url), opened(url)
    for number in range(4):
        one.create_message("s", "a", said(f"{number}", number))
    other.create_agent("s", SessionAgent("b", {}, {}))
    other.create_message("s", "b", said("beside", 0))
    before = one.read_message("s", "a", 1)
    changed = said("changed", 1)
    one.update_message("s", "a", changed)
    assert before is not None
    assert changed.created_at == before.created_at
    assert texts(one) == ["0", "changed", "2", "3"]
    # The epoch is another now, which other agents and later writes must not feel.
    other.create_message("s", "b", said("beside still", 1))
    one.create_message("s", "a", said("4", 4))
    known = one.read_agent("s", "a")
    assert known is not None
    one.update_message("s", "a", said("four", 4))
    one.update_agent("s", known)
    assert texts(other) == ["0", "changed", "2", "3", "four"]


def test_a_session_made_anew_is_another(url: str) -> None:
    stale, other = opened(url), opened(url)
    stale.create_message("s", "a", said("old", 0))
    other.delete_session("s")
    opened(url).create_message("s", "a", said("new", 0))
    with pytest.raises(SessionException, match="another writer"):
        stale.create_message("s", "a", said("stale", 1))
    with pytest.raises(SessionException, match="another writer"):
        stale.update_agent("s", SessionAgent("a", {"stale": True}, {}))
    assert texts(other) == ["new"]


@pytest.mark.parametrize(
    "call",
    [
        lambda repository: repository.create_session(Session("s", SessionType.AGENT)),
        lambda repository: repository.create_agent("s", SessionAgent("a", {}, {})),
        lambda repository: repository.create_agent("none", SessionAgent("a", {}, {})),
        lambda repository: repository.update_agent("s", SessionAgent("b", {}, {})),
        lambda repository: repository.create_message("s", "b", said("x", 0)),
        lambda repository: repository.create_message("none", "a", said("x", 0)),
        lambda repository: repository.update_message("s", "a", said("x", 0)),
        lambda repository: repository.delete_session("none"),
        lambda repository: repository.create_message("s", "a", said({1, 2}, 0)),
    ],
)
def test_what_is_refused(call: Any) -> None:
    repository = opened("memory://strands-refused")
    with pytest.raises(SessionException):
        call(repository)


def test_pickled(durable_url: str) -> None:
    repository = opened(durable_url)
    repository.create_message("s", "a", said("hello", 0))
    again = pickle.loads(pickle.dumps(repository))
    again.create_message("s", "a", said("again", 1))
    assert texts(again) == ["hello", "again"]


def test_in_the_store(url: str) -> None:
    """A session of Strands is a session of the store, with the store's TTL."""
    guide = agent("repository", f"{url}&ttl=2h", session_id="a/b")
    guide("How is it in Rome")
    handle = StoreHandle(url)
    session = handle.run_blocking(lambda store: store.get("strands/a%2Fb"))
    assert session.ttl == 7200
    entries = handle.run_blocking(lambda store: store.entries("strands/a%2Fb", log="m:guide"))
    assert [entry.value["message_id"] for entry in entries] == [0, 1, 2, 3]
    handle.close()


def test_resumed_after_the_conversation_manager_removed_messages(url: str) -> None:
    from strands.agent.conversation_manager import SlidingWindowConversationManager

    manager = RepositorySessionManager("trip", MiniAgentSessionRepository(url))
    guide = agent("repository", "memory://other")
    from strands import Agent

    small = Agent(
        model=guide.model,
        agent_id="guide",
        callback_handler=None,
        session_manager=manager,
        conversation_manager=SlidingWindowConversationManager(window_size=4),
        tools=[*guide.tool_registry.registry.values()],
    )
    for turn in range(4):
        small(f"How is it in City{turn}")
    again = Agent(
        model=guide.model,
        agent_id="guide",
        callback_handler=None,
        session_manager=RepositorySessionManager("trip", MiniAgentSessionRepository(url)),
        conversation_manager=SlidingWindowConversationManager(window_size=4),
    )
    assert again.messages == small.messages
    assert len(MiniAgentSessionRepository(url).list_messages("trip", "guide")) == 16
