"""ADK's contract of memories, in our words, and what the runner does with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from google.adk.agents import Agent
from google.adk.events.event import Event
from google.adk.memory.in_memory_memory_service import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions.session import Session
from google.adk.tools.preload_memory_tool import PreloadMemoryTool
from google.genai import types

from miniagent_store.integrations.google_adk import MiniAgentMemoryService, MiniAgentSessionService
from tests.integrations.conftest import Encrypted

ADA: Any = {"app_name": "app", "user_id": "ada"}


def _event(id: str, text: str, author: str = "user") -> Event:
    content = types.Content(role=author, parts=[types.Part(text=text)])
    return Event(id=id, author=author, content=content, timestamp=1_700_000_000.5)


def _session(*events: Event, id: str = "monday") -> Session:
    return Session(id=id, app_name="app", user_id="ada", events=list(events))


@pytest.fixture
async def memory(url: str) -> AsyncIterator[MiniAgentMemoryService]:
    async with MiniAgentMemoryService(url) as service:
        yield service


async def _texts(service: Any, query: str, **whose: Any) -> list[str]:
    found = await service.search_memory(**{**ADA, **whose}, query=query)
    return [each.content.parts[0].text for each in found.memories]


async def test_a_session_is_found_by_its_user_only(memory: MiniAgentMemoryService) -> None:
    session = _session(_event("1", "My dog is called Rex."), _event("2", "Noted.", "model"))
    theirs = InMemoryMemoryService()
    for service in (memory, theirs):
        await service.add_session_to_memory(session)
        await service.add_session_to_memory(session)
        # Ours goes by meaning: all is more or less like a query.
        assert (await _texts(service, "dog"))[0] == "My dog is called Rex."
        assert await _texts(service, "dog", user_id="bob") == []
        assert await _texts(service, "dog", app_name="other") == []
    ours, other = (await memory.search_memory(**ADA, query="dog")).memories
    assert (other.author, other.content.role) == ("model", "model")
    assert (ours.author, ours.content.role) == ("user", "user")
    assert ours.timestamp == "2023-11-14T22:13:20.500000+00:00"
    assert await _texts(memory, " ") == []


async def test_the_same_event_in_two_sessions_is_two_memories(memory: MiniAgentMemoryService) -> None:
    for id in ("monday", "friday"):
        await memory.add_session_to_memory(_session(_event("1", f"My dog, {id}"), id=id))
    assert sorted(await _texts(memory, "dog")) == ["My dog, friday", "My dog, monday"]


async def test_events_are_added_to_what_is_there(memory: MiniAgentMemoryService) -> None:
    await memory.add_session_to_memory(_session(_event("1", "My dog is called Rex.")))
    for _ in range(2):
        await memory.add_events_to_memory(
            **ADA,
            session_id="monday",
            events=[_event("2", "The dog is old."), Event(author="user")],
            custom_metadata={"ttl": "1h", "tags": ["pets"]},
        )
    found = (await memory.search_memory(**ADA, query="dog")).memories
    assert sorted((each.content.parts or [])[0].text or "" for each in found) == [
        "My dog is called Rex.",
        "The dog is old.",
    ]
    assert {"tags": ["pets"]} in [each.custom_metadata for each in found]


async def test_what_is_deleted_does_not_come_back(memory: MiniAgentMemoryService) -> None:
    session = _session(_event("1", "My dog is called Rex."))
    await memory.add_session_to_memory(session)
    [found] = (await memory.search_memory(**ADA, query="dog")).memories
    await memory.delete_memory(**{**ADA, "user_id": "bob"}, memory_id=found.id)
    assert await _texts(memory, "dog")
    await memory.delete_memory(**ADA, memory_id=found.id)
    await memory.delete_memory(**ADA)
    await memory.add_session_to_memory(session)
    assert await _texts(memory, "dog") == []


async def test_memories_that_are_no_events(memory: MiniAgentMemoryService) -> None:
    content = types.Content(parts=[types.Part(text="Ada eats no meat.")])
    said = "2026-01-02T03:04:05+00:00"
    entry = MemoryEntry(content=content, custom_metadata={"sure": True}, timestamp=said)
    for _ in range(2):
        await memory.add_memory(**ADA, memories=[entry], custom_metadata={"by": "hand"})
    [found] = (await memory.search_memory(**ADA, query="meat")).memories
    assert found.custom_metadata == {"sure": True, "by": "hand"}
    assert found.timestamp == entry.timestamp


class Seeing(BaseLlm):
    """Answers with all that it is shown."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        shown = f"{llm_request.config.system_instruction} {llm_request.contents}"
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text=shown)]))


async def test_a_runner_recalls_until_the_session_is_deleted(url: str) -> None:
    sessions = MiniAgentSessionService(url)
    async with sessions, MiniAgentMemoryService(url) as memory:
        agent = Agent(name="a", model=Seeing(model="seeing"), tools=[PreloadMemoryTool()])
        runner = Runner(app_name="app", agent=agent, session_service=sessions, memory_service=memory)

        async def say(session_id: str, text: str) -> str:
            said = ""
            message = types.Content(role="user", parts=[types.Part(text=text)])
            async for event in runner.run_async(user_id="ada", session_id=session_id, new_message=message):
                said += "".join(part.text or "" for part in (event.content and event.content.parts) or [])
            return said

        for id in ("monday", "friday", "sunday"):
            await sessions.create_session(**ADA, session_id=id)
        await say("monday", "My dog is called Rex.")
        session = await sessions.get_session(**ADA, session_id="monday")
        assert session is not None
        await memory.add_session_to_memory(session)
        # The session goes on all the same.
        await say("monday", "Bye!")
        await sessions.append_event(
            await sessions.get_session(**ADA, session_id="monday") or session, _event("9", "Really.")
        )
        assert "Rex" in await say("friday", "What is my dog called?")

        await sessions.delete_session(**ADA, session_id="monday")
        assert "Rex" not in await say("sunday", "What is my dog called?")


async def test_nothing_of_it_is_readable(encrypted: Encrypted) -> None:
    async with MiniAgentMemoryService(encrypted.url) as memory:
        await memory.add_session_to_memory(_session(_event("1", "The xylophone is mine.")))
        assert await _texts(memory, "xylophone") == ["The xylophone is mine."]
    encrypted.assert_absent(b"xylophone")
