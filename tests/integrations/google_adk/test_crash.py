"""Killed with -9 in the middle of a turn; a new process resumes, and has what an unhurt one has."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import Session

from miniagent_store import open_store
from miniagent_store.integrations.google_adk import MiniAgentSessionService
from miniagent_store.integrations.google_adk.appending import Appending
from miniagent_store.integrations.google_adk.names import Place
from tests.integrations.google_adk.conversation import APP, USER, load, resume

TURNS = 5
POINTS = [f"{where} t{turn}" for turn in range(1, TURNS + 1) for where in ("call", "tool", "answer")]
SOME = ("tool t3", "answer t2")
MINTED = {"id", "timestamp", "invocation_id", "usage_metadata"}


def shown(session: Session) -> list[Any]:
    """Events without what is minted for each run: ids and times; and state."""
    events = []
    for event in session.events:
        plain = event.model_dump(mode="json", exclude_none=True, exclude=MINTED)
        for part in plain.get("content", {}).get("parts", ()):
            for called in ("function_call", "function_response"):
                part.get(called, {}).pop("id", None)
        events.append(plain)
    return [events, session.state]


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in POINTS]
)
async def test_resumed_conversation_equals_one_without_a_kill(durable_url: str, point: str) -> None:
    module = "tests.integrations.google_adk.conversation"
    arguments = [durable_url, "hurt", "t", str(TURNS), point]
    ended = subprocess.run([sys.executable, "-W", "ignore", "-m", module, *arguments], timeout=120)
    assert ended.returncode == -signal.SIGKILL

    async with MiniAgentSessionService(durable_url) as service:
        await resume(service, "hurt", "t", TURNS)
        await resume(service, "unhurt", "t", TURNS)
        hurt, unhurt = await load(service, "hurt"), await load(service, "unhurt")
        assert shown(hurt) == shown(unhurt)
        assert hurt.state["latest"] == hurt.state["user:seen"] == f"t{TURNS}"
        assert len(hurt.events) == 5 * TURNS


async def test_shared_state_of_a_process_that_died_in_between(url: str) -> None:
    """After the session's commit and before that of the state which sessions share."""
    async with open_store(url) as store, MiniAgentSessionService(store) as service:
        place = Place.of(APP, USER, "s")
        session = await load(service, "s")
        for number in (1, 2):
            delta = {"user:n": number, "app:n": number, "own": number}
            event = Event(author="user", actions=EventActions(state_delta=delta))
            appending = Appending(store, service._shared, place, session, event)

            async def die(*_: Any) -> None:
                raise KeyboardInterrupt

            appending._share = die  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                await appending.run()
            assert await service.get_user_state(app_name=APP, user_id=USER) == (
                {"n": number - 1} if number > 1 else {}
            )
            session = await load(service, "s")
            assert {key: session.state[key] for key in delta} == delta
        # What came later is not undone by who finds the change of before.
        other = await service.create_session(app_name=APP, user_id=USER, session_id="other")
        later = Event(author="user", actions=EventActions(state_delta={"user:n": 3}))
        await service.append_event(other, later)
        assert (await load(service, "s")).state["user:n"] == 3
